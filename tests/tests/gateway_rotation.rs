//! Envoy's `jwt_authn` and Apache's mod_auth_openidc across a rotation of the signing key,
//! under load, with the publication delay that holds where nobody sets one.

use std::{sync::Arc, time::Duration};

use tessera_proto::v1::{ExchangeTokenRequest, RotateSigningKeyRequest};
use tessera_tests::{
    client::{self, Credentials},
    gateway::Gateway,
    system::{Backend, System, named},
    watch::{eventually, within},
};
use tokio::{sync::watch, task::JoinHandle};

/// The publication delay is 40 s.
const ROTATION: Duration = Duration::from_secs(120);
/// What the README tells to set with that delay.
const ENVOY_CACHE: Duration = Duration::from_secs(30);
/// Requests of the new key that each gateway must have let in.
const ENOUGH: usize = 50;

/// The newest token, and the one from before the rotation.
type Tokens = (String, String);

/// How many requests a gateway let in with a token of the former key, and of another.
type Count = (usize, usize);

/// A service behind a gateway, which is asked without pause.
struct Load {
    gateway: Arc<Gateway>,
    counted: watch::Receiver<Count>,
    task: JoinHandle<()>,
}

impl Load {
    /// # Panics
    /// The task does, when the gateway does not let a token in.
    fn start(gateway: Arc<Gateway>, tokens: watch::Receiver<Tokens>) -> Self {
        let (count, counted) = watch::channel((0, 0));
        let asked = gateway.clone();
        let task = tokio::spawn(async move {
            // Ends when there are no new tokens.
            while tokens.has_changed().is_ok() {
                let (newest, former) = tokens.borrow().clone();
                for token in [&newest, &former] {
                    let status = asked.status_of(token).await;
                    assert_eq!(status, 200, "{}:\n{}", asked.name, asked.log());
                }
                let is_former = key_of(&newest) == key_of(&former);
                count.send_modify(|(old, new)| if is_former { *old += 2 } else { *new += 1 });
            }
        });
        Self { gateway, counted, task }
    }
}

/// The header, which names the key.
fn key_of(token: &str) -> &str {
    token.split('.').next().unwrap()
}

async fn exchange(system: &System, permanent: &str) -> String {
    let mut issuer = client::issuer(system.issuer_place().grpc, &Credentials::none());
    let request = ExchangeTokenRequest { token: permanent.to_owned() };
    issuer.exchange_token(request).await.unwrap().into_inner().access_token
}

async fn gates_follow_a_rotation(from: &str, to: &str) {
    let system = Backend::Embedded.start_with(&["--signing-algorithm", from]).await;
    let admin = system.admin().await;
    let permanent = system.permanent(&admin, named("a service")).await.token;
    let issuer = system.issuer_place().http;
    let gateways =
        [Gateway::envoy_by_keys(issuer, ENVOY_CACHE).await, Gateway::apache(issuer).await]
            .map(Arc::new);

    let former = exchange(&system, &permanent).await;
    for gateway in &gateways {
        assert_eq!(gateway.status_of(&former).await, 200, "{}:\n{}", gateway.name, gateway.log());
        // A gateway that lets everything in would pass the rest.
        let forged = format!("{}.{}", former.rsplit_once('.').unwrap().0, "A".repeat(86));
        assert_eq!(gateway.status_of(&forged).await, 401, "{}:\n{}", gateway.name, gateway.log());
    }
    let (newest, tokens) = watch::channel((former.clone(), former.clone()));
    let loads = gateways.map(|gateway| Load::start(gateway, tokens.clone()));
    drop(tokens);
    let request = RotateSigningKeyRequest { algorithm: to.to_owned() };
    system.administration(&admin).rotate_signing_key(request).await.unwrap();
    within(ROTATION, "enough requests of the new key let in by each gateway", || async {
        let token = exchange(&system, &permanent).await;
        newest.send_replace((token, former.clone()));
        let is_enough = |load: &Load| load.counted.borrow().1 >= ENOUGH || load.task.is_finished();
        loads.iter().all(is_enough).then_some(())
    })
    .await;
    drop(newest);
    for load in loads {
        let (old, new) = *load.counted.borrow();
        load.task.await.expect("no good token is refused");
        println!("{}: let in {old} with the former key, {new} with the new one", load.gateway.name);
        assert!(old > 0 && new >= ENOUGH, "{}: {old} and {new}", load.gateway.name);
    }
}

#[tokio::test]
async fn envoy_and_apache_follow_a_rotation() {
    gates_follow_a_rotation("ES256", "ES256").await;
}

#[tokio::test]
async fn envoy_and_apache_follow_a_change_of_algorithm() {
    gates_follow_a_rotation("ES256", "RS256").await;
}

/// An unknown key sends Apache to the JWKS, whatever it has kept.
#[tokio::test]
async fn apache_looks_again_at_an_unknown_key() {
    let system = Backend::Embedded.start_with(&["--key-publication-delay", "3s"]).await;
    let gateway = Gateway::apache(system.issuer_place().http).await;
    let admin = system.admin().await;
    let permanent = system.permanent(&admin, named("a service")).await.token;
    let former = exchange(&system, &permanent).await;
    assert_eq!(gateway.status_of(&former).await, 200, "{}", gateway.log());
    let request = RotateSigningKeyRequest::default();
    system.administration(&admin).rotate_signing_key(request).await.unwrap();
    let token = eventually("a token of the new key", || async {
        let token = exchange(&system, &permanent).await;
        (key_of(&token) != key_of(&former)).then_some(token)
    })
    .await;
    assert_eq!(gateway.status_of(&token).await, 200, "{}", gateway.log());
}
