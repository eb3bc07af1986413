//! A rotation of the signing key, and its end in an emergency, under load.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde_json::Value;
use tempfile::TempDir;
use tessera_proto::v1::{
    DenialReason, ExchangeTokenRequest, ListSigningKeysRequest, RetireSigningKeyRequest,
    RotateSigningKeyRequest, SigningKey, SigningKeyState,
};
use tessera_tests::{
    ask::{self, ask_cached},
    client::{self, Credentials},
    http::fetch,
    on_every_backend,
    service::{self, Place},
    system::{Backend, System, named},
    watch::{STALENESS_BOUND, eventually, within},
};
use tokio::task::JoinHandle;

on_every_backend!(
    a_rotation_of_the_signing_key_leaves_no_gap,
    a_key_that_is_gone_now_denies_its_tokens_and_another_signs,
);

/// A delay as short as the staleness bound lets it be; and the same name for all
/// issuers, which otherwise is the address of each.
const FLAGS: [&str; 4] =
    ["--key-publication-delay", "3s", "--issuer-url", "https://issuer.example"];

async fn key_ids(place: SocketAddr) -> HashSet<String> {
    let answer = fetch(place, "/.well-known/jwks.json").await;
    let set: Value = serde_json::from_str(&answer.body).unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn signing_keys(system: &System) -> Vec<SigningKey> {
    let mut administration = system.administration(&system.admin().await);
    let answer = administration.list_signing_keys(ListSigningKeysRequest {}).await.unwrap();
    answer.into_inner().signing_keys
}

async fn signing(system: &System) -> String {
    let keys = signing_keys(system).await;
    keys.into_iter().find(|key| key.state() == SigningKeyState::Signing).unwrap().kid
}

/// Services that make an access token, use it at every verifier, and use those from
/// before again, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<HashSet<String>>>,
}

impl Load {
    /// A service at each of these issuers.
    fn start(system: &System, issuers: &[SocketAddr], permanent: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let verifiers: Vec<_> = system.verifier_places().iter().map(|place| place.grpc).collect();
        let tasks = issuers.iter().map(|issuer| {
            let (issuer, verifiers) = (*issuer, verifiers.clone());
            tokio::spawn(run(issuer, verifiers, permanent.to_owned(), stop.clone()))
        });
        Self { tasks: tasks.collect(), stop }
    }

    /// Ends it, and answers the headers of the tokens that were made: one a key.
    async fn end(self) -> Vec<HashSet<String>> {
        self.stop.store(true, Relaxed);
        let mut headers = Vec::new();
        for task in self.tasks {
            headers.push(task.await.expect("no good token is refused"));
        }
        headers
    }
}

async fn run(
    issuer: SocketAddr,
    verifiers: Vec<SocketAddr>,
    permanent: String,
    stop: Arc<AtomicBool>,
) -> HashSet<String> {
    let mut issuer = client::issuer(issuer, &Credentials::none());
    let mut verifiers: Vec<_> = verifiers.into_iter().map(client::verifier).collect();
    let mut tokens: Vec<String> = Vec::new();
    let mut headers = HashSet::new();
    while !stop.load(Relaxed) {
        let request = ExchangeTokenRequest { token: permanent.clone() };
        let token = issuer.exchange_token(request).await.unwrap().into_inner().access_token;
        // One token of each key is kept, and this one.
        if headers.insert(token.split('.').next().unwrap().to_owned()) {
            tokens.push(token.clone());
        }
        for token in tokens.iter().chain([&token]) {
            for verifier in &mut verifiers {
                let answer = verifier.verify(ask_cached(token)).await.unwrap().into_inner();
                ask::verdict(answer).expect("a good token");
            }
        }
    }
    headers
}

