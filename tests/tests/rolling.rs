//! A rolling restart under load: every verifier and every issuer is replaced, one after
//! the other, and a client that balances and retries as gRPC means it loses no call.

use std::{
    future::Future,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tempfile::TempDir;
use tessera_proto::v1::{LoginRequest, WhoAmIRequest};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials},
    process::Process,
    redis::Redis,
    service::{self, ADMIN_PASSWORD, Place},
    system::named,
    tools::venv,
    watch::eventually,
};
use tonic::{Code, Status};

/// Tries of one call, as many as gRPC's retry policy allows at most.
const TRIES: usize = 5;

/// A replica, and how to start it again at its place.
struct Replica {
    place: Place,
    process: Process,
    start: Box<dyn Fn(Place) -> Process>,
}

impl Replica {
    fn new(start: impl Fn(Place) -> Process + 'static) -> Self {
        let place = Place::free();
        Self { place, process: start(place), start: Box::new(start) }
    }

    async fn replace(&mut self) {
        self.process.signal("TERM");
        assert_eq!(self.process.exit().await.code(), Some(0), "{}", self.process.log());
        self.process = (self.start)(self.place);
        service::serving(&mut self.process, self.place.grpc).await;
    }
}

/// What the load did so far.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    calls: AtomicUsize,
}

impl Load {
    /// Calls one replica after the other until it is over; a call that was UNAVAILABLE goes
    /// to the next.
    async fn keep<C: Clone, F: Future<Output = Result<(), Status>>>(
        self: Arc<Self>,
        clients: Vec<C>,
        call: impl Fn(C) -> F,
    ) -> Vec<Status> {
        let (mut lost, mut turn) = (Vec::new(), 0);
        while !self.over.load(SeqCst) {
            let mut last = None;
            for retry in 0..TRIES {
                if retry > 0 {
                    tokio::time::sleep(Duration::from_millis(50 << retry)).await;
                }
                turn += 1;
                match call(clients[turn % clients.len()].clone()).await {
                    Ok(()) => {
                        last = None;
                        self.calls.fetch_add(1, SeqCst);
                        break;
                    }
                    Err(status) if may_be_retried(&status) => last = Some(status),
                    Err(status) => {
                        last = Some(status);
                        break;
                    }
                }
            }
            lost.extend(last);
        }
        lost
    }
}

/// What gRPC's clients try again: UNAVAILABLE by their policy, and what was never sent.
fn may_be_retried(status: &Status) -> bool {
    client::never_sent(status) || status.code() == Code::Unavailable
}

/// Both kinds of service, two of each, that drain for a moment.
fn replicas(redis: &Redis, dir: &Path) -> Vec<Replica> {
    let flags = ["--drain-delay", "300ms"].map(str::to_owned);
    // One installation has one name, whoever of its issuers signs.
    let name = ["--issuer-url", "http://tessera.test"].map(str::to_owned);
    let issuer_flags = [&flags[..], &name[..]].concat();
    let mut all = Vec::new();
    for number in 0..2 {
        let (url, dir, flags) = (redis.url_as("issuer"), dir.to_owned(), issuer_flags.clone());
        all.push(Replica::new(move |place| {
            let dir = dir.join(format!("issuer-{number}"));
            std::fs::create_dir_all(&dir).unwrap();
            service::issuer(&url, place, &flags, &dir)
        }));
    }
    for number in 0..2 {
        let (url, dir, flags) = (redis.url_as("verifier"), dir.to_owned(), flags.clone());
        let name = format!("verifier-{number}");
        all.push(Replica::new(move |place| service::verifier(&name, &url, place, &flags, &dir)));
    }
    all
}

fn addresses(replicas: &[Replica]) -> Vec<SocketAddr> {
    replicas.iter().map(|replica| replica.place.grpc).collect()
}

#[tokio::test]
async fn a_rolling_restart_of_all_services_loses_no_call() {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let mut all = replicas(&redis, dir.path());
    for replica in &mut all {
        service::serving(&mut replica.process, replica.place.grpc).await;
    }
    let (issuers, verifiers) = (addresses(&all[..2]), addresses(&all[2..]));
    let login = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    let mut anybody = client::issuer(issuers[0], &Credentials::none());
    let access = anybody.login(login).await.unwrap().into_inner().access_token;
    let admin = Credentials::bearer(&access);
    let mut issuer = client::issuer(issuers[0], &admin);
    let made = issuer.create_permanent_token(named("rolling")).await.unwrap().into_inner();

    // The foreign client.
    let stop = dir.path().join("stop");
    let join =
        |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut python = venv("python");
    python.args(["rolling.py", &join(&verifiers), &join(&issuers)]).arg(&stop);
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().unwrap();
    writeln!(python.stdin.take().unwrap(), "{access}\n{}", made.token).unwrap();

    // Ours.
    let load = Arc::new(Load::default());
    let quick = load.clone().keep(
        verifiers.iter().map(|address| client::verifier(*address)).collect(),
        |mut verifier| {
            let asked = ask_cached(&made.token);
            async move { verifier.verify(asked).await.map(|a| drop(verdict(a.into_inner()))) }
        },
    );
    let read = load.clone().keep(
        verifiers.iter().map(|address| client::verifier(*address)).collect(),
        |mut verifier| {
            let asked = ask(&made.token);
            async move { verifier.verify(asked).await.map(|a| drop(verdict(a.into_inner()))) }
        },
    );
    let who = load.clone().keep(
        issuers.iter().map(|address| client::issuer(*address, &admin)).collect(),
        |mut issuer| async move { issuer.who_am_i(WhoAmIRequest {}).await.map(drop) },
    );
    let ready = dir.path().join("stop.ready");
    let restarting = async {
        eventually("the foreign client", || std::future::ready(ready.exists().then_some(()))).await;
        for replica in all.iter_mut().rev() {
            let before = load.calls.load(SeqCst);
            replica.replace().await;
            eventually("calls after a restart", || {
                std::future::ready((load.calls.load(SeqCst) > before + 100).then_some(()))
            })
            .await;
        }
        load.over.store(true, SeqCst);
        std::fs::write(&stop, "").unwrap();
    };
    let ((), quick, read, who) = tokio::join!(restarting, quick, read, who);
    assert_eq!((quick.len(), read.len(), who.len()), (0, 0, 0), "{quick:?} {read:?} {who:?}");
    let output = tokio::task::spawn_blocking(move || python.wait_with_output()).await.unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains(" calls, 0 lost"), "{said}{errors}");
    let calls: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(calls > 100, "{said}");
    println!("ours: {} calls, 0 lost; grpcio: {said}", load.calls.load(SeqCst));
}
