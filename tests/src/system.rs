//! A whole installation: one embedded process, or Redis, an issuer and two verifiers.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;
use tessera_proto::v1::{
    CreatePermanentTokenRequest, CreatePermanentTokenResponse, CreateUserRequest, DenialReason,
    GetPermanentTokenRequest, LoginRequest, LoginResponse, PermanentToken, Principal,
    VerifyRequest,
};

use crate::{
    ask,
    client::{self, Admin, Credentials, Issuer, Verifier},
    process::Process,
    redis::Redis,
    service::{self, ADMIN_PASSWORD, Place},
    watch::eventually,
};

/// What keeps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `tessera up`: everything in one process, files in a folder.
    Embedded,
    /// A Redis, an issuer and two verifiers, each a process.
    Redis,
}

impl Backend {
    /// Starts an installation and waits until all of it serves.
    pub async fn start(self) -> System {
        self.start_with(&[]).await
    }

    /// As [`Self::start`], with more flags for the issuer.
    pub async fn start_with(self, flags: &[&str]) -> System {
        let redis = match self {
            Self::Embedded => None,
            Self::Redis => Some(Redis::start().await),
        };
        System::over(redis, flags, &[]).await
    }

    /// As [`Self::start`], with more flags for every service.
    pub async fn start_all_with(self, flags: &[&str]) -> System {
        match self {
            // The one process has them but once.
            Self::Embedded => System::over(None, flags, &[]).await,
            Self::Redis => System::over(Some(Redis::start().await), flags, flags).await,
        }
    }
}

/// A running installation.
pub struct System {
    // In the order of dropping: the services end before the store.
    services: Vec<Process>,
    redis: Option<Redis>,
    issuer: Place,
    verifiers: Vec<Place>,
    issuer_flags: Vec<String>,
    verifier_flags: Vec<String>,
    dir: TempDir,
}

impl System {
    /// Starts an installation over this Redis, or an embedded one. An embedded one
    /// gets all flags.
    pub async fn over(
        redis: Option<Redis>,
        issuer_flags: &[&str],
        verifier_flags: &[&str],
    ) -> Self {
        let owned = |flags: &[&str]| flags.iter().map(|&flag| flag.to_owned()).collect();
        let verifiers = if redis.is_some() { 2 } else { 1 };
        let mut system = Self {
            services: Vec::new(),
            redis,
            issuer: Place::free(),
            verifiers: (0..verifiers).map(|_| Place::free()).collect(),
            issuer_flags: owned(issuer_flags),
            verifier_flags: owned(verifier_flags),
            dir: TempDir::new().unwrap(),
        };
        system.begin().await;
        system
    }

    /// Starts the services, at the same places as before, and waits until they serve.
    pub async fn begin(&mut self) {
        let dir = self.dir.path();
        let Some(redis) = &self.redis else {
            let flags = [&self.issuer_flags[..], &self.verifier_flags[..]].concat();
            let mut up = service::up(&self.data(), self.issuer, self.verifiers[0], &flags, dir);
            service::serving(&mut up, self.issuer.grpc).await;
            service::serving(&mut up, self.verifiers[0].grpc).await;
            // Its first steps hold a place among the live tokens until they are over.
            eventually("the end of the first steps", || {
                let log = up.log();
                let over = log.contains("tessera verify") || log.contains("Log in with");
                std::future::ready((over || log.contains(" verify\n")).then_some(()))
            })
            .await;
            self.services = vec![up];
            return;
        };
        let url = redis.url_as("issuer");
        let mut services = vec![service::issuer(&url, self.issuer, &self.issuer_flags, dir)];
        let url = redis.url_as("verifier");
        for (number, place) in self.verifiers.iter().enumerate() {
            let name = format!("verifier-{number}");
            services.push(service::verifier(&name, &url, *place, &self.verifier_flags, dir));
        }
        let places = std::iter::once(&self.issuer).chain(&self.verifiers);
        for (process, place) in services.iter_mut().zip(places) {
            service::serving(process, place.grpc).await;
        }
        self.services = services;
    }

