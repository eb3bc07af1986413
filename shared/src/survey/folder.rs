//! An embedded store's folder and file.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{Facts, Finding, Survey, Weight, server::mebibytes};
use crate::store::embedded::{EmbeddedStore, FILE_NAME, OpenError};

/// Below this a disk is nearly full, in bytes: redb doubles its file as it grows.
const LITTLE_ROOM: u64 = 64 << 20;

/// Looks at the store in `dir`; opens it, if nobody else has, and makes none.
pub(super) fn survey(dir: &Path) -> Survey {
    let mut survey = Survey { places: vec![Facts::new()], ..Survey::default() };
    let file = dir.join(FILE_NAME);
    survey.see("folder", dir.display().to_string());
    let Ok(about) = fs::metadata(&file) else {
        let what = format!("there is no store: {} can't be seen", file.display());
        survey.add(
            Weight::Breaks,
            what,
            "name the folder that `tessera up --data` has, or start it once",
        );
        return survey;
    };
    survey.see("size", mebibytes(about.len()));
    rights(&mut survey, dir, 0o700);
    rights(&mut survey, &file, 0o600);
    room(&mut survey, dir);
    opening(&mut survey, dir);
    survey
}

impl Survey {
    fn see(&mut self, name: &'static str, seen: String) {
        if let Some(facts) = self.places.first_mut() {
            facts.push((name, seen));
        }
    }

    fn add(&mut self, weight: Weight, what: String, remedy: &str) {
        let remedy = remedy.to_owned();
        self.findings.push(Finding { weight, is_durability: true, what, remedy });
    }
}

fn rights(survey: &mut Survey, path: &Path, right: u32) {
    let Ok(about) = fs::metadata(path) else { return };
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!(
            "{} has mode {mode:03o}: others on this machine can read hashes and keys",
            path.display()
        );
        survey.add(Weight::Risk, what, &format!("chmod {right:o} {}", path.display()));
    }
}

fn room(survey: &mut Survey, dir: &Path) {
    let Ok(disk) = rustix::fs::statvfs(dir) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    survey.see("free_space", mebibytes(free));
    if free < LITTLE_ROOM {
        let what =
            format!("{} are free: when the disk is full, no token can be made", mebibytes(free));
        survey.add(Weight::Risk, what, "make room on the disk");
    }
}

fn opening(survey: &mut Survey, dir: &Path) {
    let state = match EmbeddedStore::open(dir) {
        Ok(_) => "opens, and takes writes",
        Err(OpenError::InUse(_)) => "in use by another process, such as `tessera up`",
        Err(error) => {
            let remedy = match error {
                OpenError::Damaged(..) => {
                    "restore a backup with `tessera admin import`, or see whether the file is another program's"
                }
                OpenError::Full(_) => "make room on the disk",
                _ => "give the user of `tessera up` the folder",
            };
            survey.add(Weight::Breaks, error.to_string(), remedy);
            "does not open"
        }
    };
    survey.see("file", state.to_owned());
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn weights(dir: &Path) -> Vec<Weight> {
        let survey = survey(dir);
        survey
            .findings
            .iter()
            .filter(|it| !it.what.contains("are free"))
            .map(|it| it.weight)
            .collect()
    }

    #[test]
    fn a_good_folder_has_nothing_to_say_open_or_not() {
        let parent = TempDir::new().unwrap();
        let dir = parent.path().join("data");
        let store = EmbeddedStore::open(&dir).unwrap();
        assert_eq!(weights(&dir), [], "in use");
        drop(store);
        assert_eq!(weights(&dir), []);
    }

    #[test]
    fn a_missing_a_foreign_and_an_open_store_are_found() {
        let dir = TempDir::new().unwrap();
        assert_eq!(weights(dir.path()), [Weight::Breaks]);
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join(FILE_NAME), "something else").unwrap();
        let found = weights(dir.path());
        assert!(found.contains(&Weight::Breaks) && found.contains(&Weight::Risk), "{found:?}");
    }
}
