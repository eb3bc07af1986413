//! The session file: the tokens that `login` got, kept for the next command.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tessera_shared::clock::Timestamp;

use crate::{ask::Env, failure::Failure, secret::Secret, when};

/// A session with an issuer.
#[derive(Debug)]
pub(crate) struct Session {
    /// The URL of the issuer that opened it; its tokens go nowhere else.
    pub(crate) issuer: String,
    /// The JWT that proves the caller.
    pub(crate) access_token: Secret,
    /// The first instant at which the access token is no longer good.
    pub(crate) access_expires_at: Timestamp,
    /// What the next pair is got with, once.
    pub(crate) refresh_token: Secret,
    /// The first instant at which the refresh token is no longer good.
    pub(crate) refresh_expires_at: Timestamp,
}

/// The file that holds the session: mode 0600, replaced atomically.
#[derive(Clone, Debug)]
pub(crate) struct SessionFile(PathBuf);

impl SessionFile {
    /// The file at `path`; else `$XDG_CONFIG_HOME/tessera/session.json`; else
    /// `~/.config/tessera/session.json`.
    ///
    /// # Errors
    /// None of these is known.
    pub(crate) fn new(path: Option<PathBuf>, env: &Env) -> Result<Self, Failure> {
        if let Some(path) = path {
            return Ok(Self(path));
        }
        // An XDG folder that is not absolute does not count (XDG Base Directory, "Basics").
        let folder = |name| env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
        folder("XDG_CONFIG_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".config")))
            .map(|config| Self(config.join("tessera").join("session.json")))
            .ok_or(Failure::NoHome)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The session in it; `None` where there is no file.
    ///
    /// # Errors
    /// The file can't be read, is open to others, or holds no session.
    pub(crate) fn load(&self) -> Result<Option<Session>, Failure> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = self.0.clone();
            return Err(Failure::OpenToOthers { path, mode });
        }
        let text = io::read_to_string(file).map_err(|error| self.failed(error))?;
        Stored::parse(&text).map(Some).ok_or_else(|| Failure::NotASession(self.0.clone()))
    }

    /// Puts `session` in the file's place, whole or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn save(&self, session: &Session) -> Result<(), Failure> {
        self.replace(session).map_err(|error| self.failed(error))
    }

    fn replace(&self, session: &Session) -> io::Result<()> {
        let folder = self.folder()?;
        // `NamedTempFile` makes its file with mode 0600.
        let mut file = NamedTempFile::new_in(&folder)?;
        file.write_all(Stored::render(session)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        File::open(&folder)?.sync_all()
    }

    /// Removes the file, if there is one.
    ///
    /// # Errors
    /// The file can't be removed.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// Waits until no other process changes the session, and keeps others from it
    /// until the answer is dropped. The lock is a file of its own, since the session
    /// file is replaced.
    ///
    /// # Errors
    /// The lock file can't be made.
    pub(crate) async fn lock(&self) -> Result<File, Failure> {
        let file = self.clone();
        let locked = tokio::task::spawn_blocking(move || file.locked()).await;
        let locked = locked.map_err(io::Error::other).flatten();
        locked.map_err(|error| self.failed(error))
    }

    fn locked(&self) -> io::Result<File> {
        self.folder()?;
        let mut name = self.0.clone().into_os_string();
        name.push(".lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(name)?;
        file.lock()?;
        Ok(file)
    }

    /// The folder of the file, made (mode 0700) where there is none.
    fn folder(&self) -> io::Result<PathBuf> {
        let parent = self.0.parent().filter(|path| !path.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).to_owned();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder)?;
        Ok(folder)
    }

    fn failed(&self, source: io::Error) -> Failure {
        let path = self.0.clone();
        Failure::File { path, source }
    }
}

/// The session as the file has it.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    issuer: &'a str,
    access_token: &'a str,
    access_expires_at: String,
    refresh_token: &'a str,
    refresh_expires_at: String,
}

