//! The users of Redis as `deploy/redis/users.acl` has them, with passwords made by the
//! script of `docker-compose.yml`; and one more, for a test's own look.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    process::clean,
    tools::{repository, succeed},
};

/// The user who may do everything. No service is given its password.
pub const OBSERVER: &str = "observer";
const OBSERVER_PASSWORD: &str = "the-password-of-a-tests-own-look";

/// The file of the users, and their passwords.
pub struct Users {
    dir: TempDir,
}

impl Users {
    /// Makes both.
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for file in ["compose/make-secrets.sh", "redis/users.acl"] {
            let copy = dir.path().join(file);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(repository().join("deploy").join(file), copy).unwrap();
        }
        succeed(clean(Path::new("sh")).arg(dir.path().join("compose/make-secrets.sh")));
        let users = Self { dir };
        let observer = format!("user {OBSERVER} on >{OBSERVER_PASSWORD} ~* &* +@all\n");
        let made = fs::read_to_string(users.secret("redis_users")).unwrap();
        fs::write(users.file(), made + &servers() + &observer).unwrap();
        users
    }

    /// The file that Redis reads.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("redis.users")
    }

    /// The password of `issuer`, `verifier`, `sentinel`, `replica` or [`OBSERVER`].
    pub fn password(&self, user: &str) -> String {
        match user {
            OBSERVER => return OBSERVER_PASSWORD.to_owned(),
            "sentinel" | "replica" => return password_of_server(user),
            _ => {}
        }
        let file = self.secret(&format!("{user}_store_password"));
        fs::read_to_string(file).unwrap().trim().to_owned()
    }

    fn secret(&self, name: &str) -> PathBuf {
        self.dir.path().join("compose/secrets").join(name)
    }
}

/// The users that the script leaves out: who other servers are.
fn servers() -> String {
    let file = fs::read_to_string(repository().join("deploy/redis/users.acl")).unwrap();
    let mut users = String::new();
    for (user, hash) in [("sentinel", "#SENTINEL_SHA256"), ("replica", "#REPLICA_SHA256")] {
        let line = file.lines().find(|line| line.starts_with(&format!("user {user} "))).unwrap();
        users += &line.replace(hash, &format!(">{}", password_of_server(user)));
        users.push('\n');
    }
    users
}

fn password_of_server(user: &str) -> String {
    format!("the-password-of-the-user-{user}-4kq9")
}

impl Default for Users {
    fn default() -> Self {
        Self::new()
    }
}
