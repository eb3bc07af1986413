//! What a server says itself that it is (`ROLE`).

use std::time::Duration;

use ::redis::{ErrorKind, ServerErrorKind, Value, cmd};
use tokio::time::timeout;

use super::{failure::describe, link::Link};

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    /// Or it waits to become one.
    Replica,
    /// The user may not ask, or what is between does not know the question.
    Untold,
}

/// Asks the server at the end of the link.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn role_of(link: &Link, deadline: Duration) -> Result<Role, String> {
    let (mut connection, question) = (link.connection(), cmd("ROLE"));
    let answer = timeout(deadline, question.query_async::<Vec<Value>>(&mut connection)).await;
    match answer.map_err(|_| "no answer within the deadline".to_owned())? {
        Ok(answer) => Ok(match answer.first() {
            Some(Value::BulkString(role)) if role == b"master" => Role::Primary,
            Some(Value::SimpleString(role)) if role == "master" => Role::Primary,
            _ => Role::Replica,
        }),
        Err(error) => match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm) => {
                Ok(Role::Untold)
            }
            _ => Err(describe(&error)),
        },
    }
}
