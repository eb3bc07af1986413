//! The users of Redis as `docker-compose.yml` has them: from the same template, with
//! passwords made by the same script.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    process::clean,
    tools::{repository, succeed},
};

/// The file of the users, and their passwords.
pub struct Users {
    dir: TempDir,
}

impl Users {
    /// Makes both.
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let compose = repository().join("deploy/compose");
        for file in ["make-secrets.sh", "users.acl.template"] {
            fs::copy(compose.join(file), dir.path().join(file)).unwrap();
        }
        succeed(clean(Path::new("sh")).arg(dir.path().join("make-secrets.sh")));
        Self { dir }
    }

    /// The file that Redis reads.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("secrets/redis_users")
    }

    /// The password of `issuer` or `verifier`.
    pub fn password(&self, user: &str) -> String {
        let file = self.dir.path().join(format!("secrets/{user}_store_password"));
        fs::read_to_string(file).unwrap().trim().to_owned()
    }
}

impl Default for Users {
    fn default() -> Self {
        Self::new()
    }
}
