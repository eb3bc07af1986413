//! Certificates of callers, who may ask a verifier, and new certificates with no restart.

use std::{fs, net::SocketAddr, path::Path};

use tempfile::TempDir;
use tessera_proto::v1::{
    ErrorReason, LoginRequest, issuer_service_client::IssuerServiceClient,
    verifier_service_client::VerifierServiceClient,
};
use tessera_tests::{
    ask::{ask_cached, verdict},
    client::Credentials,
    metrics::Scrape,
    port,
    process::{Process, built, clean},
    redis::Redis,
    refused::reason_of,
    service::{self, ADMIN_PASSWORD, Place},
    system::named,
    tls::{Authority, Files},
    tools::{run, succeed, venv},
    watch::eventually,
};
use tonic::{
    Code, Status,
    service::Interceptor as _,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// A channel to `address` that trusts this authority, with this certificate of one's own.
fn channel(address: SocketAddr, authority: &Authority, own: Option<&Files>) -> Channel {
    let read = |path: &Path| fs::read(path).unwrap();
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&authority.certificate())))
        .domain_name("localhost");
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(read(&own.certificate), read(&own.key)));
    }
    let endpoint = Endpoint::try_from(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

/// What the verifier answers a caller with these credentials: whether it was a verdict.
async fn asked(channel: Channel, credentials: Credentials, token: &str) -> Result<(), Status> {
    let mut request = tonic::Request::new(ask_cached(token));
    let extra = credentials.clone().call(tonic::Request::new(()))?;
    *request.metadata_mut() = extra.metadata().clone();
    let answer = VerifierServiceClient::new(channel).verify(request).await?;
    verdict(answer.into_inner()).expect("a grant");
    Ok(())
}

fn assert_refused(answer: Result<(), Status>, code: Code, reason: ErrorReason) {
    let status = answer.expect_err("a refusal");
    assert_eq!((status.code(), reason_of(&status)), (code, reason), "{status:?}");
}

/// The connection broke; in TLS 1.3 that may show with the first call only.
fn assert_no_handshake(status: &Status) {
    assert!(
        matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled),
        "{status:?}"
    );
    assert!(status.details().is_empty(), "{status:?}");
}

fn tls_flags(authority: &Authority) -> Vec<String> {
    let files = [authority.server_certificate(), authority.server_key()];
    let [cert, key] = files.map(|path| path.display().to_string());
    ["--tls-cert-file", &cert, "--tls-key-file", &key].map(str::to_owned).to_vec()
}

async fn starts(process: &mut Process, health: SocketAddr) {
    service::serving(process, health).await;
}

