//! The processes, each of which can be killed and started again where it was.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::{
    process::Process,
    promise::dice::Dice,
    redis::Redis,
    service::{self, Place},
    system::Backend,
};

struct Service {
    name: &'static str,
    process: Process,
    start: Box<dyn Fn() -> Process>,
    serves: Vec<SocketAddr>,
}

/// A running installation.
pub(super) struct Machines {
    // In the order of dropping: the services end before the store.
    services: Vec<Service>,
    redis: Option<Redis>,
    issuer: Place,
    verifier: Place,
    _dir: TempDir,
}

impl Machines {
    pub(super) async fn start(backend: Backend) -> Self {
        let (dir, issuer, verifier) = (TempDir::new().unwrap(), Place::free(), Place::free());
        let path = dir.path().to_owned();
        let many = vec!["--tokens-per-account=100000".to_owned()];
        let (redis, services) = match backend {
            Backend::Embedded => {
                let data = path.join("data");
                let start = move || service::up(&data, issuer, verifier, &many, &path);
                let serves = vec![issuer.grpc, verifier.grpc];
                (None, vec![Service::new("tessera up", serves, start)])
            }
            Backend::Redis => {
                let redis = Redis::start().await;
                let (url, folder) = (redis.url_as("issuer"), path.clone());
                let start = move || service::issuer(&url, issuer, &many, &folder);
                let mut services = vec![Service::new("issuer", vec![issuer.grpc], start)];
                let url = redis.url_as("verifier");
                let start = move || service::verifier("verifier", &url, verifier, &[], &path);
                services.push(Service::new("verifier", vec![verifier.grpc], start));
                (Some(redis), services)
            }
        };
        let mut machines = Self { services, redis, issuer, verifier, _dir: dir };
        machines.all_serve().await;
        machines
    }

    pub(super) fn issuer(&self) -> SocketAddr {
        self.issuer.grpc
    }

    pub(super) fn verifier(&self) -> SocketAddr {
        self.verifier.grpc
    }

    pub(super) fn redis(&mut self) -> Option<&mut Redis> {
        self.redis.as_mut()
    }

    /// Kills one of them, starts it again, and waits until all serve. Answers its name.
    pub(super) async fn kill_one(&mut self, dice: &mut Dice) -> String {
        let all = self.services.len() + usize::from(self.redis.is_some());
        let name = match (self.services.get_mut(dice.below(all)), &mut self.redis) {
            (Some(service), _) => {
                service.process.signal("KILL");
                service.process.exit().await;
                service.process = (service.start)();
                service.name
            }
            (None, Some(redis)) => {
                redis.kill9().await;
                redis.restart().await;
                "redis"
            }
            (None, None) => unreachable!("no redis was chosen"),
        };
        self.all_serve().await;
        name.to_owned()
    }

    async fn all_serve(&mut self) {
        for service in &mut self.services {
            for address in &service.serves {
                service::serving(&mut service.process, *address).await;
            }
        }
    }
}

impl Service {
    fn new(
        name: &'static str,
        serves: Vec<SocketAddr>,
        start: impl Fn() -> Process + 'static,
    ) -> Self {
        Self { name, process: start(), start: Box::new(start), serves }
    }
}
