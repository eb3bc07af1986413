//! The command tree, and what runs for each command.

use std::{ffi::OsString, process::ExitCode};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    command::{
        admin::{self, AdminCommand},
        bench::{self, BenchArgs},
        completions::{self, CompletionsArgs},
        doctor::{self, DoctorArgs},
        health::{self, HealthArgs},
        identity,
        login::{self, LoginArgs},
        logout::{self, LogoutArgs},
        password::{self, PasswordArgs},
        token::{self, TokenCommand},
        verify::{self, Outcome, VerifyArgs},
    },
    context::{Context, Global},
    failure::{EXIT_CODES, Failure, of_code},
    output, up,
};

#[derive(Debug, Parser)]
#[command(
    name = "tessera",
    version,
    about = "Issues API tokens and says, very fast, whether one is good",
    after_help = "Run `tessera up` for the whole system in one process; `tessera --help` tells more.",
    after_long_help = long_help()
)]
struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run issuer, verifier and HTTP in one process, with the records in a folder
    #[command(disable_help_flag = true)]
    Up {
        /// See `tessera up --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        args: Vec<OsString>,
    },
    #[command(flatten)]
    Client(ClientCommand),
}

/// The commands that call a running service.
#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Open a session, and keep it in the session file
    Login(LoginArgs),
    /// End the session
    Logout(LogoutArgs),
    /// Show who you are to the issuer
    Whoami,
    /// List your live sessions
    Sessions,
    /// Change your password
    Password(PasswordArgs),
    /// Make and manage permanent tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Ask the verifier whether tokens are good
    Verify(VerifyArgs),
    /// Load a verifier with requests, and show how it fares
    Bench(BenchArgs),
    /// Administer accounts, users, roles, signing keys and backups
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Ask a server whether it is serving (grpc.health.v1)
    Health(HealthArgs),
    /// Look at a store as a service would, and say what would break a promise
    Doctor(DoctorArgs),
    /// Print the completions for a shell
    Completions(CompletionsArgs),
}

/// Runs the command that `args`, the program's name first, ask for.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    // `up` reads its own flags, some of which could be taken for global ones.
    let mut words = args.iter().skip(1);
    if words.next().is_some_and(|word| word == "up") {
        return up::run(words.cloned().collect());
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => return explain(&answer),
    };
    let command = match cli.command {
        Command::Up { args } => return up::run(args),
        Command::Client(command) => command,
    };
    let context = Context::new(cli.global, Box::new(|name| std::env::var_os(name)));
    dispatch(command, &context).unwrap_or_else(|failure| {
        output::complain(&format!("error: {failure}"));
        failure.exit_code()
    })
}

/// Prints clap's answer: a help text, or what is wrong with the arguments.
fn explain(answer: &clap::Error) -> ExitCode {
    if let Some(ContextValue::String(word)) = answer.get(ContextKind::InvalidArg)
        && answer.kind() == ErrorKind::UnknownArgument
        && !word.starts_with('-')
    {
        // It may be a token, and stderr may be a log: clap would quote it.
        output::complain("error: an argument too many; a secret is never an argument, see --help");
        return ExitCode::from(2);
    }
    // A reader that has gone away, as in `--help | head`, is not a failure.
    let _ = answer.print();
    ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2))
}

fn dispatch(command: ClientCommand, context: &Context) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?
        .block_on(Box::pin(perform(command, context)))
}

async fn perform(command: ClientCommand, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        ClientCommand::Login(args) => login::run(args, context).await?,
        ClientCommand::Logout(args) => logout::run(args, context).await?,
        ClientCommand::Whoami => identity::whoami(context).await?,
        ClientCommand::Sessions => identity::sessions(context).await?,
        ClientCommand::Password(args) => password::run(args, context).await?,
        ClientCommand::Token(command) => token::run(command, context).await?,
        ClientCommand::Verify(args) => return verify::run(args, context).await.map(verified),
        ClientCommand::Bench(args) => return bench::run(args, context).await.map(verified),
        ClientCommand::Admin(command) => admin::run(command, context).await?,
        ClientCommand::Health(args) => {
            let serving = health::run(args, context).await?;
            return Ok(ExitCode::from(u8::from(!serving)));
        }
        ClientCommand::Doctor(args) => {
            let good = doctor::run(args, context).await?;
            return Ok(ExitCode::from(u8::from(!good)));
        }
        ClientCommand::Completions(args) => completions::run(&args, Cli::command())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn verified(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::AllGranted => ExitCode::SUCCESS,
        Outcome::SomeDenied => ExitCode::from(1),
        Outcome::Wrong(code) => of_code(code),
    }
}

fn long_help() -> String {
    format!("{ENVIRONMENT}\n\n{EXIT_CODES}\n\n{EXAMPLES}")
}

const ENVIRONMENT: &str = "\
Credentials:
  A command proves you with the session that `tessera login` opened, whose access token
  is refreshed by itself; or with a permanent token, which wins over the session, in
  TESSERA_TOKEN or in the file that TESSERA_TOKEN_FILE names. A secret is never an
  argument. Each global option has a variable, shown beside it.";

const EXAMPLES: &str = "\
Examples:
  tessera up
  tessera login --username admin
  tessera token create purge-script --role Engineers --expires-in 30d
  echo \"$TOKEN\" | tessera verify --audience cdn
  TESSERA_TOKEN_FILE=token.txt tessera whoami
  tessera --output json token list --state active | jq '.[].name'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {id}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn no_option_takes_a_secret() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|it| it.get_action().takes_values()) {
                let name = argument.get_id().as_str();
                let secret =
                    name == "token" || name.contains("password") || name.contains("secret");
                assert!(!secret, "{} {name}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn up_gets_its_arguments_raw() {
        let words = ["tessera", "up", "--data", "x", "--help"];
        let cli = Cli::try_parse_from(words).unwrap();
        match cli.command {
            Command::Up { args } => assert_eq!(args, ["--data", "x", "--help"]),
            Command::Client(_) => panic!("not up"),
        }
    }
}
