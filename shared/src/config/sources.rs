//! Where values come from, and which of them wins.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::ArgMatches;

use super::{
    command::Program,
    error::{ConfigError, Origin, Shown},
    exit::Exit,
    file::ConfigFile,
    setting::{Kind, Setting},
    settings,
};

/// The environment: the value of the variable with this name.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The command line, the environment and the file of one process.
pub struct Sources<'e> {
    matches: ArgMatches,
    environment: Environment<'e>,
    file: Option<ConfigFile>,
}

/// A value that a source gives, still as text.
pub struct Found {
    /// The text.
    pub value: OsString,
    /// Where it was given.
    pub origin: Origin,
    withheld: bool,
}

impl<'e> Sources<'e> {
    /// Parses `args`, the program's name first, and reads the file of `--config`.
    pub(super) fn new(
        program: &Program,
        args: impl IntoIterator<Item = OsString>,
        environment: Environment<'e>,
    ) -> Result<Self, Exit> {
        Ok(Self::from_matches(program.matches(args)?, environment)?)
    }

    /// The same, where clap has parsed the command line already.
    pub(super) fn from_matches(
        matches: ArgMatches,
        environment: Environment<'e>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Self { matches, environment, file: None };
        if let Some(found) = sources.lookup(&settings::CONFIG)? {
            sources.file = Some(ConfigFile::read(Path::new(&found.value), found.origin)?);
        }
        Ok(sources)
    }

    /// The value of `setting`: from its flag, else its variable, else the file,
    /// else its default. A secret comes from exactly one source.
    ///
    /// # Errors
    /// Where a value can't be read at all, or a secret is given twice; not where it
    /// is malformed, which the typed readings tell.
    pub fn lookup(&self, setting: &'static Setting) -> Result<Option<Found>, ConfigError> {
        if setting.is_secret() {
            return self.secret_value(setting);
        }
        let found = match self.flag(setting).or_else(|| self.variable(setting.variable())) {
            Some(found) => Some(found),
            None => self.key(setting.name, setting.kind)?,
        };
        let found = found.or_else(|| {
            let value = setting.default?.into();
            Some((value, Origin::Default(setting.name)))
        });
        let withheld = setting.kind == Kind::Private;
        Ok(found.map(|(value, origin)| Found { value, origin, withheld }))
    }

    fn secret_value(&self, setting: &Setting) -> Result<Option<Found>, ConfigError> {
        let plain = [self.variable(setting.variable()), self.key(setting.name, setting.kind)?];
        let named =
            [self.variable(setting.file_variable()), self.key(&setting.file_key(), Kind::Plain)?];
        let given = plain
            .into_iter()
            .flatten()
            .map(|given| (given, false))
            .chain(named.into_iter().flatten().map(|given| (given, true)));

        let mut only = None;
        for (given, is_path) in given {
            if let Some(((_, first), _)) = only {
                return Err(ConfigError::TwoForms { first, second: given.1 });
            }
            only = Some((given, is_path));
        }
        let Some(((value, origin), is_path)) = only else {
            return Ok(None);
        };
        let value = if is_path { secret_in(PathBuf::from(value), &origin)? } else { value };
        if value.is_empty() {
            return Err(ConfigError::EmptySecret(origin));
        }
        Ok(Some(Found { value, origin, withheld: true }))
    }

    fn flag(&self, setting: &'static Setting) -> Option<(OsString, Origin)> {
        // A program that has no such flag has no value for it either.
        let value = self.matches.try_get_one::<OsString>(setting.name).ok()??;
        Some((value.clone(), Origin::Flag(setting.name)))
    }

    fn variable(&self, name: String) -> Option<(OsString, Origin)> {
        let value = (self.environment)(&name).filter(|value| !value.is_empty())?;
        Some((value, Origin::Variable(name)))
    }

    fn key(&self, name: &str, kind: Kind) -> Result<Option<(OsString, Origin)>, ConfigError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        Ok(file.value(name, kind)?.map(|(text, origin)| (text.into(), origin)))
    }
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The command line may hold a store URL with a password.
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Found {
    /// The value as text.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn text(&self) -> Result<&str, ConfigError> {
        self.value.to_str().ok_or_else(|| ConfigError::NotUnicode(self.origin.clone()))
    }

    /// The value as an error may repeat it.
    pub(super) fn shown(&self) -> Shown {
        if self.withheld {
            Shown::Withheld
        } else {
            Shown::Text(self.value.to_string_lossy().into_owned())
        }
    }

    /// The error that the value is not `what`.
    pub(super) fn malformed(&self, what: &'static str, expected: impl Into<String>) -> ConfigError {
        ConfigError::Malformed {
            origin: self.origin.clone(),
            shown: self.shown(),
            what,
            expected: expected.into(),
        }
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("value", &self.shown())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The content of a secret's file, without the byte order mark that editors put first and the
/// newline that they put last.
fn secret_in(file: PathBuf, origin: &Origin) -> Result<OsString, ConfigError> {
    let mut text = std::fs::read_to_string(&file).map_err(|cause| ConfigError::Unreadable {
        origin: origin.clone(),
        file,
        cause,
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).into())
}
