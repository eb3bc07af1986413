//! Clients that know nothing of this code: Python by reflection, grpcurl, and the
//! JOSE libraries of Python and Node.

use serde_json::Value;
use tessera_tests::{
    ask::ask,
    on_every_backend,
    service::ADMIN_PASSWORD,
    system::{Backend, named},
    tools::{node, run, succeed, venv},
};

on_every_backend!(
    a_python_client_works_by_reflection_alone,
    grpcurl_lists_describes_and_calls,
    grpcurl_exits_with_the_code_of_the_error,
);

async fn a_python_client_works_by_reflection_alone(backend: Backend) {
    let system = backend.start().await;
    let issuer = system.issuer_place().grpc.to_string();
    let verifier = system.verifier_places()[0].grpc.to_string();
    let output = succeed(venv("python").args([
        "reflection.py",
        &issuer,
        &verifier,
        "admin",
        ADMIN_PASSWORD,
    ]));
    assert_eq!(output.trim(), "ok");
}

async fn grpcurl_lists_describes_and_calls(backend: Backend) {
    let system = backend.start().await;
    let issuer = system.issuer_place().grpc.to_string();
    let verifier = system.verifier_places()[0].grpc.to_string();
    let list = succeed(venv("grpcurl").args(["-plaintext", &issuer, "list"]));
    let services: Vec<_> = list.lines().collect();
    for service in ["grpc.health.v1.Health", "tessera.v1.AdminService", "tessera.v1.IssuerService"]
    {
        assert!(services.contains(&service), "{service} is not in {services:?}");
    }
    let method = "tessera.v1.VerifierService.Verify";
    let described = succeed(venv("grpcurl").args(["-plaintext", &verifier, "describe", method]));
    assert!(described.contains(".tessera.v1.VerifyRequest"), "{described}");

    let token = system.permanent(&system.admin().await, named("for grpcurl")).await.token;
    let authorization = format!("authorization: APIKey {token}");
    let me = call(&["-H", &authorization, &issuer, "tessera.v1.IssuerService/WhoAmI"]);
    assert_eq!(me["principal"]["name"], "for grpcurl");
    let question = format!("{{\"token\": \"{token}\"}}");
    let answer = call(&["-d", &question, &verifier, "tessera.v1.VerifierService/Verify"]);
    assert_eq!(answer["principal"]["kind"], "PRINCIPAL_KIND_PERMANENT_TOKEN");
    let question = "{\"token\": \"nonsense\"}";
    let answer = call(&["-d", question, &verifier, "tessera.v1.VerifierService/Verify"]);
    assert_eq!(answer["denial"]["reason"], "DENIAL_REASON_MALFORMED");
    let health = call(&[&verifier, "grpc.health.v1.Health/Check"]);
    assert_eq!(health["status"], "SERVING");
}

fn call(arguments: &[&str]) -> Value {
    let output = succeed(venv("grpcurl").arg("-plaintext").args(arguments));
    serde_json::from_str(&output).unwrap()
}

async fn grpcurl_exits_with_the_code_of_the_error(backend: Backend) {
    let system = backend.start().await;
    let issuer = system.issuer_place().grpc.to_string();
    let refresh = "{\"refresh_token\": \"nonsense\"}";
    let admin = system.admin_session().await.access_token;
    let authorization = format!("authorization: Bearer {admin}");
    let service = "tessera.v1.IssuerService";
    let cases: [(&[&str], &str, i32); 3] = [
        (&["-d", refresh], "Refresh", 16),
        (&["-H", &authorization], "CreatePermanentToken", 3),
        (&["-H", &authorization, "-d", "{\"id\": 12345}"], "GetPermanentToken", 5),
    ];
    for (arguments, method, code) in cases {
        let mut grpcurl = venv("grpcurl");
        grpcurl.arg("-plaintext").args(arguments).arg(&issuer).arg(format!("{service}/{method}"));
        let output = run(&mut grpcurl);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64 + code), "{method}: {said}");
        assert!(said.contains("google.rpc.ErrorInfo") || said.contains("tessera.v1"), "{said}");
    }
}

async fn foreign_libraries_verify_an_access_token(algorithm: &str) {
    let system = Backend::Embedded.start_with(&["--signing-algorithm", algorithm]).await;
    let token = system.admin_session().await.access_token;
    let principal = system.verdict(ask(&token)).await.expect("good");
    let issuer = format!("http://{}", system.issuer_place().http);
    let audience = principal.audiences.first().expect("RFC 9068 wants an `aud`");
    let arguments = [&issuer, audience, algorithm, &token];
    let python = succeed(venv("python").arg("access_token.py").args(arguments));
    assert_eq!(python.trim(), "ok");
    assert_eq!(succeed(node("access_token.mjs").args(arguments)).trim(), "ok");
}

#[tokio::test]
async fn pyjwt_and_jose_verify_es256() {
    foreign_libraries_verify_an_access_token("ES256").await;
}

#[tokio::test]
async fn pyjwt_and_jose_verify_eddsa() {
    foreign_libraries_verify_an_access_token("EdDSA").await;
}

#[tokio::test]
async fn pyjwt_and_jose_verify_rs256() {
    foreign_libraries_verify_an_access_token("RS256").await;
}
