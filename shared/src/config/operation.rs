//! How a service is operated: its health, its limits, its end, its traces.

use std::{net::SocketAddr, time::Duration};

use super::{
    error::ConfigError, setting::Setting, settings, sources::Sources, traces::TracesConfig,
};

/// How a service is operated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperationConfig {
    /// Where health and metrics alone are served, in plaintext.
    pub health_listen: Option<SocketAddr>,
    /// How long after SIGTERM calls are still taken.
    pub drain_delay: Duration,
    /// How long requests in flight may take to end after that.
    pub drain_timeout: Duration,
    /// How old a connection gets before its caller is asked to make a new one; `None`: as
    /// old as it likes.
    pub max_connection_age: Option<Duration>,
    /// How many connections may be open.
    pub max_connections: usize,
    /// How many calls may be under way, those excepted that memory answers.
    pub max_concurrent_calls: usize,
    /// Where traces go; `None`: there are none.
    pub traces: Option<TracesConfig>,
}

impl OperationConfig {
    /// `health` is the setting of the health listener, and `delay` that of the drain delay.
    pub(super) fn read(
        sources: &Sources<'_>,
        health: &'static Setting,
        delay: &'static Setting,
    ) -> Result<Self, ConfigError> {
        // It tells nothing secret, so plaintext is no matter: kubelet probes nothing else.
        let health_listen = match sources.lookup(health)? {
            Some(_) => Some(sources.socket_address(health)?),
            None => None,
        };
        let age = sources.duration(&settings::MAX_CONNECTION_AGE)?;
        Ok(Self {
            health_listen,
            drain_delay: sources.duration(delay)?,
            drain_timeout: sources.duration(&settings::DRAIN_TIMEOUT)?,
            max_connection_age: (!age.is_zero()).then_some(age),
            max_connections: sources.integer(&settings::MAX_CONNECTIONS)?,
            max_concurrent_calls: sources.integer(&settings::MAX_CONCURRENT_CALLS)?,
            traces: TracesConfig::read(sources)?,
        })
    }
}
