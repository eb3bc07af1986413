//! From an address to an authenticated connection.

use std::{io, pin::Pin};

use ::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::settings::{Address, Login};

/// Calls that may wait to be written before the next one waits for its turn.
const QUEUE: usize = 1024;

/// Carries the bytes of a connection until it ends.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Connects and logs in. `pushes` gets what the server sends unasked.
pub(super) async fn connect(
    address: &Address,
    login: &Login,
    database: u16,
    pushes: impl AsyncPushSender,
) -> Result<(MultiplexedConnection, Driver), RedisError> {
    let stream = open(address).await?;
    // The deadline is kept by the caller, over the whole call.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE)
        .set_push_sender(pushes);
    let info = info(login, database);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream, config).await?;
    Ok((connection, Box::pin(driver)))
}

fn info(login: &Login, database: u16) -> RedisConnectionInfo {
    // No CLIENT SETINFO: a narrow ACL need not allow it.
    let mut info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(database.into())
        .set_skip_set_lib_name();
    if let Some(username) = &login.username {
        info = info.set_username(username);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password.as_str());
    }
    info
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