#[tokio::test]
async fn only_callers_on_the_list_may_ask() {
    let (authority, dir, redis) = (Authority::new(), TempDir::new().unwrap(), Redis::start().await);
    let (issuer, verifier, health) = (Place::free(), Place::free(), [port::free(), port::free()]);
    let with = |more: &[&str], health: SocketAddr| {
        let more = more.iter().map(|&flag| flag.to_owned());
        let health = ["--health-listen".to_owned(), health.to_string()];
        tls_flags(&authority).into_iter().chain(more).chain(health).collect::<Vec<_>>()
    };
    let url = redis.url_as("issuer");
    let mut issuing = service::issuer(&url, issuer, &with(&[], health[0]), dir.path());
    starts(&mut issuing, health[0]).await;
    let ca = authority.certificate().display().to_string();
    let list = "spiffe://test/ns/cdn/*,dns:gate.test,scope:tessera:admin";
    let flags = with(&["--tls-client-ca", &ca, "--verify-callers", list], health[1]);
    let url = redis.url_as("verifier");
    let mut verifying = service::verifier("verifier", &url, verifier, &flags, dir.path());
    starts(&mut verifying, health[1]).await;

    let mut anybody = IssuerServiceClient::new(channel(issuer.grpc, &authority, None));
    let login = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    let access = anybody.login(login).await.unwrap().into_inner().access_token;
    let admin = Credentials::bearer(&access);
    let mut issuer = IssuerServiceClient::with_interceptor(
        channel(issuer.grpc, &authority, None),
        admin.clone(),
    );
    let mut weaker = named("weaker");
    weaker.role = "Users".into();
    let token = issuer.create_permanent_token(weaker).await.unwrap().into_inner().token;

    let to_verifier = |own: Option<&Files>| channel(verifier.grpc, &authority, own);
    let stranger = asked(to_verifier(None), admin.clone(), &token).await.unwrap_err();
    assert_no_handshake(&stranger);
    let another = Authority::new();
    let of_another = another.caller("other", "URI:spiffe://test/ns/cdn/sa/edge");
    let forged = asked(to_verifier(Some(&of_another)), admin.clone(), &token).await.unwrap_err();
    assert_no_handshake(&forged);

    for name in ["URI:spiffe://test/ns/cdn/sa/edge", "DNS:gate.test"] {
        let own = authority.caller("listed", name);
        asked(to_verifier(Some(&own)), Credentials::none(), &token).await.expect(name);
    }
    for name in ["URI:spiffe://test/ns/cdn", "URI:spiffe://other/ns/cdn/sa/edge", "DNS:gate.test.x"]
    {
        let own = authority.caller("unlisted", name);
        let to = || to_verifier(Some(&own));
        let none = asked(to(), Credentials::none(), &token).await;
        assert_refused(none, Code::Unauthenticated, ErrorReason::CredentialsMissing);
        let bad = asked(to(), Credentials::bearer("a.b.c"), &token).await;
        assert_refused(bad, Code::Unauthenticated, ErrorReason::CredentialsInvalid);
        let weak = asked(to(), Credentials::api_key(&token), &token).await;
        assert_refused(weak, Code::PermissionDenied, ErrorReason::NotPermitted);
        asked(to(), admin.clone(), &token).await.expect("a token with the scope");
    }
    // Health is for every caller that may shake hands.
    let own = authority.caller("unlisted", "DNS:probe.test");
    let mut probe = tonic_health::pb::health_client::HealthClient::new(to_verifier(Some(&own)));
    probe.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_taken_with_no_restart_and_a_bad_one_is_not() {
    let (old, new, dir) = (Authority::new(), Authority::new(), TempDir::new().unwrap());
    let (place, health) = (Place::free(), port::free());
    let mut flags = tls_flags(&old);
    flags.extend(["--health-listen".to_owned(), health.to_string()]);
    let redis = Redis::start().await;
    let url = redis.url_as("issuer");
    let mut issuing = service::issuer(&url, place, &flags, dir.path());
    starts(&mut issuing, health).await;
    let mut before = IssuerServiceClient::new(channel(place.grpc, &old, None));
    let login = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    before.login(login.clone()).await.unwrap();

    fs::copy(new.server_key(), old.server_key()).unwrap();
    fs::copy(new.server_certificate(), old.server_certificate()).unwrap();
    eventually("the new certificate, of gRPC", || async {
        let mut after = IssuerServiceClient::new(channel(place.grpc, &new, None));
        after.login(login.clone()).await.ok()
    })
    .await;
    eventually("the new certificate, of HTTP", || async {
        let mut curl = clean(&built("tessera"));
        curl.args(["health", &format!("https://{}", place.grpc)]);
        curl.arg("--ca-file").arg(new.certificate());
        run(&mut curl).status.success().then_some(())
    })
    .await;
    // A connection from before goes on.
    before.login(login.clone()).await.unwrap();
    let scrape = Scrape::of(health).await;
    assert!(scrape.expect("tessera_tls_reloads_total{result=\"taken\"}") >= 1.0);
    let ends_at = scrape.expect("tessera_tls_certificate_expiry_timestamp_seconds");
    assert!((ends_at - end_of(&new.server_certificate())).abs() < 0.5, "{ends_at}");

    fs::write(old.server_certificate(), "no certificate\n").unwrap();
    eventually("a refused certificate", || async {
        let refused = "tessera_tls_reloads_total{result=\"refused\"}";
        (Scrape::of(health).await.expect(refused) >= 1.0).then_some(())
    })
    .await;
    let mut after = IssuerServiceClient::new(channel(place.grpc, &new, None));
    after.login(login).await.expect("the old one goes on");
    assert!(issuing.log().contains("no certificate in it"), "{}", issuing.log());
}

/// When this certificate ends, in seconds since 1970, as Python reads it.
fn end_of(file: &Path) -> f64 {
    let script = "import ssl, sys
end = ssl._ssl._test_decode_cert(sys.argv[1])['notAfter']
print(ssl.cert_time_to_seconds(end))";
    let said = succeed(venv("python").args(["-c", script]).arg(file));
    said.trim().parse().unwrap()
}

#[tokio::test]
async fn a_list_of_callers_that_can_not_be_is_a_bad_setting() {
    let (authority, dir) = (Authority::new(), TempDir::new().unwrap());
    let with_tls = |more: &[&str]| {
        let more = more.iter().map(|&flag| flag.to_owned());
        tls_flags(&authority).into_iter().chain(more).collect::<Vec<_>>()
    };
    let plain = |more: &[&str]| more.iter().map(|&flag| flag.to_owned()).collect::<Vec<_>>();
    let junk = dir.path().join("junk.pem");
    fs::write(&junk, "junk").unwrap();
    let junk = junk.display().to_string();
    for (flags, says) in [
        (
            plain(&["--tls-client-ca", &junk]),
            "--tls-client-ca is of no use without --tls-cert-file",
        ),
        (with_tls(&["--tls-client-ca", &junk]), "no certificate in it"),
        (
            with_tls(&["--verify-callers", "spiffe://test/a"]),
            "--verify-callers is of no use without --tls-client-ca",
        ),
        (plain(&["--verify-callers", "anyone,scope:a:b"]), "is not a list of callers"),
        (plain(&["--verify-callers", "spiffe:///x"]), "is not a list of callers"),
        (plain(&["--verify-callers", "scope:Bad Scope"]), "is not a list of callers"),
    ] {
        let logs = TempDir::new().unwrap();
        let url = "redis://127.0.0.1:1";
        let mut process = service::verifier("verifier", url, Place::free(), &flags, logs.path());
        assert_eq!(process.exit().await.code(), Some(64), "{flags:?}: {}", process.log());
        assert!(process.log().contains(says), "{says}: {}", process.log());
    }
}
