//! What a setting is, and the names that follow from its name.

use std::time::Duration;

/// One setting, as every source knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of its flag, without the dashes: `staleness-bound`.
    pub name: &'static str,
    /// One or two sentences for `--help`.
    pub help: &'static str,
    /// What the value stands for in `--help`: `DURATION`.
    pub value_name: &'static str,
    /// What holds where no source names it, as one would write it on the
    /// command line.
    pub default: Option<&'static str>,
    /// What may be written.
    pub kind: Kind,
}

/// What may be written as the value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text whose form the reader of the setting knows.
    Plain,
    /// Text that may hold a credential, such as a store URL: it has a flag, but
    /// no error repeats it.
    Private,
    /// A credential: no flag, and no error repeats it.
    Secret,
    /// On or off; the flag alone means on.
    Switch,
    /// Text parts with commas between them, in a TOML file an array too.
    List,
    /// A span of time within these bounds, both allowed.
    Duration(Duration, Duration),
    /// A number from 0 to 1.
    Ratio,
    /// A whole number within these bounds, both allowed.
    Integer(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// Settings under one heading of `--help`.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub heading: &'static str,
    /// Its settings, in the order of `--help`.
    pub settings: &'static [&'static Setting],
}

impl Setting {
    /// The environment variable: `TESSERA_STALENESS_BOUND`.
    pub fn variable(&self) -> String {
        format!("TESSERA_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The variable that names a file with the value; only a secret is read from it.
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable())
    }

    /// The key in the TOML file that names a file with the value; only a secret
    /// is read from it.
    pub fn file_key(&self) -> String {
        format!("{}-file", self.name)
    }

    /// Whether it is a secret, and so has no flag.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// Every way to give it a value, for an error that asks for one.
    pub fn ways(&self) -> String {
        let (variable, name) = (self.variable(), self.name);
        if self.is_secret() {
            format!("{variable}, {} or, in the configuration file, {name}", self.file_variable())
        } else {
            format!("--{name}, {variable} or, in the configuration file, {name}")
        }
    }
}
