//! Typed readings of a setting, and the forms that values have.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    error::ConfigError,
    secret::Secret,
    setting::{Kind, Setting},
    sources::{Found, Sources},
};

/// The units of a duration, the longest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Sources<'_> {
    /// The value of a setting that has a default or must be given.
    ///
    /// # Errors
    /// Where no source gives one; and those of [`Sources::lookup`].
    pub fn required(&self, setting: &'static Setting) -> Result<Found, ConfigError> {
        self.lookup(setting)?.ok_or(ConfigError::Missing(setting))
    }

    /// A value in a form of its own: `parse` gives `None` where the text is not
    /// `what`, and `expected` says what would be right.
    ///
    /// # Errors
    /// Where it is missing or malformed.
    pub fn parsed<T>(
        &self,
        setting: &'static Setting,
        what: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let found = self.required(setting)?;
        parse(found.text()?).ok_or_else(|| found.malformed(what, expected))
    }

    /// A span of time: numbers with units, the longest unit first.
    ///
    /// # Errors
    /// Where it is missing, malformed or outside the bounds of its [`Kind`].
    pub fn duration(&self, setting: &'static Setting) -> Result<Duration, ConfigError> {
        let found = self.required(setting)?;
        let value = parse_duration(found.text()?).ok_or_else(|| {
            found.malformed("a duration", "a number with a unit: 500ms, 2s, 10m, 24h")
        })?;
        match setting.kind {
            Kind::Duration(least, most) if value < least || value > most => {
                Err(out_of_range(&found, show_duration(least), show_duration(most)))
            }
            _ => Ok(value),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// Where it is missing, malformed, or outside the bounds of its [`Kind`] or
    /// of `T`.
    pub fn integer<T: TryFrom<u64>>(&self, setting: &'static Setting) -> Result<T, ConfigError> {
        let (least, most) = match setting.kind {
            Kind::Integer(least, most) => (least, most),
            _ => (0, u64::MAX),
        };
        let found = self.required(setting)?;
        let range = || format!("{least} to {most}");
        let number =
            found.text()?.parse::<u64>().map_err(|_| found.malformed("a whole number", range()))?;
        T::try_from(number)
            .ok()
            .filter(|_| (least..=most).contains(&number))
            .ok_or_else(|| out_of_range(&found, least.to_string(), most.to_string()))
    }

    /// A number from 0 to 1.
    ///
    /// # Errors
    /// Where it is missing or another.
    pub fn ratio(&self, setting: &'static Setting) -> Result<f64, ConfigError> {
        self.parsed(setting, "a ratio", "a number from 0 to 1: 0.01 for one in a hundred", |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        })
    }

    /// One of the words of its [`Kind`].
    ///
    /// # Errors
    /// Where it is missing or another word.
    pub fn choice(&self, setting: &'static Setting) -> Result<&'static str, ConfigError> {
        let words: &[&str] = match setting.kind {
            Kind::Choice(words) => words,
            _ => &[],
        };
        let found = self.required(setting)?;
        let text = found.text()?;
        words
            .iter()
            .copied()
            .find(|word| *word == text)
            .ok_or_else(|| found.malformed("a choice", format!("one of {}", words.join(", "))))
    }

    /// An IP address and a port.
    ///
    /// # Errors
    /// Where it is missing or malformed; a host name is.
    pub fn socket_address(&self, setting: &'static Setting) -> Result<SocketAddr, ConfigError> {
        let expected = "an IP address and a port: 127.0.0.1:50051, [::]:50051";
        self.parsed(setting, "an address to listen at", expected, |text| text.parse().ok())
    }

    /// A list: its parts, none of them empty, at least one.
    ///
    /// # Errors
    /// Where it is missing or has an empty part.
    pub fn list(&self, setting: &'static Setting) -> Result<Vec<String>, ConfigError> {
        self.parsed(setting, "a list", "names with commas between them: cdn,purge", |text| {
            let parts = text.split(',').map(str::trim);
            parts.map(|part| (!part.is_empty()).then(|| part.to_owned())).collect()
        })
    }

    /// A path, which need not be Unicode, if one is given.
    ///
    /// # Errors
    /// Where it is empty.
    pub fn path(&self, setting: &'static Setting) -> Result<Option<PathBuf>, ConfigError> {
        match self.lookup(setting)? {
            Some(found) if found.value.is_empty() => {
                Err(found.malformed("a path", "the path of a file"))
            }
            found => Ok(found.map(|found| PathBuf::from(found.value))),
        }
    }

    /// On or off, if a source says so.
    ///
    /// # Errors
    /// Where it is malformed.
    pub fn switch(&self, setting: &'static Setting) -> Result<Option<bool>, ConfigError> {
        let Some(found) = self.lookup(setting)? else {
            return Ok(None);
        };
        match found.text()? {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(found.malformed("a switch", "true or false")),
        }
    }

    /// A secret, if one is given.
    ///
    /// # Errors
    /// Where it is given twice, is empty, or its file can't be read.
    pub fn secret(&self, setting: &'static Setting) -> Result<Option<Secret>, ConfigError> {
        self.lookup(setting)?.map(secret_of).transpose()
    }
}

pub(super) fn secret_of(found: Found) -> Result<Secret, ConfigError> {
    let Found { value, origin, .. } = found;
    value.into_string().map(Secret::new).map_err(|_| ConfigError::NotUnicode(origin))
}

/// Parses `1h30m`: each number with its unit, the longest unit first, none twice.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis = 0_u64;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        // The iterator goes on from the last unit, so one that is longer is not found.
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        if tail.is_empty() {
            return Some(Duration::from_millis(millis));
        }
        rest = tail;
    }
}

/// The duration as [`parse_duration`] reads it, in the longest unit that divides
/// it; a single day stays 24 hours, as people say it.
pub(super) fn show_duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let divides = |(name, factor): &&(&str, u64)| {
        millis.is_multiple_of(*factor) && (*name != "d" || millis > *factor)
    };
    match UNITS.iter().find(divides) {
        Some((name, factor)) if millis > 0 => format!("{}{name}", millis / factor),
        _ => "0s".to_owned(),
    }
}

pub(super) fn out_of_range(found: &Found, least: String, most: String) -> ConfigError {
    ConfigError::OutOfRange { origin: found.origin.clone(), shown: found.shown(), least, most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units_the_longest_first() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("10m", 600_000),
            ("24h", 86_400_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "2",
            "s",
            "2 s",
            " 2s",
            "2s ",
            "-2s",
            "+2s",
            "1.5h",
            "2 bananas",
            "2S",
            "30m1h",
            "1s1s",
            "2sé",
            "99999999999999999999s",
            "18446744073709551615d",
            "1h30",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_shown_duration_is_read_back_as_the_same() {
        for (millis, text) in [
            (0, "0s"),
            (100, "100ms"),
            (1_500, "1500ms"),
            (60_000, "1m"),
            (86_400_000, "24h"),
            (31_536_000_000, "365d"),
        ] {
            let value = Duration::from_millis(millis);
            assert_eq!(show_duration(value), text);
            assert_eq!(parse_duration(text), Some(value));
        }
    }
}
