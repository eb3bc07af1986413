//! What is measured: a Redis, an issuer, verifiers, and the no-op server.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use prost::Message as _;
use tempfile::TempDir;
use tessera_proto::v1::{
    LoginRequest, LoginResponse, VerifyRequest, VerifyResponse,
    issuer_service_client::IssuerServiceClient, verifier_service_client::VerifierServiceClient,
};
use tessera_shared::store::redis::{Address, RedisSettings, RedisStore, Topology};
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};

use crate::{
    Options,
    failure::{Failure, OrFail as _},
    machine,
    process::{Place, Process, free_address, on_path},
};

const PASSWORD: &str = "the passphrase of the bench's administrator";
/// How long a program may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gRPC server under measurement.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// A Redis with an issuer on it. Verifiers come and go.
pub(crate) struct System {
    // In the order of dropping: the issuer ends before its store.
    issuer: Server,
    pub(crate) redis: Server,
    pub(crate) session: LoginResponse,
    options: Options,
    dir: TempDir,
}

impl System {
    /// Starts Redis and the issuer, and logs in. `durable`: with the settings of
    /// `deploy/redis/redis.conf`; otherwise nothing goes to the disk, which no read feels.
    pub(crate) async fn start(options: &Options, durable: bool) -> Result<Self, Failure> {
        let dir = TempDir::new().or_fail("make a folder for what is started")?;
        let mut redis = start_redis(options, durable, &dir)?;
        let (address, http) = (free_address()?, free_address()?);
        let url = format!("redis://{}/0", redis.address);
        let mut arguments = places(&url, address, http);
        arguments.extend(options.issuer_flag.iter().cloned());
        let program = options.program("tessera-issuer")?;
        let secret = [("TESSERA_ADMIN_PASSWORD", PASSWORD)];
        // It merges what is reported of the use of tokens, which is not what is measured.
        let place = Place::on(&options.load_cores).behind();
        let process = Process::start(&program, place, &arguments, &secret, dir.path())?;
        let mut issuer = Server { process, address };
        let begun = Instant::now();
        let session = loop {
            redis.process.still_runs()?;
            issuer.process.still_runs()?;
            let request = LoginRequest { username: "admin".into(), password: PASSWORD.into() };
            match IssuerServiceClient::new(channel(address)?).login(request).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) if begun.elapsed() > PATIENCE => {
                    return Err(status).or_fail("log in at the issuer that was started");
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        Ok(Self { issuer, redis, session, options: options.clone(), dir })
    }

    /// The store, as the issuer has it.
    pub(crate) fn store(&self) -> Arc<RedisStore> {
        let (host, port) = (self.redis.address.ip().to_string(), self.redis.address.port());
        let server = Topology::One(Address::Tcp { host, port });
        let mut settings = RedisSettings::new(server);
        settings.deadline = Duration::from_secs(30);
        Arc::new(RedisStore::new(settings))
    }

    /// A connection for a look at Redis itself.
    pub(crate) async fn redis(&self) -> Result<redis::aio::MultiplexedConnection, Failure> {
        let client = redis::Client::open(format!("redis://{}/0", self.redis.address));
        let client = client.or_fail("make a client of Redis")?;
        client.get_multiplexed_async_connection().await.or_fail("connect to Redis")
    }

    /// A client of the issuer, with no credentials.
    pub(crate) fn issuer(&self) -> Result<IssuerServiceClient<Channel>, Failure> {
        Ok(IssuerServiceClient::new(channel(self.issuer.address)?))
    }

    /// Starts a verifier on the server's cores and waits until it answers.
    pub(crate) async fn verifier(&self) -> Result<Server, Failure> {
        self.verifier_on(&self.options.server_cores).await
    }

    /// As [`Self::verifier`], on `cores`.
    pub(crate) async fn verifier_on(&self, cores: &str) -> Result<Server, Failure> {
        answering(self.launch_verifier(cores)?).await
    }

    /// Starts a verifier and does not wait.
    pub(crate) fn launch_verifier(&self, cores: &str) -> Result<Server, Failure> {
        let (address, http) = (free_address()?, free_address()?);
        let url = format!("redis://{}/0", self.redis.address);
        let mut arguments = places(&url, address, http);
        arguments.extend(self.options.verifier_flag.iter().cloned());
        let program = self.options.program("tessera-verifier")?;
        let process = Process::start(&program, Place::on(cores), &arguments, &[], self.dir.path())?;
        Ok(Server { process, address })
    }

    /// Starts the no-op server, which gives `answer` to all, on the server's cores.
    pub(crate) async fn noop(&self, answer: &VerifyResponse) -> Result<Server, Failure> {
        let file: PathBuf = self.dir.path().join("answer");
        let written = std::fs::write(&file, answer.encode_to_vec());
        written.or_fail(format_args!("write {}", file.display()))?;
        let address = free_address()?;
        let arguments =
            words(&["--listen", &address.to_string(), "--answer", &file.display().to_string()]);
        let program = self.options.program("noop")?;
        let cores = &self.options.server_cores;
        let process = Process::start(&program, Place::on(cores), &arguments, &[], self.dir.path())?;
        answering(Server { process, address }).await
    }

    /// Puts the load and the store in their places. Until then they may use all cores.
    pub(crate) fn pin(&self) -> Result<(), Failure> {
        machine::pin(self.redis.process.id(), &self.options.store_cores)?;
        machine::pin(std::process::id(), &self.options.load_cores)
    }
}

/// Lets the rig use all cores again, to make ready for the next scenario.
pub(crate) fn unpin(options: &Options) -> Result<(), Failure> {
    machine::pin(std::process::id(), &options.all_cores())
}

/// A real call, whose `grpc-status` tonic has read.
pub(crate) async fn ask(server: &Server, token: &str) -> Result<VerifyResponse, Failure> {
    let request = VerifyRequest { token: token.to_owned(), ..VerifyRequest::default() };
    let answer = VerifierServiceClient::new(channel(server.address)?).verify(request).await;
    Ok(answer.or_fail("get an answer of the verifier")?.into_inner())
}

/// A channel that connects with its first call.
pub(crate) fn channel(address: SocketAddr) -> Result<Channel, Failure> {
    let endpoint = Endpoint::try_from(format!("http://{address}")).or_fail("make a URL")?;
    Ok(endpoint.tcp_nodelay(true).connect_lazy())
}

async fn answering(mut server: Server) -> Result<Server, Failure> {
    let begun = Instant::now();
    loop {
        server.process.still_runs()?;
        // Any verdict will do: it takes the store to give one.
        let token = "tessera_1_00000000000000000000000000000000000000000002V7qfF";
        match ask(&server, token).await {
            Ok(_) => return Ok(server),
            Err(failure) if begun.elapsed() > PATIENCE => return Err(failure),
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

fn start_redis(options: &Options, durable: bool, dir: &TempDir) -> Result<Server, Failure> {
    let program = on_path("redis-server", "install it (Debian: redis-server), or mend PATH")?;
    let address = free_address()?;
    let port = address.port().to_string();
    let mut arguments = words(&["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
    arguments.extend(words(&["--maxmemory-policy", "noeviction"]));
    if durable {
        arguments.extend(words(&["--appendonly", "yes", "--appendfsync", "always"]));
    }
    let cores = options.all_cores();
    let process = Process::start(&program, Place::on(&cores), &arguments, &[], dir.path())?;
    Ok(Server { process, address })
}

fn places(store: &str, grpc: SocketAddr, http: SocketAddr) -> Vec<String> {
    let (grpc, http) = (grpc.to_string(), http.to_string());
    words(&["--dev", "--store", store, "--listen", &grpc, "--http-listen", &http])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