    /// Replaces the issuer's flags, from the next [`Self::begin`] on.
    pub fn set_issuer_flags(&mut self, flags: &[&str]) {
        self.issuer_flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// Asks all services to end, and asserts that they do so in order: exit 0.
    pub async fn end(&mut self) {
        self.services.iter().for_each(|service| service.signal("TERM"));
        for service in &mut self.services {
            assert_eq!(service.exit().await.code(), Some(0), "{}", service.log());
        }
    }

    /// Ends all services with `kill -9`.
    pub async fn kill9(&mut self) {
        for service in &mut self.services {
            service.signal("KILL");
            service.exit().await;
        }
    }

    /// The store, if it is a Redis.
    pub fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("an installation over Redis")
    }

    /// Where the issuer listens.
    pub fn issuer_place(&self) -> Place {
        self.issuer
    }

    /// Where the verifiers listen.
    pub fn verifier_places(&self) -> &[Place] {
        &self.verifiers
    }

    /// The folder of the embedded store.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The folder of the logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A client of the issuer.
    pub fn issuer(&self, credentials: &Credentials) -> Issuer {
        client::issuer(self.issuer.grpc, credentials)
    }

    /// A client of the administration.
    pub fn administration(&self, credentials: &Credentials) -> Admin {
        client::admin(self.issuer.grpc, credentials)
    }

    /// A client of each verifier.
    pub fn verifiers(&self) -> Vec<Verifier> {
        self.verifiers.iter().map(|place| client::verifier(place.grpc)).collect()
    }

    /// Asks every verifier the same; all must answer the same.
    pub async fn verdict(&self, question: VerifyRequest) -> Result<Principal, DenialReason> {
        let mut verdicts = Vec::new();
        for mut verifier in self.verifiers() {
            let answer = verifier.verify(question.clone()).await.expect("a verdict");
            verdicts.push(ask::verdict(answer.into_inner()));
        }
        let first = verdicts.pop().unwrap();
        assert!(verdicts.iter().all(|verdict| *verdict == first), "{first:?}, {verdicts:?}");
        first
    }

    /// Logs a user in.
    pub async fn login(&self, username: &str, password: &str) -> LoginResponse {
        let request = LoginRequest { username: username.into(), password: password.into() };
        let mut issuer = self.issuer(&Credentials::none());
        issuer.login(request).await.expect("a session").into_inner()
    }

    /// Logs the first administrator in.
    pub async fn admin_session(&self) -> LoginResponse {
        self.login("admin", ADMIN_PASSWORD).await
    }

    /// The credentials of a new session of the first administrator.
    pub async fn admin(&self) -> Credentials {
        Credentials::bearer(&self.admin_session().await.access_token)
    }

    /// Makes a user of the first account and logs the user in.
    pub async fn user(&self, role: &str) -> User {
        self.user_of(0, role).await
    }

    /// Makes a user of an account (0: the first) and logs the user in.
    pub async fn user_of(&self, account_id: i64, role: &str) -> User {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let username = format!("user-{number}");
        let password = format!("passphrase of user {number}, k3vz");
        let request = CreateUserRequest {
            account_id,
            username: username.clone(),
            password: password.clone(),
            role: role.into(),
        };
        let mut administration = self.administration(&self.admin().await);
        let made = administration.create_user(request).await.expect("a user").into_inner();
        let session = self.login(&username, &password).await;
        User {
            id: made.user.unwrap().id,
            credentials: Credentials::bearer(&session.access_token),
            username,
            password,
            session,
        }
    }

    /// Makes a permanent token.
    pub async fn permanent(
        &self,
        credentials: &Credentials,
        request: CreatePermanentTokenRequest,
    ) -> CreatePermanentTokenResponse {
        let mut issuer = self.issuer(credentials);
        issuer.create_permanent_token(request).await.expect("a permanent token").into_inner()
    }

    /// The record of a permanent token, as it is now.
    pub async fn record(&self, credentials: &Credentials, id: i64) -> PermanentToken {
        let mut issuer = self.issuer(credentials);
        let answer = issuer.get_permanent_token(GetPermanentTokenRequest { id }).await;
        answer.expect("a record").into_inner().permanent_token.unwrap()
    }
}

/// A user that a test made, with a session.
pub struct User {
    /// The user's id.
    pub id: i64,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// The session's first pair.
    pub session: LoginResponse,
    /// The session's access token.
    pub credentials: Credentials,
}

/// A request for a permanent token with this name, and nothing else.
pub fn named(name: &str) -> CreatePermanentTokenRequest {
    CreatePermanentTokenRequest { name: name.into(), ..CreatePermanentTokenRequest::default() }
}
