//! `tessera`, the command line of Tessera.
//!
//! - [`app`]: the command tree, and what runs for each command; one file a
//!   command under [`command`].
//! - [`caller`] calls a service with the [`credentials`] found, and keeps the
//!   [`session`] fresh; [`server`] is the connection under it.
//! - [`record`] says what each record shows, and [`output`] shows it as a table or JSON.
//! - [`failure`] is every way to fail, each with its line and its exit code.
//! - [`store`] is the store itself, for commands that work without a service.
//! - [`up`] runs the whole system in one process.
//!
//! To add a command: a file in `command/` with its `Args` and `run`, a variant in
//! `app.rs`, and, for a new record, a file in `record/`.
//! A secret is never an argument: see [`ask`].

mod app;
mod ask;
mod caller;
mod command;
mod context;
mod credentials;
mod failure;
mod output;
mod record;
mod secret;
mod server;
mod session;
mod status;
mod store;
mod up;
mod when;

use std::process::ExitCode;

fn main() -> ExitCode {
    app::run(std::env::args_os().collect())
}
