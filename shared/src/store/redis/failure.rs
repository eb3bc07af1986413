//! How a command fails, and what of it may be told.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::settings::Endpoint;
use crate::store::StoreError;

/// Why a command has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server has not seen the script yet; nothing is done.
    UnknownScript,
    /// The key lives on another node of the cluster; nothing is done.
    Moved(Option<Endpoint>),
    /// The key is on its way, and if it is anywhere then there; nothing is done.
    Ask(Option<Endpoint>),
    Store(StoreError),
}

pub(super) fn unavailable(reason: impl Into<String>) -> Failure {
    Failure::Store(StoreError::Unavailable(reason.into()))
}

impl Failure {
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::UnknownScript => {
                StoreError::Unavailable("the server forgot a script it was just sent".to_owned())
            }
            Self::Moved(_) | Self::Ask(_) => StoreError::Unavailable(
                "the server is a node of a cluster: write redis+cluster:// in the store URL"
                    .to_owned(),
            ),
            Self::Store(error) => error,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let node = || error.redirect_node().and_then(|(address, _)| endpoint(address));
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::UnknownScript,
            ErrorKind::Server(ServerErrorKind::Moved) => Self::Moved(node()),
            ErrorKind::Server(ServerErrorKind::Ask) => Self::Ask(node()),
            ErrorKind::UnexpectedReturnType => {
                Self::Store(StoreError::Damaged("an answer is of another type than its key has"))
            }
            _ => unavailable(describe(&error)),
        }
    }
}

/// A server tells a host and a port with no brackets, IPv6 or not.
fn endpoint(address: &str) -> Option<Endpoint> {
    let (host, port) = address.rsplit_once(':')?;
    Some(Endpoint { host: host.to_owned(), port: port.parse().ok()? })
}

/// Whether the connection is of no more use. A server that has become read-only, or has
/// lost its own primary, is no primary any more.
pub(super) fn is_fatal(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
}

/// What went wrong, without the server's words where they may repeat what was
/// sent: an old server answers HELLO with the password in its error.
pub(super) fn describe(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io => error.to_string(),
        ErrorKind::AuthenticationFailed => {
            "the server refused the user name or the password".to_owned()
        }
        ErrorKind::RESP3NotSupported => {
            "the server does not speak RESP3: Redis 6 or later is needed".to_owned()
        }
        ErrorKind::Server(ServerErrorKind::ResponseError) => refused_database(error)
            .unwrap_or_else(|| "the server refused the command (ERR)".to_owned()),
        _ => match (error.code(), error.detail()) {
            (Some("WRONGPASS"), _) => {
                "the server refused the user name or the password (WRONGPASS)".to_owned()
            }
            (Some("NOAUTH"), _) => "the server wants a password (NOAUTH)".to_owned(),
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => error.category().to_owned(),
        },
    }
}

/// The library drops the code with which a server refuses `SELECT`, and keeps the words.
fn refused_database(error: &RedisError) -> Option<String> {
    let words = error.detail()?.to_ascii_lowercase();
    if words.contains("'select'") && words.contains("no permissions") {
        let what = "the server refused the command (NOPERM): for a database other than 0 the user \
                    needs +select";
        return Some(what.to_owned());
    }
    words
        .contains("db index is out of range")
        .then(|| "the server has no database of this number".to_owned())
}

#[cfg(test)]
mod tests {
    use ::redis::{Value, parse_redis_value};

    use super::*;

    fn server_error(line: &str) -> RedisError {
        let answer = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        match answer {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn server_words_that_may_repeat_what_was_sent_are_not_passed_on() {
        let old =
            "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `a`, `hunter2`";
        assert!(!describe(&server_error(old)).contains("hunter2"));
    }

    #[test]
    fn server_words_that_help_are_passed_on() {
        for line in ["OOM command not allowed when used memory > 'maxmemory'.", "MISCONF no disk"] {
            assert_eq!(describe(&server_error(line)), line);
        }
    }

    #[test]
    fn demoted_primary_is_left() {
        assert!(is_fatal(&server_error("READONLY You can't write against a read only replica.")));
        assert!(is_fatal(&server_error("MASTERDOWN Link with MASTER is down")));
        assert!(!is_fatal(&server_error("OOM command not allowed")));
    }

    #[test]
    fn another_node_is_named() {
        let to = Some(Endpoint { host: "10.0.0.2".to_owned(), port: 6381 });
        let moved = Failure::from(server_error("MOVED 3999 10.0.0.2:6381"));
        assert!(matches!(moved, Failure::Moved(node) if node == to));
        let ask = Failure::from(server_error("ASK 3999 10.0.0.2:6381"));
        assert!(matches!(ask, Failure::Ask(node) if node == to));
    }
}
