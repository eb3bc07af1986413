//! Who there is, and the strings that they hold.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex as StdMutex, MutexGuard},
};

use tokio::sync::Mutex;
use tonic::transport::Channel;

use super::super::{
    dice::Dice,
    history::{CredentialNumber, RoleNumber},
};
use crate::client::Credentials;

/// Strings that come and go: enough that each is asked about often.
const POOL: usize = 64;
/// Strings whose fate has just changed.
const HOT: usize = 32;
/// Of them, by one change.
const HEATED: usize = 8;

/// A customer. What is locked is changed by one task at a time, so that the order of
/// its changes is known.
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) lock: Mutex<()>,
}

/// A person who logs in.
pub(super) struct User {
    pub(super) id: i64,
    pub(super) account: Arc<Account>,
    pub(super) username: String,
    pub(super) password: String,
    /// A permanent token of the user that never ends, to make others with.
    pub(super) root: Credentials,
    /// The user's role.
    pub(super) role: Mutex<RoleNumber>,
}

/// A permanent token.
pub(super) struct Token {
    pub(super) id: i64,
    pub(super) owner: Arc<User>,
    pub(super) now: Mutex<Present>,
}

/// What a permanent token is at present.
pub(super) struct Present {
    pub(super) plain: String,
    pub(super) version: i32,
    pub(super) role: RoleNumber,
    pub(super) expires_at: Option<i64>,
    /// Revoked, or a secret of it was lost.
    pub(super) is_over: bool,
}

/// A string to ask about.
pub(super) struct Held {
    pub(super) number: CredentialNumber,
    pub(super) plain: String,
    pub(super) what: What,
}

/// What a string is, with what is needed to end it.
pub(super) enum What {
    Permanent(Arc<Token>),
    Session { id: i64, user: Arc<User> },
    Exchanged { token: Arc<Token> },
    Bogus,
}

/// Everybody.
pub(super) struct Population {
    /// To the issuer.
    pub(super) channel: Channel,
    pub(super) admin: Credentials,
    pub(super) accounts: Vec<Arc<Account>>,
    pub(super) users: Vec<Arc<User>>,
    steady: Vec<Arc<Held>>,
    changing: StdMutex<Changing>,
}

#[derive(Default)]
struct Changing {
    pool: VecDeque<Arc<Held>>,
    hot: VecDeque<Arc<Held>>,
}

impl Population {
    pub(super) fn new(
        channel: Channel,
        admin: Credentials,
        accounts: Vec<Arc<Account>>,
        users: Vec<Arc<User>>,
        steady: Vec<Arc<Held>>,
    ) -> Self {
        Self { channel, admin, accounts, users, steady, changing: StdMutex::default() }
    }

    /// What nobody ever changes: good, whatever fails.
    pub(super) fn steady(&self) -> &[Arc<Held>] {
        &self.steady
    }

    /// Adds a string; the oldest goes.
    pub(super) fn add(&self, held: Held) {
        let mut changing = self.changing();
        changing.pool.push_back(Arc::new(held));
        if changing.pool.len() > POOL {
            changing.pool.pop_front();
        }
    }

    /// Has the strings that a change is about asked about more often for a while.
    pub(super) fn heat(&self, concerned: impl Fn(&Held) -> bool) {
        let mut changing = self.changing();
        let Changing { pool, hot } = &mut *changing;
        hot.extend(pool.iter().filter(|held| concerned(held)).take(HEATED).cloned());
        let surplus = hot.len().saturating_sub(HOT);
        hot.drain(..surplus);
    }

    /// A string to ask about.
    pub(super) fn any(&self, dice: &mut Dice) -> Arc<Held> {
        let changing = self.changing();
        let from = match dice.below(10) {
            0..4 => &changing.hot,
            4..8 => &changing.pool,
            _ => return dice.pick(&self.steady).clone(),
        };
        if from.is_empty() { dice.pick(&self.steady) } else { &from[dice.below(from.len())] }
            .clone()
    }

    /// What `choose` finds in a string of the pool, tried a few times.
    pub(super) fn find<T>(
        &self,
        dice: &mut Dice,
        choose: impl Fn(&Held) -> Option<T>,
    ) -> Option<T> {
        let changing = self.changing();
        let pool = &changing.pool;
        if pool.is_empty() {
            return None;
        }
        (0..8).find_map(|_| choose(&pool[dice.below(pool.len())]))
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap()
    }
}

impl Held {
    /// The permanent token that this string is a secret of.
    pub(super) fn token(&self) -> Option<Arc<Token>> {
        match &self.what {
            What::Permanent(token) => Some(token.clone()),
            _ => None,
        }
    }

    /// Whose it is.
    pub(super) fn user(&self) -> Option<&User> {
        match &self.what {
            What::Permanent(token) | What::Exchanged { token } => Some(&token.owner),
            What::Session { user, .. } => Some(user),
            What::Bogus => None,
        }
    }

    /// The permanent token that it ends with.
    pub(super) fn token_id(&self) -> Option<i64> {
        match &self.what {
            What::Permanent(token) | What::Exchanged { token } => Some(token.id),
            What::Session { .. } | What::Bogus => None,
        }
    }
}
