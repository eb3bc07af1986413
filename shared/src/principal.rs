//! Who a verified token speaks for.

use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    role::ScopeSet,
};

/// What proved the principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// An access token of a session.
    Session(SessionId),
    /// A permanent token, or an access token exchanged for it.
    PermanentToken(TokenId),
}

impl Proof {
    /// The permanent token behind it, if it is one.
    pub const fn token(self) -> Option<TokenId> {
        match self {
            Self::Session(_) => None,
            Self::PermanentToken(id) => Some(id),
        }
    }
}

/// Who a verified token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What proved it.
    pub proof: Proof,
    /// Which secret of the permanent token, counted from 1; 0: it was a session.
    pub secret_version: u32,
    /// The account of the user.
    pub account: AccountId,
    /// The user who logged in or owns the permanent token.
    pub user: UserId,
    /// The name of the role that the token carries.
    pub role: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Where the token may be used; empty means nowhere.
    pub audiences: Vec<String>,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// The first instant at which it is no longer good; `None`: never expires.
    pub expires_at: Option<Timestamp>,
    /// The permanent token's name or the user's.
    pub name: String,
}
