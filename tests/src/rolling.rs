//! Replicas that are replaced one after the other, callers that go on meanwhile, and what
//! those lost.

use std::{
    fmt::Debug,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use tessera_proto::v1::{LoginRequest, RevokePermanentTokenRequest};

use crate::{
    client::{self, Credentials},
    metrics::Scrape,
    process::Process,
    redis::Redis,
    service::{self, ADMIN_PASSWORD, Place},
    system::named,
    tools::venv,
    watch::eventually,
};

/// A replica of a service, and how to start it again at its place.
pub struct Replica {
    /// Where it listens.
    pub place: Place,
    process: Process,
    start: Box<dyn Fn(Place) -> Process>,
}

impl Replica {
    fn new(start: impl Fn(Place) -> Process + 'static) -> Self {
        let place = Place::free();
        Self { place, process: start(place), start: Box::new(start) }
    }

    /// Asks it to end, asserts that it does so in order, and starts another in its place.
    pub async fn replace(&mut self) {
        self.process.signal("TERM");
        assert_eq!(self.process.exit().await.code(), Some(0), "{}", self.process.log());
        self.process = (self.start)(self.place);
        self.serves().await;
    }

    async fn serves(&mut self) {
        service::serving(&mut self.process, self.place.grpc).await;
    }
}

/// Replicas of both services over one Redis, that drain for a moment.
pub struct Replicas {
    /// The issuers.
    pub issuers: Vec<Replica>,
    /// The verifiers.
    pub verifiers: Vec<Replica>,
}

impl Replicas {
    /// Starts two issuers and so many verifiers, with logs in `dir`, and waits until all serve.
    pub async fn start(redis: &Redis, dir: &Path, verifiers: usize) -> Self {
        let flags = ["--drain-delay", "300ms"].map(str::to_owned);
        // One installation has one name, whoever of its issuers signs.
        let name = ["--issuer-url", "http://tessera.test"].map(str::to_owned);
        let issuer = |number| {
            let (url, flags) = (redis.url_as("issuer"), [&flags[..], &name[..]].concat());
            let dir = dir.join(format!("issuer-{number}"));
            std::fs::create_dir_all(&dir).unwrap();
            Replica::new(move |place| service::issuer(&url, place, &flags, &dir))
        };
        let verifier = |number| {
            let (url, dir, flags) = (redis.url_as("verifier"), dir.to_owned(), flags.clone());
            let name = format!("verifier-{number}");
            Replica::new(move |place| service::verifier(&name, &url, place, &flags, &dir))
        };
        let mut all = Self {
            issuers: (0..2).map(issuer).collect(),
            verifiers: (0..verifiers).map(verifier).collect(),
        };
        for replica in all.each() {
            replica.serves().await;
        }
        all
    }

    /// All of them.
    pub fn each(&mut self) -> impl Iterator<Item = &mut Replica> + use<'_> {
        self.verifiers.iter_mut().chain(&mut self.issuers)
    }

    /// Where the issuers are.
    pub fn issuer_places(&self) -> Vec<Place> {
        self.issuers.iter().map(|replica| replica.place).collect()
    }

    /// Where the verifiers are.
    pub fn verifier_places(&self) -> Vec<Place> {
        self.verifiers.iter().map(|replica| replica.place).collect()
    }

    /// Logs the administrator in, and makes the tokens that callers present.
    pub async fn tokens(&self) -> Tokens {
        let login = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
        let issuer = self.issuers[0].place.grpc;
        let mut anybody = client::issuer(issuer, &Credentials::none());
        let access = anybody.login(login).await.unwrap().into_inner().access_token;
        let mut issuer = client::issuer(issuer, &Credentials::bearer(&access));
        let good = issuer.create_permanent_token(named("good")).await.unwrap().into_inner();
        let ended = issuer.create_permanent_token(named("ended")).await.unwrap().into_inner();
        let id = ended.permanent_token.unwrap().id;
        issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.unwrap();
        Tokens { access, good: good.token, ended: ended.token }
    }
}

/// What callers present.
#[derive(Clone)]
pub struct Tokens {
    /// An access token of the administrator.
    pub access: String,
    /// A permanent token that is good.
    pub good: String,
    /// One that was revoked.
    pub ended: String,
}

/// What callers did so far.
#[derive(Default)]
pub struct Load {
    over: AtomicBool,
    calls: AtomicUsize,
}

impl Load {
    /// Calls until it is over. Answers why calls were lost.
    pub async fn keep<E: Debug>(
        self: Arc<Self>,
        mut call: impl AsyncFnMut() -> Result<(), E>,
    ) -> Vec<E> {
        let mut lost = Vec::new();
        while !self.over.load(SeqCst) {
            match call().await {
                Ok(()) => drop(self.calls.fetch_add(1, SeqCst)),
                Err(error) => lost.push(error),
            }
        }
        lost
    }

    /// How many calls were answered.
    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// Replaces these while callers go on: each after the one before was found by them again.
    pub async fn through_replacements(&self, replicas: impl Iterator<Item = &mut Replica>) {
        for replica in replicas {
            replica.replace().await;
            let place = replica.place;
            eventually("calls at a replica that is back", || async {
                let answered = answered(&Scrape::of(place.http).await);
                (answered > 0.0).then_some(())
            })
            .await;
        }
    }

    /// Ends it.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }
}

/// Calls that were answered, but for those of health and reflection.
fn answered(scrape: &Scrape) -> f64 {
    let lines = scrape.0.lines().filter(|line| {
        line.starts_with("tessera_grpc_requests_total{")
            && !line.contains("grpc_service=\"grpc.")
            && line.contains("grpc_code=\"OK\"")
    });
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// grpcio, calling as `tests/clients/rolling.py` does, until it is told to stop.
pub struct Foreign {
    /// `None` once it is over.
    python: Option<Child>,
    stop: PathBuf,
}

impl Foreign {
    /// Starts it, and waits until it calls. It balances over the addresses, and tries a call
    /// so often at most.
    pub async fn start(
        dir: &Path,
        (verifiers, issuers): (&[Place], &[Place]),
        tries: usize,
        tokens: &Tokens,
    ) -> Self {
        let addresses = |places: &[Place]| {
            let all = places.iter().map(|place| place.grpc.to_string());
            all.collect::<Vec<_>>().join(",")
        };
        let stop = dir.join("stop");
        let mut python = venv("python");
        python.args(["rolling.py", &addresses(verifiers), &addresses(issuers)]);
        python.arg(&stop).arg(tries.to_string());
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = python.spawn().unwrap();
        let Tokens { access, good, ended } = tokens;
        let mut input = running.stdin.take().unwrap();
        let foreign = Self { python: Some(running), stop };
        write!(input, "{access}\n{good}\n{ended}\n").unwrap();
        drop(input);
        let ready = foreign.stop.with_extension("ready");
        eventually("the foreign client", || std::future::ready(ready.exists().then_some(()))).await;
        foreign
    }

    /// Stops it, and asserts that it lost nothing. Answers how many calls it made.
    pub async fn lost_nothing(mut self) -> usize {
        std::fs::write(&self.stop, "").unwrap();
        let python = self.python.take().unwrap();
        let waiting = tokio::task::spawn_blocking(move || python.wait_with_output());
        let output = waiting.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains(" calls, 0 lost"), "{said}{errors}");
        let calls = said.split(' ').next().unwrap().parse().unwrap();
        assert!(calls > 100, "{said}");
        calls
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        if let Some(python) = &mut self.python {
            let _ = python.kill();
            let _ = python.wait();
        }
    }
}
