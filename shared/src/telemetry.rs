//! Logging: events of `tracing` to stderr, as lines for people or as JSON.
//!
//! Field names are dotted (`token.id`), units stand in names (`wait_ms`), and no
//! event holds a credential.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    fmt::MakeWriter,
    util::{SubscriberInitExt, TryInitError},
};

use crate::config::{LogConfig, LogFormat};

/// Why nothing would be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of the configuration is malformed.
    #[error("the log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something else in the process has taken the events, or the records of `log`.
    #[error("another logger is installed: {0}")]
    Occupied(#[from] TryInitError),
}

/// Sends the events of this process, and the records of the `log` crate, to stderr.
/// Once this has succeeded, a further call changes nothing.
///
/// # Errors
/// Where the filter is malformed, or something else has installed a logger.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    // https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = std::io::stderr().is_terminal() && !no_color;
    subscriber(config, std::io::stderr, colour)?.try_init()?;
    *installed = true;
    Ok(())
}

/// What formats the events and writes them to `writer`.
fn subscriber<W>(
    config: &LogConfig,
    writer: W,
    colour: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colour);
    Ok(match config.format {
        LogFormat::Pretty => Box::new(builder.finish()),
        LogFormat::Compact => Box::new(builder.compact().finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `emit` logs under `config`.
    fn logged(format: LogFormat, filter: &str, emit: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let config = LogConfig { format, filter: filter.to_owned() };
        let subscriber = subscriber(&config, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, emit);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_with_dotted_fields_and_utc_time() {
        let text = logged(LogFormat::Json, "info", || {
            tracing::info!(token.id = 7, "created");
            tracing::info!("second");
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["token.id"], 7);
        assert_eq!(lines[0]["message"], "created");
        assert_eq!(lines[0]["level"], "INFO");
        assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn lines_for_people_are_one_an_event_and_plain_without_colour() {
        for format in [LogFormat::Pretty, LogFormat::Compact] {
            let text = logged(format, "info", || tracing::warn!(token.id = 7, "created"));
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains("WARN") && text.contains("created token.id=7"), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        let emit = || {
            tracing::debug!("of us");
            tracing::debug!(target: "other", "of others");
        };
        assert_eq!(logged(LogFormat::Pretty, "info", emit), "");
        let text = logged(LogFormat::Pretty, "info,tessera_shared=debug", emit);
        assert!(text.contains("of us") && !text.contains("of others"), "{text}");
    }

    #[test]
    fn a_malformed_filter_is_an_error() {
        let config = LogConfig { filter: "tessera=loud".to_owned(), ..LogConfig::default() };
        assert!(matches!(
            subscriber(&config, std::io::sink, false),
            Err(TelemetryError::Filter(_))
        ));
    }

    #[test]
    fn init_again_changes_nothing() {
        let config = LogConfig { filter: "error".to_owned(), ..LogConfig::default() };
        init(&config).unwrap();
        init(&config).unwrap();
        init(&LogConfig { filter: "trace".to_owned(), ..config }).unwrap();
    }
}
