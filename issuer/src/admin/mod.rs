//! Accounts and users, for administrators. An account's administrator stays inside
//! the account; the first account's administers all.

mod accounts;
mod users;

pub(crate) use self::{
    accounts::AccountChange,
    users::{NewUser, UserChange},
};
