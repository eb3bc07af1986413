//! The command line, made from the table by clap.

use std::ffi::OsString;

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::ValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    error::ConfigError,
    exit::{Exit, USAGE},
    setting::{Kind, Section, Setting},
    settings,
    value::show_duration,
};

/// A binary, or a subcommand that takes settings.
pub(super) struct Program {
    /// What its user types.
    pub(super) name: &'static str,
    /// One sentence for `--help`.
    pub(super) about: &'static str,
    /// What it takes.
    pub(super) sections: &'static [&'static Section],
}

impl Program {
    /// The clap command: a flag for each setting that is no secret.
    pub(super) fn command(&self) -> Command {
        let flags = self.sections.iter().flat_map(|section| {
            section
                .settings
                .iter()
                .filter(|setting| !setting.is_secret())
                .map(|setting| flag(setting).help_heading(section.heading))
        });
        Command::new(self.name)
            .about(self.about)
            .version(env!("CARGO_PKG_VERSION"))
            .args(flags)
            .next_line_help(true)
            .after_help(self.after_help())
    }

    /// Parses a command line whose first word is the program's name.
    pub(super) fn matches(
        &self,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<ArgMatches, Exit> {
        self.command().try_get_matches_from(args).map_err(|error| self.exit(&error))
    }

    fn after_help(&self) -> String {
        let mut text = String::from("Secrets, never on the command line:\n");
        for setting in settings::of(self.sections).filter(|setting| setting.is_secret()) {
            let (variable, file) = (setting.variable(), setting.file_variable());
            text.push_str(&format!("  {variable}, or {file} with a path\n"));
            text.push_str(&format!("          {}\n", setting.help));
        }
        text.push_str(
            "\nA flag wins over its variable, a variable over the file of --config, the file over the default.\n\
             In the file each setting is a key with the name of its flag, a secret's NAME or NAME-file.",
        );
        text
    }

    fn exit(&self, error: &clap::Error) -> Exit {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Exit { code: 0, text: error.render().to_string(), to_stdout: true }
            }
            ErrorKind::UnknownArgument => self.unknown_argument(error),
            _ => {
                Exit { code: i32::from(USAGE), text: error.render().to_string(), to_stdout: false }
            }
        }
    }

    /// Says why a secret has no flag; and does not repeat a stray word, which may
    /// be a secret that someone tried to pass.
    fn unknown_argument(&self, error: &clap::Error) -> Exit {
        let argument = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) => argument.as_str(),
            _ => "",
        };
        let flag = argument.split('=').next().unwrap_or_default();
        if let Some(setting) = settings::of(self.sections)
            .filter(|setting| setting.is_secret())
            .find(|setting| flag.strip_prefix("--") == Some(setting.name))
        {
            return ConfigError::SecretFlag(setting).into();
        }
        let text = if flag.starts_with("--") {
            error.render().to_string()
        } else {
            format!(
                "error: {} takes only flags, and a word on its command line belongs to none\n\n\
                 For more information, try '--help'.\n",
                self.name
            )
        };
        Exit { code: i32::from(USAGE), text, to_stdout: false }
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value_name)
        .value_parser(ValueParser::os_string())
        .action(ArgAction::Set)
        .help(help(setting));
    match setting.kind {
        // `--dev`, or `--dev=false` against a file that turns it on.
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        // `--access-ttl -1s` is a wrong duration, and is to be told so.
        _ => arg.allow_hyphen_values(true),
    }
}

fn help(setting: &Setting) -> String {
    let mut text = setting.help.to_owned();
    match setting.kind {
        Kind::Duration(least, most) => {
            text.push_str(&format!(" [{} to {}]", show_duration(least), show_duration(most)));
        }
        Kind::Integer(least, most) => text.push_str(&format!(" [{least} to {most}]")),
        Kind::Ratio => text.push_str(" [0 to 1]"),
        Kind::Choice(words) => text.push_str(&format!(" [{}]", words.join(", "))),
        _ => {}
    }
    text.push_str(&format!(" [env: {}]", setting.variable()));
    if let Some(default) = setting.default {
        text.push_str(&format!(" [default: {default}]"));
    }
    text
}
