//! Accounts and users, for administrators. An account's administrator stays inside
//! the account; the first account's administers all.

mod accounts;
mod users;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod api_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod user_tests;
#[cfg(test)]
mod username_tests;

pub(crate) use self::{
    accounts::{AccountChange, require_administers_all},
    users::{NewUser, UserChange},
};
