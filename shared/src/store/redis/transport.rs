//! From an address to an authenticated connection.

use std::{io, pin::Pin};

use ::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::settings::{Address, RedisSettings};

/// Calls that may wait to be written before the next one waits for its turn.
const QUEUE: usize = 1024;

/// Connects and logs in. `pushes` gets what the server sends unasked. The task drives the connection and ends with it.
pub(super) async fn connect(
    settings: &RedisSettings,
    pushes: impl AsyncPushSender,
) -> Result<(MultiplexedConnection, JoinHandle<()>), RedisError> {
    let stream = open(&settings.address).await?;
    // The deadline is kept by the caller, over the whole call.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE)
        .set_push_sender(pushes);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&login(settings), stream, config).await?;
    Ok((connection, tokio::spawn(driver)))
}

fn login(settings: &RedisSettings) -> RedisConnectionInfo {
    // No CLIENT SETINFO: a narrow ACL need not allow it.
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(settings.database.into())
        .set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.as_str());
    }
    login
}

trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

async fn open(address: &Address) -> io::Result<Pin<Box<dyn Duplex>>> {
    Ok(match address {
        Address::Tcp { host, port } => Box::pin(open_tcp(host, *port).await?),
        Address::Tls { host, port, name, config } => {
            let stream = open_tcp(host, *port).await?;
            Box::pin(TlsConnector::from(config.clone()).connect(name.clone(), stream).await?)
        }
        Address::Unix(path) => Box::pin(UnixStream::connect(path).await?),
    })
}

async fn open_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Small requests, each awaited: Nagle's algorithm would hold them back.
    stream.set_nodelay(true)?;
    Ok(stream)
}
