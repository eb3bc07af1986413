//! What each record of the contract shows. One list of fields gives both the
//! table and the JSON, so that they never tell different stories.

mod admin;
mod principal;
mod session;
mod token;
mod verdict;

pub(crate) use verdict::Verdict;

use prost_types::Timestamp;
use serde::{Serialize, Serializer};

use crate::when;

/// Something that can be shown.
pub(crate) trait Record {
    /// The names of the fields of [`Record::row`] that a list shows.
    const COLUMNS: &'static [&'static str];

    /// All its fields, named and ordered as in the contract.
    fn fields(&self) -> Fields;

    /// What a list takes its columns from.
    fn row(&self) -> Fields {
        self.fields()
    }
}

/// Fields in order.
#[derive(Clone, Debug)]
pub(crate) struct Fields(Vec<(&'static str, Field)>);

/// Makes [`Fields`].
pub(crate) fn fields(all: impl Into<Vec<(&'static str, Field)>>) -> Fields {
    Fields(all.into())
}

impl Fields {
    /// The field called `name`.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        let mut all = self.0.iter();
        all.find_map(|(own, field)| (*own == name).then_some(field))
    }

    /// The fields, those of inner records in their place.
    pub(crate) fn flat(&self) -> Vec<(&'static str, &Field)> {
        let mut flat = Vec::new();
        for (name, field) in &self.0 {
            match field {
                Field::Record(inner) => flat.extend(inner.flat()),
                other => flat.push((*name, other)),
            }
        }
        flat
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, field)| (name, field)))
    }
}

/// One value. Secrets have no variant of their own: a record holds none.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Field {
    /// An id or a count; ids are below 2^53, so JSON's readers keep them exact.
    Number(i64),
    /// A text.
    Text(String),
    /// A name of an enumeration, without its prefix.
    Name(&'static str),
    /// Yes or no.
    Flag(bool),
    /// Texts.
    List(Vec<String>),
    /// An instant, or that there is none.
    Time(Time),
    /// A record inside.
    Record(Fields),
    /// Records inside, which people see apart.
    Records(Vec<Fields>),
}

/// An instant, or that there is none.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    at: Option<Timestamp>,
    /// What people read where there is none.
    none: &'static str,
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.at.as_ref().map(when::exact).serialize(serializer)
    }
}

impl Field {
    /// An instant; absent it shows as `-` and is null in JSON.
    pub(crate) fn time(at: Option<Timestamp>) -> Self {
        Self::Time(Time { at, none: "-" })
    }

    /// An instant; absent it shows as "never" and is null in JSON.
    pub(crate) fn or_never(at: Option<Timestamp>) -> Self {
        Self::Time(Time { at, none: "never" })
    }

    /// What people read.
    pub(crate) fn for_people(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) if text.is_empty() => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Name(name) => name.to_lowercase().replace('_', " "),
            Self::Flag(true) => "yes".to_owned(),
            Self::Flag(false) => "no".to_owned(),
            Self::List(texts) if texts.is_empty() => "-".to_owned(),
            Self::List(texts) => texts.join(", "),
            Self::Time(Time { at, none }) => {
                at.as_ref().map_or_else(|| (*none).to_owned(), when::brief)
            }
            Self::Record(_) => String::new(),
            Self::Records(all) => all.len().to_string(),
        }
    }
}

/// The name of an enumeration's value without the prefix that the contract gives it.
fn short(name: &'static str, prefix: &str) -> Field {
    Field::Name(name.strip_prefix(prefix).unwrap_or(name))
}

/// `text` with its control characters escaped: others choose names and user agents,
/// and must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
