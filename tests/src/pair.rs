//! An issuer and a verifier over a group of servers, and what they live through when a
//! primary dies.

use std::time::Instant;

use tempfile::TempDir;
use tessera_proto::v1::{DenialReason, LoginRequest, RevokePermanentTokenRequest};

use crate::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials, Verifier},
    process::Process,
    service::{self, ADMIN_PASSWORD, Place},
    system::named,
    watch::eventually,
};

/// An issuer and a verifier over a group of servers.
pub struct Pair {
    /// Where the issuer is.
    pub issuer: Place,
    /// Where the verifier is.
    pub verifier: Place,
    _processes: [Process; 2],
    _dir: TempDir,
}

impl Pair {
    /// Starts both over the store that `url` names for each user, and waits until they serve.
    /// One replica confirms each write.
    pub async fn start(url: impl Fn(&str) -> String) -> Self {
        Self::start_with(url, &["--store-min-replicas=1"]).await
    }

    /// As [`Self::start`], with these flags for the issuer in place of that.
    pub async fn start_with(url: impl Fn(&str) -> String, flags: &[&str]) -> Self {
        let (issuer, verifier, dir) = (Place::free(), Place::free(), TempDir::new().unwrap());
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut processes = [
            service::issuer(&url("issuer"), issuer, &flags, dir.path()),
            service::verifier("verifier", &url("verifier"), verifier, &[], dir.path()),
        ];
        service::serving(&mut processes[0], issuer.grpc).await;
        service::serving(&mut processes[1], verifier.grpc).await;
        Self { issuer, verifier, _processes: processes, _dir: dir }
    }

    /// The first administrator.
    pub async fn admin(&self) -> Credentials {
        let request = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
        let mut issuer = client::issuer(self.issuer.grpc, &Credentials::none());
        Credentials::bearer(&issuer.login(request).await.unwrap().into_inner().access_token)
    }

    /// A permanent token, and its id.
    pub async fn token(&self, admin: &Credentials) -> (String, i64) {
        let mut issuer = client::issuer(self.issuer.grpc, admin);
        let made = issuer.create_permanent_token(named("a token")).await.unwrap().into_inner();
        (made.token, made.permanent_token.unwrap().id)
    }

    /// Repeats until it is acknowledged.
    pub async fn revoke(&self, admin: &Credentials, id: i64) {
        let issuer = client::issuer(self.issuer.grpc, admin);
        eventually("an acknowledged revocation", || async {
            let request = RevokePermanentTokenRequest { id };
            issuer.clone().revoke_permanent_token(request).await.ok()
        })
        .await;
    }

    /// A client of the verifier.
    pub fn verifier(&self) -> Verifier {
        client::verifier(self.verifier.grpc)
    }
}

/// Kills one primary and tells how long it took until each kind of call succeeded again.
pub async fn live_through(pair: &Pair, kill: impl AsyncFnOnce(), replaced: impl AsyncFnOnce()) {
    let admin = pair.admin().await;
    let (kept, _) = pair.token(&admin).await;
    let (ended, id) = pair.token(&admin).await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(pair.token(&admin).await);
    }
    pair.revoke(&admin, id).await;
    let mut verifier = pair.verifier();
    verdict(verifier.verify(ask_cached(&kept)).await.unwrap().into_inner()).unwrap();

    kill().await;
    let killed = Instant::now();
    let failover = async {
        replaced().await;
        killed.elapsed()
    };
    let reads = async {
        for (token, _) in &tokens {
            eventually("a forced read", || async {
                let answer = pair.verifier().verify(ask(token)).await.ok()?;
                Some(verdict(answer.into_inner()).expect("a token that was acknowledged"))
            })
            .await;
        }
        killed.elapsed()
    };
    let writes = async {
        for (_, id) in &tokens[..10] {
            pair.revoke(&admin, *id).await;
        }
        killed.elapsed()
    };
    // The revoked ones are not asked for while it is not known whether they are.
    let (failover, reads) = tokio::join!(failover, reads);
    let writes = writes.await;
    println!(
        "failover {failover:?}; all forced reads after {reads:?}, all writes after {writes:?}"
    );
    let answer = verifier.verify(ask(&ended)).await.unwrap().into_inner();
    assert_eq!(verdict(answer), Err(DenialReason::Revoked), "acknowledged before the failover");
    for (number, (token, _)) in tokens.iter().enumerate() {
        let answer = verifier.verify(ask(token)).await.unwrap().into_inner();
        let wanted = if number < 10 { Some(DenialReason::Revoked) } else { None };
        assert_eq!(verdict(answer).err(), wanted);
    }
}
