//! A connection for a look at a server: one command at a time, and a refusal is an answer.

use ::redis::{
    Cmd, ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection,
    from_redis_value,
};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    cluster,
    failure::describe,
    sentinel::Sentinels,
    settings::{Address, Endpoint, RedisSettings, Topology},
    tls::Security,
    transport,
};
use crate::store::StoreError;

/// A connection of its own, closed when it is dropped.
pub(crate) struct Look {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    address: Address,
    settings: RedisSettings,
}

/// What a server makes of a command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It did it.
    Value(Value),
    /// It may be said, and was wrong in itself.
    Wrong,
    /// This user may not say it.
    Forbidden,
    /// The server does not know it.
    Strange,
}

impl Look {
    /// Connects to every primary, and logs in.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], with the reason.
    pub(crate) async fn at_primaries(settings: &RedisSettings) -> Result<Vec<Self>, StoreError> {
        let addresses = match &settings.topology {
            Topology::One(address) => Ok(vec![address.clone()]),
            Topology::Sentinel(sentinels) => {
                let sentinels = Sentinels::new(sentinels.clone());
                sentinels.find(settings.deadline).await.map(|primary| vec![primary])
            }
            Topology::Cluster(seeds, security) => {
                cluster::primaries(settings, seeds, security).await
            }
        };
        let mut looks = Vec::new();
        for address in addresses.map_err(StoreError::Unavailable)? {
            looks.push(Self::at(&address, settings).await?);
        }
        Ok(looks)
    }

    /// By what these servers are reached that the one looked at tells of: in a cluster over TLS by
    /// the host names that they announce, for which their certificates may be.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no answer.
    pub(crate) async fn announced(
        &mut self,
        places: Vec<Endpoint>,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let Topology::Cluster(_, security) = self.settings.topology.clone() else {
            return Ok(places);
        };
        let text = match self.ask(&["CLUSTER", "NODES"]).await? {
            Answer::Value(value) => from_redis_value::<String>(value).unwrap_or_default(),
            _ => String::new(),
        };
        let announced = places
            .into_iter()
            .map(|place| cluster::announced(&text, &place, &security).unwrap_or(place));
        Ok(announced.collect())
    }

    /// Connects to another server, as the same user and over the same kind of connection.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], with the reason.
    pub(crate) async fn beside(&self, endpoint: &Endpoint) -> Result<Self, StoreError> {
        let security = match &self.address {
            Address::Tls { config, .. } => Security::Tls(config.clone()),
            Address::Tcp { .. } | Address::Unix(_) => Security::Plain,
        };
        let address = security.address(endpoint);
        let address = address.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Self::at(&address, &self.settings).await
    }

    async fn at(address: &Address, settings: &RedisSettings) -> Result<Self, StoreError> {
        let ignore = |_| Ok::<_, std::convert::Infallible>(());
        let connecting = transport::connect(address, &settings.login, settings.database, ignore);
        let connected = timeout(settings.deadline, connecting).await.map_err(|_| too_slow())?;
        let (connection, driver) = connected.map_err(|error| unavailable(&error))?;
        let driver = tokio::spawn(driver);
        let (address, settings) = (address.clone(), settings.clone());
        Ok(Self { connection, driver, address, settings })
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// How the server was found, and what of it is asked.
    pub(crate) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// What comes before every name.
    pub(crate) fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// Says one command.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no answer.
    pub(crate) async fn ask(&mut self, words: &[&str]) -> Result<Answer, StoreError> {
        let command = Cmd::new().arg(words).to_owned();
        let asking = command.query_async::<Value>(&mut self.connection);
        match timeout(self.settings.deadline, asking).await.map_err(|_| too_slow())? {
            Ok(value) => Ok(Answer::Value(value)),
            Err(error) if error.code() == Some("NOPERM") => Ok(Answer::Forbidden),
            Err(error) => match error.kind() {
                ErrorKind::Io => Err(unavailable(&error)),
                ErrorKind::Server(ServerErrorKind::ResponseError)
                    if error.detail().is_some_and(|it| it.starts_with("unknown command")) =>
                {
                    Ok(Answer::Strange)
                }
                _ => Ok(Answer::Wrong),
            },
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn unavailable(error: &RedisError) -> StoreError {
    StoreError::Unavailable(describe(error))
}

fn too_slow() -> StoreError {
    StoreError::Unavailable("no answer within the deadline".to_owned())
}
