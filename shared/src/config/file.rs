//! The TOML file of `--config`: flat, a key for each setting.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::Value;
use zeroize::Zeroizing;

use super::{
    error::{ConfigError, Origin},
    setting::Kind,
    settings,
};

/// A configuration file whose keys are all known.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// By the name of the setting, with dashes.
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    /// The key as it is written.
    key: String,
    value: Value,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value may be a secret.
        f.debug_struct("Entry").field("key", &self.key).finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// Reads the file at `path`, which `origin` names.
    pub(super) fn read(path: &Path, origin: Origin) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|cause| ConfigError::Unreadable { origin, file: path.to_owned(), cause })?;
        Self::parse(path, &text)
    }

    /// The value of the setting with this name, as it would be on the command
    /// line, and where it stands. An array, which only a list may be, turns into
    /// its parts with commas between.
    pub(super) fn value(
        &self,
        name: &str,
        kind: Kind,
    ) -> Result<Option<(String, Origin)>, ConfigError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let origin = Origin::Key { key: entry.key.clone(), file: self.path.clone() };
        let text = match &entry.value {
            Value::String(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Boolean(on) => Some(on.to_string()),
            Value::Float(number) if kind == Kind::Ratio => Some(number.to_string()),
            Value::Array(parts) if kind == Kind::List => joined(parts),
            _ => None,
        };
        match text {
            Some(text) => Ok(Some((text, origin))),
            None => Err(ConfigError::WrongType {
                origin,
                found: entry.value.type_str(),
                expected: match kind {
                    Kind::List => "an array of strings, with no comma in them",
                    Kind::Ratio => "a number",
                    _ => "a string, an integer or a boolean",
                },
            }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error| syntax(path, text, &error))?;
        let mut entries = BTreeMap::<String, Entry>::new();
        for (key, value) in table {
            let name = key.replace('_', "-");
            if !known_keys().any(|known| known == name) {
                let nearest = nearest(&name);
                return Err(ConfigError::UnknownKey { key, file: path.to_owned(), nearest });
            }
            if let Some(first) = entries.get(&name) {
                let first = first.key.clone();
                return Err(ConfigError::RepeatedKey { first, second: key, file: path.to_owned() });
            }
            entries.insert(name, Entry { key, value });
        }
        Ok(Self { path: path.to_owned(), entries })
    }
}

/// Every key that a file may hold. `config` is none: a file does not lead to another.
fn known_keys() -> impl Iterator<Item = String> {
    settings::all().filter(|setting| *setting != &settings::CONFIG).flat_map(|setting| {
        let file_key = setting.is_secret().then(|| setting.file_key());
        [Some(setting.name.to_owned()), file_key].into_iter().flatten()
    })
}

fn joined(parts: &[Value]) -> Option<String> {
    let words: Option<Vec<&str>> =
        parts.iter().map(|part| part.as_str().filter(|word| !word.contains(','))).collect();
    words.map(|words| words.join(","))
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().get(..start).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    // Only the message: the full text of the error repeats the line.
    ConfigError::Syntax { file: path.to_owned(), line, message: error.message().to_owned() }
}

/// The known key that `name` resembles, if any does.
fn nearest(name: &str) -> Option<String> {
    known_keys()
        .map(|known| (edit_distance(name, &known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .map(|(_, known)| known)
}

/// How many characters to insert, remove or replace to make `b` of `a`
/// (Levenshtein's distance).
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(from != to)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_character_changes() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("dev", "dev", 0),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let file = ConfigFile::parse(Path::new("t.toml"), "admin-password = 'hunter2'").unwrap();
        assert!(!format!("{file:?}").contains("hunter2"));
    }
}
