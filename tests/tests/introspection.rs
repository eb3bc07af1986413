//! `/introspect` (RFC 7662), asked as an OAuth library asks.

use serde_json::{Value, json};
use tessera_proto::v1::RevokePermanentTokenRequest;
use tessera_tests::{
    on_every_backend,
    system::{Backend, System, named},
    tools::{succeed, venv},
    watch::eventually,
};

on_every_backend!(a_resource_server_learns_what_a_token_is_worth);

const TOLD: &str = "https://verifier.example/introspect";
const FLAGS: [&str; 4] = ["--introspection-scope", "cdn:read", "--introspection-endpoint", TOLD];

/// Asks with Authlib, which finds in the metadata that it may.
async fn introspect(url: &str, caller: &str, token: &str) -> Value {
    let mut python = venv("python");
    python.args(["introspect.py", url, caller, token, TOLD]);
    let said = tokio::task::spawn_blocking(move || succeed(&mut python)).await.unwrap();
    serde_json::from_str(&said).unwrap()
}

async fn a_resource_server_learns_what_a_token_is_worth(backend: Backend) {
    let system = match backend {
        Backend::Embedded => System::over(None, &FLAGS, &[]).await,
        Backend::Redis => {
            let redis = tessera_tests::redis::Redis::start().await;
            System::over(Some(redis), &[], &FLAGS).await
        }
    };
    let url = format!("http://{}", system.verifier_places()[0].http);
    let admin = system.admin().await;
    let caller = system.permanent(&admin, named("of the resource server")).await.token;
    let session = system.admin_session().await;
    let members = introspect(&url, &caller, &session.access_token).await;
    assert_eq!(members["active"], true);
    assert_eq!(members["username"], "admin");
    assert_eq!(members["kind"], "session");
    assert!(members["exp"].as_i64() > members["iat"].as_i64());
    let refresh = introspect(&url, &caller, &session.refresh_token).await;
    assert_eq!(refresh, json!({ "active": false }));

    let made = system.permanent(&admin, named("to be revoked")).await;
    let id = made.permanent_token.unwrap().id;
    let members = introspect(&url, &caller, &made.token).await;
    assert_eq!((&members["active"], &members["tid"]), (&Value::Bool(true), &Value::from(id)));
    let request = RevokePermanentTokenRequest { id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    eventually("an inactive token", || async {
        let members = introspect(&url, &caller, &made.token).await;
        (members == json!({ "active": false })).then_some(())
    })
    .await;
}
