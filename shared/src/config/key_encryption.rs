//! How signing keys are sealed, and when they are replaced.

use std::time::Duration;

use super::{
    error::{ConfigError, Origin},
    secret::Secret,
    setting::Kind,
    settings,
    sources::Sources,
    value::{out_of_range, secret_of, show_duration},
};

/// Where the key-encryption key comes from.
#[derive(Debug)]
pub enum KeyEncryptionKeySource {
    /// The configuration: 64 hexadecimal digits.
    Given(Secret),
    /// What this shell command prints.
    Command(String),
}

const EXPECTED: &str = "64 hexadecimal digits, from `openssl rand -hex 32`";

pub(super) fn key_encryption_key(
    sources: &Sources<'_>,
    dev: bool,
) -> Result<Option<KeyEncryptionKeySource>, ConfigError> {
    let given = sources.lookup(&settings::KEY_ENCRYPTION_KEY)?;
    let command = sources.lookup(&settings::KEY_ENCRYPTION_KEY_COMMAND)?;
    match (given, command) {
        (Some(given), Some(command)) => {
            Err(ConfigError::TwoForms { first: given.origin, second: command.origin })
        }
        (Some(given), None) => {
            if !is_key(given.text()?) {
                return Err(given.malformed("a key encryption key", EXPECTED));
            }
            secret_of(given).map(KeyEncryptionKeySource::Given).map(Some)
        }
        (None, Some(command)) if command.value.is_empty() => {
            Err(command.malformed("a command", "a shell command that prints the key"))
        }
        (None, Some(command)) => {
            Ok(Some(KeyEncryptionKeySource::Command(command.text()?.to_owned())))
        }
        (None, None) if dev => Ok(None),
        (None, None) => Err(ConfigError::NoKeyEncryptionKey),
    }
}

pub(super) fn other_key_encryption_keys(sources: &Sources<'_>) -> Result<Vec<Secret>, ConfigError> {
    let Some(found) = sources.lookup(&settings::OTHER_KEY_ENCRYPTION_KEYS)? else {
        return Ok(Vec::new());
    };
    let keys = found.text()?.split(',').map(str::trim);
    let keys: Option<Vec<_>> =
        keys.map(|key| is_key(key).then(|| Secret::new(key.to_owned()))).collect();
    let expected = || format!("{EXPECTED}, with commas between several");
    keys.ok_or_else(|| found.malformed("a list of key encryption keys", expected()))
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A verifier may be as far behind as the staleness bound, and clocks differ. The default gives
/// way to a long bound; what somebody chose is refused.
pub(super) fn key_publication_delay(sources: &Sources<'_>) -> Result<Duration, ConfigError> {
    let setting = &settings::KEY_PUBLICATION_DELAY;
    let least = sources.duration(&settings::STALENESS_BOUND)? + Duration::from_secs(1);
    let (found, delay) = (sources.required(setting)?, sources.duration(setting)?);
    match (found.origin.clone(), setting.kind) {
        (Origin::Default(_), _) => Ok(delay.max(least)),
        (_, Kind::Duration(_, most)) if delay < least => {
            let least = format!("{} (the staleness bound and a second)", show_duration(least));
            Err(out_of_range(&found, least, show_duration(most)))
        }
        _ => Ok(delay),
    }
}

pub(super) fn key_rotation_period(sources: &Sources<'_>) -> Result<Option<Duration>, ConfigError> {
    let setting = &settings::KEY_ROTATION_PERIOD;
    sources.lookup(setting)?.map(|_| sources.duration(setting)).transpose()
}
