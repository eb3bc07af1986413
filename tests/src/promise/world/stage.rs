//! The programs, and the network between them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{Plan, Store};
use crate::{
    group::{Cluster, SentinelGroup},
    process::Process,
    proxy::Proxy,
    redis::Redis,
    service::{self, Place},
};

const VERIFIERS: usize = 3;

/// A running installation. Each service reaches the store through a proxy of its own.
pub(super) struct Stage {
    pub(super) issuer: Place,
    pub(super) verifiers: Vec<Place>,
    pub(super) machines: Arc<Mutex<Machines>>,
    /// Whether the store is several servers.
    pub(super) is_group: bool,
    /// In the order of the services.
    pub(super) proxies: Arc<[Proxy]>,
    dir: Option<TempDir>,
}

/// What can be killed.
pub(super) struct Machines {
    /// The first is the issuer, or the whole embedded installation.
    pub(super) services: Vec<Service>,
    pub(super) servers: Servers,
}

/// The servers of the store.
pub(super) enum Servers {
    /// The store is files.
    None,
    One(Redis),
    Sentinels(SentinelGroup),
    Cluster(Cluster),
}

/// A program that can be killed and started again where it was.
pub(super) struct Service {
    pub(super) name: String,
    process: Process,
    start: Box<dyn Fn() -> Process + Send>,
}

impl Stage {
    /// Starts everything and waits until all of it serves.
    pub(super) async fn set(plan: &Plan) -> Self {
        let dir = TempDir::new().unwrap();
        let bound = format!("--staleness-bound={}ms", plan.bound.as_millis());
        // What the run leaves alive counts as well.
        let many = "--tokens-per-account=100000".to_owned();
        let soon = plan.bound + Duration::from_millis(1_500);
        let soon = format!("--key-publication-delay={}ms", soon.as_millis());
        let confirmed = format!("--store-min-replicas={}", plan.confirmations());
        let (issuer, path) = (Place::free(), dir.path().to_owned());
        let mut stage = match plan.store {
            Store::Embedded => Self::embedded(issuer, vec![bound, many, soon], path),
            Store::Redis => Self::over_redis(issuer, bound, vec![many, soon], path).await,
            Store::Sentinel => {
                let group = SentinelGroup::start().await;
                let urls = ["issuer", "verifier"].map(|user| group.url_as(user));
                let servers = Servers::Sentinels(group);
                Self::over_group(issuer, urls, servers, bound, vec![many, soon, confirmed], path)
            }
            Store::Cluster => {
                let cluster = Cluster::start().await;
                let urls = ["issuer", "verifier"].map(|user| cluster.url_as(user));
                let servers = Servers::Cluster(cluster);
                Self::over_group(issuer, urls, servers, bound, vec![many, soon, confirmed], path)
            }
        };
        stage.dir = Some(dir);
        let places = std::iter::once(issuer).chain(stage.verifiers.iter().copied());
        let places: Vec<_> = places.map(|place| place.grpc).collect();
        {
            let services = &mut stage.machines.lock().await.services;
            let last = services.len() - 1;
            for (number, address) in places.into_iter().enumerate() {
                service::serving(&mut services[number.min(last)].process, address).await;
            }
        }
        stage
    }

    fn embedded(issuer: Place, flags: Vec<String>, dir: PathBuf) -> Self {
        let verifier = Place::free();
        let data = dir.join("data");
        let up = move || service::up(&data, issuer, verifier, &flags, &dir);
        let services = vec![Service::new("tessera up", up)];
        Self::new(issuer, vec![verifier], Machines { services, servers: Servers::None }, Vec::new())
    }

