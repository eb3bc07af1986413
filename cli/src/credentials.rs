//! What a call proves its caller with.

use crate::{
    ask::{self, Env},
    failure::Failure,
    secret::Secret,
};

/// The variable that holds a permanent token; `_FILE` names a file that does.
pub(crate) const TOKEN: &str = "TESSERA_TOKEN";

/// What a call proves its caller with.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// The permanent token of TESSERA_TOKEN or TESSERA_TOKEN_FILE.
    Permanent(Secret),
    /// The session in the session file.
    Session,
}

impl Credentials {
    /// A permanent token from the environment wins over the session.
    ///
    /// # Errors
    /// The variables contradict each other, or the file can't be read.
    pub(crate) fn find(env: &Env) -> Result<Self, Failure> {
        let token = ask::variable(env, TOKEN)?;
        Ok(token.map_or(Self::Session, Self::Permanent))
    }
}
