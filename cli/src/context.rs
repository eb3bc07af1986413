//! The flags that every command takes, and what they come to.

use std::path::PathBuf;

use clap::Args;
use tessera_shared::clock::{Clock, SystemClock, Timestamp};

use crate::{
    ask::Env,
    caller::Caller,
    credentials::Credentials,
    failure::Failure,
    output::{Format, Output},
    server::Server,
    session::SessionFile,
};

/// Where `tessera up` serves the issuer.
pub(crate) const DEFAULT_ISSUER: &str = "http://127.0.0.1:50051";
/// Where `tessera up` serves the verifier.
pub(crate) const DEFAULT_VERIFIER: &str = "http://127.0.0.1:50052";

/// The flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The issuer [default: that of the session, else http://127.0.0.1:50051]
    #[arg(long, global = true, env = "TESSERA_ISSUER", value_name = "URL")]
    issuer: Option<String>,

    /// The verifier [default: http://127.0.0.1:50052]
    #[arg(long, global = true, env = "TESSERA_VERIFIER", value_name = "URL")]
    verifier: Option<String>,

    /// Tables for people, or JSON for programs
    #[arg(
        long,
        global = true,
        visible_alias = "format",
        env = "TESSERA_OUTPUT",
        value_enum,
        default_value_t
    )]
    output: Format,

    /// Authorities (PEM) that https URLs are checked against, in place of the system's
    #[arg(long, global = true, env = "TESSERA_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The session's file [default: tessera/session.json in $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, global = true, env = "TESSERA_SESSION_FILE", value_name = "FILE")]
    session_file: Option<PathBuf>,
}

/// What a command works with.
pub(crate) struct Context {
    /// Where results go.
    pub(crate) output: Output,
    /// How variables are read.
    pub(crate) env: Box<Env>,
    global: Global,
}

impl Context {
    /// What `global` and `env` come to.
    pub(crate) fn new(mut global: Global, env: Box<Env>) -> Self {
        // An empty variable is an unset one.
        let empty = |path: &mut PathBuf| path.as_os_str().is_empty();
        global.issuer.take_if(|url| url.is_empty());
        global.verifier.take_if(|url| url.is_empty());
        global.ca_file.take_if(empty);
        global.session_file.take_if(empty);
        Self { output: Output::new(global.output), env, global }
    }

    /// The present instant.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Where the session is kept.
    ///
    /// # Errors
    /// No place is known.
    pub(crate) fn session_file(&self) -> Result<SessionFile, Failure> {
        SessionFile::new(self.global.session_file.clone(), &self.env)
    }

    /// The issuer to open a session with, and its URL.
    ///
    /// # Errors
    /// Its URL is none.
    pub(crate) fn login_issuer(&self) -> Result<(Server, String), Failure> {
        let url = self.global.issuer.as_deref().unwrap_or(DEFAULT_ISSUER);
        Ok((self.issuer_at(url)?, url.to_owned()))
    }

    /// One who calls the issuer with the credentials that the environment or the
    /// session file has.
    ///
    /// # Errors
    /// There are no credentials, or those of another issuer.
    pub(crate) fn caller<'a>(&self, file: &'a SessionFile) -> Result<Caller<'a>, Failure> {
        self.caller_with(Credentials::find(&self.env)?, file)
    }

    /// One who calls the issuer with `credentials`.
    ///
    /// # Errors
    /// There is no session to use, or it is with another issuer.
    pub(crate) fn caller_with<'a>(
        &self,
        credentials: Credentials,
        file: &'a SessionFile,
    ) -> Result<Caller<'a>, Failure> {
        let asked = self.global.issuer.as_deref();
        let url = match credentials {
            Credentials::Permanent(_) => asked.unwrap_or(DEFAULT_ISSUER).to_owned(),
            Credentials::Session => session_issuer(asked, file)?,
        };
        Ok(Caller { issuer: self.issuer_at(&url)?, credentials, file, clock: &SystemClock })
    }

    /// The verifier.
    ///
    /// # Errors
    /// Its URL is none.
    pub(crate) fn verifier(&self) -> Result<Server, Failure> {
        let url = self.global.verifier.as_deref().unwrap_or(DEFAULT_VERIFIER);
        Server::new(url, self.global.ca_file.as_deref(), "--verifier")
    }

    /// A service at `url`, which `flag` gave.
    ///
    /// # Errors
    /// The URL is none.
    pub(crate) fn server(&self, url: &str, flag: &'static str) -> Result<Server, Failure> {
        Server::new(url, self.global.ca_file.as_deref(), flag)
    }

    fn issuer_at(&self, url: &str) -> Result<Server, Failure> {
        self.server(url, "--issuer")
    }
}

/// The issuer of the session, which must be the one asked for: a session's tokens
/// are sent to no other.
fn session_issuer(asked: Option<&str>, file: &SessionFile) -> Result<String, Failure> {
    let session = file.load()?.ok_or(Failure::NotLoggedIn)?.issuer;
    match asked {
        Some(asked) if asked.trim_end_matches('/') != session.trim_end_matches('/') => {
            let asked = asked.to_owned();
            Err(Failure::OtherIssuer { session, asked })
        }
        _ => Ok(session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{secret::Secret, session::Session};

    #[test]
    fn a_session_goes_to_its_own_issuer_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        let file = SessionFile::new(Some(path), &|_| None).unwrap();
        assert!(matches!(session_issuer(None, &file), Err(Failure::NotLoggedIn)));
        file.save(&Session {
            issuer: "http://home:1".into(),
            access_token: Secret::new("a".into()),
            access_expires_at: Timestamp::from_millis(0),
            refresh_token: Secret::new("r".into()),
            refresh_expires_at: Timestamp::from_millis(0),
        })
        .unwrap();
        assert_eq!(session_issuer(None, &file).unwrap(), "http://home:1");
        assert!(session_issuer(Some("http://home:1/"), &file).is_ok());
        let other = session_issuer(Some("http://evil:1"), &file);
        assert!(matches!(other, Err(Failure::OtherIssuer { .. })));
    }
}