    async fn over_redis(issuer: Place, bound: String, more: Vec<String>, dir: PathBuf) -> Self {
        let redis = Redis::start().await;
        let verifiers: Vec<_> = (0..VERIFIERS).map(|_| Place::free()).collect();
        let proxy = Proxy::start(redis.address()).await;
        let url = redis.url_through("issuer", proxy.address());
        let flags = [vec![bound.clone()], more].concat();
        let mut proxies = vec![proxy];
        let folder = dir.clone();
        let start = move || service::issuer(&url, issuer, &flags, &folder);
        let mut services = vec![Service::new("the issuer", start)];
        for (number, place) in verifiers.iter().copied().enumerate() {
            let proxy = Proxy::start(redis.address()).await;
            let url = redis.url_through("verifier", proxy.address());
            let flags = vec![bound.clone()];
            proxies.push(proxy);
            let (file, folder) = (format!("verifier-{number}"), dir.clone());
            let start = move || service::verifier(&file, &url, place, &flags, &folder);
            services.push(Service::new(&format!("verifier {number}"), start));
        }
        Self::new(issuer, verifiers, Machines { services, servers: Servers::One(redis) }, proxies)
    }

    /// Nothing stands between these servers and the services: they name each other. What
    /// is acknowledged is on a replica, so that no failover may lose it.
    fn over_group(
        issuer: Place,
        [of_issuer, of_verifier]: [String; 2],
        servers: Servers,
        bound: String,
        more: Vec<String>,
        dir: PathBuf,
    ) -> Self {
        let verifiers: Vec<_> = (0..VERIFIERS).map(|_| Place::free()).collect();
        let flags = [vec![bound.clone()], more].concat();
        let folder = dir.clone();
        let start = move || service::issuer(&of_issuer, issuer, &flags, &folder);
        let mut services = vec![Service::new("the issuer", start)];
        for (number, place) in verifiers.iter().copied().enumerate() {
            let (url, flags) = (of_verifier.clone(), vec![bound.clone()]);
            let (file, folder) = (format!("verifier-{number}"), dir.clone());
            let start = move || service::verifier(&file, &url, place, &flags, &folder);
            services.push(Service::new(&format!("verifier {number}"), start));
        }
        Self::new(issuer, verifiers, Machines { services, servers }, Vec::new())
    }

    fn new(issuer: Place, verifiers: Vec<Place>, machines: Machines, proxies: Vec<Proxy>) -> Self {
        let is_group = matches!(machines.servers, Servers::Sentinels(_) | Servers::Cluster(_));
        let machines = Arc::new(Mutex::new(machines));
        Self { issuer, verifiers, machines, is_group, proxies: proxies.into(), dir: None }
    }

    /// On a failure the value that this answers tells how to repeat the run, and where
    /// the logs of the programs are, which stay then.
    pub(super) fn tell_on_failure(&mut self, plan: Plan) -> impl Drop + use<> {
        Told { plan, dir: self.dir.take() }
    }
}

impl Service {
    fn new(name: &str, start: impl Fn() -> Process + Send + 'static) -> Self {
        Self { name: name.to_owned(), process: start(), start: Box::new(start) }
    }

    /// Ends it with `kill -9`.
    pub(super) async fn kill9(&mut self) {
        self.assert_running();
        self.process.signal("KILL");
        self.process.exit().await;
    }

    /// Starts it again, at the same place.
    pub(super) fn restart(&mut self) {
        self.process = (self.start)();
    }

    /// Fails when it has ended by itself.
    pub(super) fn assert_running(&mut self) {
        if let Some(status) = self.process.ended() {
            panic!("{} ended by itself, {status}:\n{}", self.name, self.process.log());
        }
    }
}

struct Told {
    plan: Plan,
    dir: Option<TempDir>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Plan { store, seed, lasting, bound } = &self.plan;
        eprintln!("the logs are in {:?}", self.dir.take().map(TempDir::keep));
        eprintln!(
            "to repeat: TESSERA_PROMISE_SEED={seed} TESSERA_PROMISE_SECONDS={} \
             TESSERA_PROMISE_BOUND_MILLIS={} cargo test -p tessera-tests --test promise {} \
             -- --nocapture",
            lasting.as_secs(),
            bound.as_millis(),
            format!("{store:?}").to_lowercase(),
        );
    }
}
