//! No secret is kept or logged: not in the store, not in a file, not in a log.

use prost_types::Duration;
use tessera_proto::v1::{
    ChangePasswordRequest, CreateUserRequest, ExchangeTokenRequest, LoginRequest, RefreshRequest,
    RevokePermanentTokenRequest, RotatePermanentTokenRequest, SetUserPasswordRequest,
    WhoAmIRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached},
    client::Credentials,
    on_every_backend,
    redis::Redis,
    service::ADMIN_PASSWORD,
    system::{Backend, System, named},
    tools::all_bytes_under,
};

on_every_backend!(no_secret_is_found_in_the_store_or_in_any_log);

const LOG: [&str; 2] =
    ["--log", "info,tessera_issuer=trace,tessera_verifier=trace,tessera_shared=trace"];

async fn no_secret_is_found_in_the_store_or_in_any_log(backend: Backend) {
    let store = match backend {
        Backend::Embedded => None,
        Backend::Redis => Some(Redis::start().await),
    };
    let verifier_flags: &[&str] = if store.is_some() { &LOG } else { &[] };
    let mut system = System::over(store, &LOG, verifier_flags).await;
    let mut secrets = vec![ADMIN_PASSWORD.to_owned()];
    if backend == Backend::Redis {
        let users = system.redis().users();
        secrets.extend(["issuer", "verifier"].map(|user| users.password(user)));
    }
    live(&system, &mut secrets).await;
    system.end().await;

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
    for secret in &secrets {
        for part in parts(secret) {
            assert!(!find(&kept, part.as_bytes()), "kept or logged: {part} of {secret}");
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
