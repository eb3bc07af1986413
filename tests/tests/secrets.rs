//! No secret is kept, logged or traced: not in the store, not in a file, not in a log, not in
//! a span.

use std::collections::BTreeSet;

use prost_types::Duration;
use tessera_proto::v1::{
    ChangePasswordRequest, CreateUserRequest, ExchangeTokenRequest, LoginRequest, RefreshRequest,
    RevokePermanentTokenRequest, RotatePermanentTokenRequest, SetUserPasswordRequest,
    WhoAmIRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached},
    client::{self, Credentials},
    collector::Collector,
    contract::methods,
    on_every_backend,
    redis::Redis,
    service::ADMIN_PASSWORD,
    system::{Backend, System, named},
    tools::all_bytes_under,
    wire::{self, Wire},
};
use tonic::Request;
use tonic_prost::ProstCodec;

on_every_backend!(no_secret_is_found_in_the_store_or_in_any_log_or_span);

const LOG: [&str; 2] =
    ["--log", "info,tessera_issuer=trace,tessera_verifier=trace,tessera_shared=trace"];

async fn no_secret_is_found_in_the_store_or_in_any_log_or_span(backend: Backend) {
    let collector = Collector::start();
    let url = collector.url();
    let flags = [LOG[0], LOG[1], "--otlp-endpoint", &url, "--otlp-sample-ratio", "1"];
    let store = match backend {
        Backend::Embedded => None,
        Backend::Redis => Some(Redis::start().await),
    };
    let verifier_flags: &[&str] = if store.is_some() { &flags } else { &[] };
    let mut system = System::over(store, &flags, verifier_flags).await;
    let mut secrets = vec![ADMIN_PASSWORD.to_owned()];
    if backend == Backend::Redis {
        let users = system.redis().users();
        secrets.extend(["issuer", "verifier"].map(|user| users.password(user)));
    }
    live(&system, &mut secrets).await;
    let methods = methods();
    everywhere(&system, &methods, &secrets).await;
    system.end().await;
    let spans: BTreeSet<_> = collector.spans().into_iter().map(|seen| seen.span.name).collect();
    let untraced: Vec<_> = methods.iter().filter(|name| !spans.contains(&name[1..])).collect();
    assert!(untraced.is_empty(), "{untraced:?} in {spans:?}");
    assert!(HTTP.iter().all(|(_, route)| spans.contains(&format!("GET {route}"))), "{spans:?}");

    // The folder holds the logs and, if the store is embedded, the store.
    let mut kept = all_bytes_under(system.dir());
    assert!(find(&kept, b"tessera"), "there are logs");
    if backend == Backend::Redis {
        let (dump, written) = (system.redis().dump().await, system.redis().written());
        assert!(!dump.is_empty() && !written.is_empty());
        kept.extend(dump);
        kept.extend(written);
    }
    assert!(find(&kept, b"secretly named"), "the records are among what is searched");
    kept.extend(collector.bytes());
    for secret in &secrets {
        for part in parts(secret) {
            assert!(!find(&kept, part.as_bytes()), "kept, logged or traced: {part} of {secret}");
        }
    }
}

/// Everything that has to do with a secret, once: what is good and what is refused.
async fn live(system: &System, secrets: &mut Vec<String>) {
    let session = system.admin_session().await;
    secrets.extend([session.access_token.clone(), session.refresh_token.clone()]);
    let admin = Credentials::bearer(&session.access_token);
    let mut issuer = system.issuer(&admin);
    let request = RefreshRequest { refresh_token: session.refresh_token.clone() };
    let pair = issuer.refresh(request).await.unwrap().into_inner();
    secrets.extend([pair.access_token.clone(), pair.refresh_token]);

    let made = system.permanent(&admin, named("secretly named")).await;
    let id = made.permanent_token.unwrap().id;
    let overlap = Some(Duration { seconds: 60, nanos: 0 });
    let request = RotatePermanentTokenRequest { id, overlap };
    let rotated = issuer.rotate_permanent_token(request).await.unwrap().into_inner();
    let request = ExchangeTokenRequest { token: rotated.token.clone() };
    let exchanged = issuer.exchange_token(request).await.unwrap().into_inner();
    secrets.extend([made.token, rotated.token, exchanged.access_token]);

    let user = system.user("Users").await;
    secrets.extend([user.session.access_token, user.session.refresh_token]);
    let (changed, set) = ("a passphrase that the user chose", "one that the administrator chose");
    let request = ChangePasswordRequest {
        current_password: user.password.clone(),
        new_password: changed.into(),
    };
    system.issuer(&user.credentials).change_password(request).await.unwrap();
    let mut administration = system.administration(&admin);
    let request = SetUserPasswordRequest { id: user.id, password: set.into() };
    administration.set_user_password(request).await.unwrap();
    secrets.extend([user.password, changed.into(), set.into()]);

    // A token in the wrong place, and a mistyped one, are as secret as a good one.
    let mistyped = "a passphrase mistyped by its owner";
    let request = LoginRequest { username: "admin".into(), password: mistyped.into() };
    issuer.login(request).await.unwrap_err();
    let long = "p".repeat(2000);
    let request = CreateUserRequest { password: long.clone(), ..CreateUserRequest::default() };
    administration.create_user(request).await.unwrap_err();
    let token = session.refresh_token.clone();
    issuer.exchange_token(ExchangeTokenRequest { token }).await.unwrap_err();
    secrets.extend([mistyped.into(), long[..100].into()]);

    for token in secrets.clone() {
        let _ = system.verdict(ask(&token)).await;
        let _ = system.verdict(ask_cached(&token)).await;
        let mut issuer = system.issuer(&Credentials::api_key(&token));
        let _ = issuer.who_am_i(WhoAmIRequest {}).await;
    }
    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.unwrap();
}

/// What is asked over HTTP: the listener, and the route.
const HTTP: [(bool, &str); 3] = [(false, "/verify"), (false, "/introspect"), (true, "/revoke")];

/// Every secret, as the credentials of every RPC and route, and in the address of the routes.
async fn everywhere(system: &System, methods: &[String], secrets: &[String]) {
    let (issuer, verifier) = (system.issuer_place(), system.verifier_places()[0]);
    for secret in secrets {
        let bearer = format!("Bearer {secret}");
        for method in methods {
            let at = if method.contains("Verifier") { verifier } else { issuer };
            let mut grpc = tonic::client::Grpc::new(client::channel(at.grpc));
            grpc.ready().await.unwrap();
            let mut request = Request::new(());
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
            let codec = ProstCodec::<(), ()>::default();
            let _ = grpc.unary(request, method.parse().unwrap(), codec).await;
        }
        for (is_issuers, route) in HTTP {
            let at = if is_issuers { issuer } else { verifier };
            let headers = [("authorization", bearer.clone())];
            let query = secret.replace(' ', "+");
            for path in
                [route.to_owned(), format!("{route}?access_token={query}"), format!("/{query}")]
            {
                wire::ask(Wire::Http1, at.http, &path, &headers).await;
            }
        }
    }
}

/// The whole secret, and what makes it one: a JWT's signature, the random part of an
/// opaque token.
fn parts(secret: &str) -> Vec<&str> {
    let mut parts = vec![secret];
    parts.extend(secret.rsplit_once('.').map(|(_, signature)| signature));
    parts.extend(
        secret.starts_with("tessera_").then(|| &secret[secret.len() - 40..secret.len() - 8]),
    );
    parts
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
