//! The key-encryption keys, out of the configuration.

use std::{process::Stdio, time::Duration};

use tessera_shared::{
    config::{IssuerConfig, KeyEncryptionKeySource},
    keys::{EncryptionKeys, KeyEncryptionKey},
};
use zeroize::Zeroizing;

use crate::IssuerError;

/// A command that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What private keys are sealed with, and what opens them besides.
pub(crate) async fn keys(config: &IssuerConfig) -> Result<EncryptionKeys, IssuerError> {
    let present = match &config.key_encryption_key {
        None => None,
        Some(KeyEncryptionKeySource::Given(secret)) => {
            Some(parsed("TESSERA_KEY_ENCRYPTION_KEY", secret.expose())?)
        }
        Some(KeyEncryptionKeySource::Command(command)) => {
            Some(parsed(COMMAND, &output(command, PATIENCE).await?)?)
        }
    };
    let others = config.other_key_encryption_keys.iter();
    let others = others.map(|key| parsed("TESSERA_OTHER_KEY_ENCRYPTION_KEYS", key.expose()));
    Ok(EncryptionKeys { present, others: others.collect::<Result<_, _>>()? })
}

const COMMAND: &str = "--key-encryption-key-command";

fn parsed(setting: &'static str, text: &str) -> Result<KeyEncryptionKey, IssuerError> {
    let what = "64 hexadecimal digits, from `openssl rand -hex 32`, are expected";
    text.parse().map_err(|_| IssuerError::Setting { setting, what: what.to_owned() })
}

/// What the command prints; it may say why it fails on stderr, which is ours.
async fn output(command: &str, patience: Duration) -> Result<Zeroizing<String>, IssuerError> {
    let wrong = |what: String| IssuerError::Setting { setting: COMMAND, what };
    let cannot_run = |error| wrong(format!("can't run /bin/sh: {error}"));
    let mut shell = tokio::process::Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    tracing::info!("waiting for {COMMAND} to print the key, {} s at most", patience.as_secs());
    // Not `output()`, which takes stderr too, and with it why the command fails.
    let shell = shell.stderr(Stdio::inherit()).spawn().map_err(cannot_run)?;
    let ended = tokio::time::timeout(patience, shell.wait_with_output()).await;
    let ended = ended.map_err(|_| {
        wrong(format!("it printed no key within {} s, and is given up", patience.as_secs()))
    })?;
    let ended = ended.map_err(cannot_run)?;
    let text = Zeroizing::new(String::from_utf8_lossy(&ended.stdout).into_owned());
    drop(Zeroizing::new(ended.stdout));
    if !ended.status.success() {
        return Err(wrong(format!("it failed, {}; it is to print the key", ended.status)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_gives_the_key_that_it_prints() {
        let text = output("printf '%064d\n' 7", PATIENCE).await.unwrap();
        assert!(parsed(COMMAND, &text).is_ok());
    }

    #[tokio::test]
    async fn a_command_that_fails_is_a_wrong_setting_and_says_nothing_it_printed() {
        for command in ["echo hunter2; exit 3", "kill -9 $$", "no-such-program-here 2>/dev/null"] {
            let error = output(command, PATIENCE).await.unwrap_err();
            assert_eq!(error.exit_code(), 64);
            let text = error.to_string();
            assert!(text.starts_with("--key-encryption-key-command: it failed"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let error = parsed(COMMAND, "hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up_as_a_wrong_setting() {
        let error = output("exec sleep 1000", Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(error.exit_code(), 64);
        let text = error.to_string();
        assert!(text.starts_with("--key-encryption-key-command: it printed no key"), "{text}");
    }
}