async fn a_rotation_of_the_signing_key_leaves_no_gap(backend: Backend) {
    let mut system = backend.start_with(&FLAGS).await;
    let mut issuers = vec![system.issuer_place().grpc];
    let dir = TempDir::new().unwrap();
    let second = (backend == Backend::Redis).then(|| {
        let place = Place::free();
        let flags = FLAGS.map(str::to_owned);
        (service::issuer(&system.redis().url(), place, &flags, dir.path()), place)
    });
    let mut second = second;
    if let Some((process, place)) = &mut second {
        service::serving(process, place.grpc).await;
        issuers.push(place.grpc);
    }
    let admin = system.admin().await;
    let permanent = system.permanent(&admin, named("a service")).await.token;
    let load = Load::start(&system, &issuers, &permanent);

    let former = signing(&system).await;
    let mut administration = system.administration(&admin);
    let request = RotateSigningKeyRequest::default();
    let made = administration.rotate_signing_key(request.clone()).await.unwrap().into_inner();
    let made = made.signing_key.unwrap();
    assert_eq!(made.state(), SigningKeyState::Published);
    assert!(key_ids(system.issuer_place().http).await.contains(&made.kid));
    let again = administration.rotate_signing_key(request).await.unwrap().into_inner();
    assert_eq!(again.signing_key.unwrap().kid, made.kid, "asked for twice, made once");
    eventually("the new key signs", || async {
        let kid = signing(&system).await;
        (kid == made.kid).then_some(())
    })
    .await;
    let old = signing_keys(&system).await.into_iter().find(|key| key.kid == former).unwrap();
    assert_eq!(old.state(), SigningKeyState::Retired);
    assert!(old.verifies_until.unwrap().seconds - old.retired_at.unwrap().seconds >= 3600);
    for place in std::iter::once(system.issuer_place()).chain(system.verifier_places().to_vec()) {
        let both = HashSet::from([former.clone(), made.kid.clone()]);
        eventually("both keys", || async { (key_ids(place.http).await == both).then_some(()) })
            .await;
    }
    // Each issuer makes tokens with the new key before the load ends.
    for issuer in issuers {
        eventually("a token of the new key", || async {
            let mut issuer = client::issuer(issuer, &Credentials::none());
            let request = ExchangeTokenRequest { token: permanent.clone() };
            let token = issuer.exchange_token(request).await.unwrap().into_inner().access_token;
            system.verdict(ask_cached(&token)).await.expect("a fresh token");
            header_names(&token, &made.kid).then_some(())
        })
        .await;
    }
    for headers in load.end().await {
        assert_eq!(headers.len(), 2, "tokens of the former key and of the new one were made");
    }
}

/// Whether the header of this token names the key.
fn header_names(token: &str, kid: &str) -> bool {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"] == kid
}

async fn a_key_that_is_gone_now_denies_its_tokens_and_another_signs(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let permanent = system.permanent(&admin, named("an administrator")).await.token;
    let before = system.admin_session().await.access_token;
    system.verdict(ask_cached(&before)).await.expect("good");
    let kid = signing(&system).await;
    let mut administration = system.administration(&Credentials::api_key(&permanent));
    let request = RetireSigningKeyRequest { kid: kid.clone(), now: true };
    let gone = administration.retire_signing_key(request).await.unwrap().into_inner();
    let (key, successor) = (gone.signing_key.unwrap(), gone.successor.unwrap());
    assert_eq!((key.kid, key.state), (kid.clone(), SigningKeyState::Gone.into()));
    assert_eq!(successor.state(), SigningKeyState::Signing);
    within(STALENESS_BOUND, "a denial of the key's tokens at every verifier", || async {
        let mut denied = true;
        for mut verifier in system.verifiers() {
            let answer = verifier.verify(ask_cached(&before)).await.unwrap().into_inner();
            denied &= ask::verdict(answer) == Err(DenialReason::BadSignature);
        }
        denied.then_some(())
    })
    .await;
    eventually("a token that every verifier takes", || async {
        let token = system.admin_session().await.access_token;
        assert!(header_names(&token, &successor.kid));
        system.verdict(ask_cached(&token)).await.ok()
    })
    .await;
    assert_eq!(key_ids(system.issuer_place().http).await, HashSet::from([successor.kid]));
}