impl Stored<'_> {
    fn parse(text: &str) -> Option<Session> {
        let stored: Stored<'_> = serde_json::from_str(text).ok()?;
        Some(Session {
            issuer: stored.issuer.to_owned(),
            access_token: Secret::new(stored.access_token.to_owned()),
            access_expires_at: when::instant(&stored.access_expires_at).ok()?,
            refresh_token: Secret::new(stored.refresh_token.to_owned()),
            refresh_expires_at: when::instant(&stored.refresh_expires_at).ok()?,
        })
    }

    fn render(session: &Session) -> io::Result<String> {
        let exact = |instant| when::exact(&when::to_wire(instant));
        let mut text = serde_json::to_string_pretty(&Stored {
            issuer: &session.issuer,
            access_token: session.access_token.expose(),
            access_expires_at: exact(session.access_expires_at),
            refresh_token: session.refresh_token.expose(),
            refresh_expires_at: exact(session.refresh_expires_at),
        })?;
        text.push('\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(access: &str) -> Session {
        Session {
            issuer: "http://127.0.0.1:50051".into(),
            access_token: Secret::new(access.into()),
            access_expires_at: Timestamp::from_millis(1_801_310_400_123),
            refresh_token: Secret::new("refresh-secret".into()),
            refresh_expires_at: Timestamp::from_millis(1_801_396_800_000),
        }
    }

    fn file(dir: &Path) -> SessionFile {
        SessionFile(dir.join("new").join("session.json"))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        assert!(file.load().unwrap().is_none());
        file.save(&session("access-secret")).unwrap();
        let loaded = file.load().unwrap().unwrap();
        assert_eq!(loaded.issuer, "http://127.0.0.1:50051");
        assert_eq!(loaded.access_token.expose(), "access-secret");
        assert_eq!(loaded.access_expires_at.millis(), 1_801_310_400_123);
        assert_eq!(loaded.refresh_token.expose(), "refresh-secret");
        assert_eq!(loaded.refresh_expires_at.millis(), 1_801_396_800_000);
    }

    #[test]
    fn file_and_lock_are_for_the_owner_alone_and_so_is_a_new_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        drop(file.locked().unwrap());
        file.save(&session("a")).unwrap();
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(&dir.path().join("new/session.json.lock")), 0o600);
        assert_eq!(mode(&dir.path().join("new")), 0o700);
    }

    #[test]
    fn a_save_replaces_the_file_and_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        file.save(&session("first")).unwrap();
        let before = File::open(file.path()).unwrap();
        file.save(&session("second")).unwrap();
        // A reader that opened the old file still has all of it.
        let old = io::read_to_string(before).unwrap();
        assert_eq!(Stored::parse(&old).unwrap().access_token.expose(), "first");
        let new = file.load().unwrap().unwrap();
        assert_eq!(new.access_token.expose(), "second");
        let names: Vec<_> = fs::read_dir(dir.path().join("new"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["session.json"]);
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        file.save(&session("a")).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let refused = file.load();
        assert!(matches!(refused, Err(Failure::OpenToOthers { mode: 0o640, .. })));
    }

    #[test]
    fn the_failure_of_a_damaged_file_quotes_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        file.save(&session("a")).unwrap();
        fs::write(file.path(), "{\"access_token\": \"access-secret\"").unwrap();
        let failure = file.load().unwrap_err();
        assert!(matches!(failure, Failure::NotASession(_)));
        assert!(!format!("{failure} {failure:?}").contains("access-secret"));
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", session("access-secret"));
        assert!(shown.contains("127.0.0.1") && !shown.contains("-secret"), "{shown}");
    }

    #[test]
    fn the_folder_is_xdgs_or_under_home() {
        let path = |xdg: &'static str| {
            let env = move |name: &str| match name {
                "XDG_CONFIG_HOME" => Some(xdg.into()),
                "HOME" => Some("/home/x".into()),
                _ => None,
            };
            SessionFile::new(None, &env).unwrap().0
        };
        assert_eq!(path("/xdg"), Path::new("/xdg/tessera/session.json"));
        let home = Path::new("/home/x/.config/tessera/session.json");
        assert_eq!(path("relative"), home);
        assert_eq!(path(""), home);
        assert!(matches!(SessionFile::new(None, &|_| None), Err(Failure::NoHome)));
    }
}
