//! A configuration of a proxy, on its way from `deploy/` to a folder of the test's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{service::Place, tools::repository};

/// A configuration.
pub struct Text(pub(super) String);

impl Text {
    pub(super) fn of_deploy(file: &str) -> Self {
        Self(fs::read_to_string(repository().join("deploy").join(file)).unwrap())
    }

    /// Replaces every `old`, of which there must be one.
    pub fn replace(&mut self, old: &str, new: &str) {
        assert!(self.0.contains(old), "{old} is not in the configuration");
        self.0 = self.0.replace(old, new);
    }

    /// Makes of the one line with `address: OLD` as many as there are places, with the gRPC
    /// address of each.
    pub(super) fn endpoints(&mut self, old: &str, places: &[Place]) {
        let line = self.0.lines().find(|line| line.contains(old)).expect(old).to_owned();
        let of = |place: &Place| {
            let (ip, port) = (place.grpc.ip(), place.grpc.port());
            line.replace(old, &format!("{ip}, port_value: {port}"))
        };
        let lines: Vec<_> = places.iter().map(of).collect();
        self.0 = self.0.replace(&line, &lines.join("\n"));
    }

    pub(super) fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let file = dir.join(name);
        fs::write(&file, &self.0).unwrap();
        file
    }
}
