use tessera_proto::v1::WhoAmIRequest;
use tessera_shared::clock::{ManualClock, Timestamp};

use super::{fake::Fake, *};

/// A session `access-0`, `refresh-0` whose tokens expire at these seconds.
struct Scene {
    _dir: tempfile::TempDir,
    fake: Fake,
    url: String,
    file: SessionFile,
    clock: ManualClock,
}

impl Scene {
    fn new(access_expires_at: i64, refresh_expires_at: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        let file = SessionFile::new(Some(path.clone()), &|_| None).unwrap();
        let (fake, url) = Fake::serve(path);
        file.save(&Session {
            issuer: url.clone(),
            access_token: Secret::new("access-0".into()),
            access_expires_at: Timestamp::from_millis(access_expires_at * 1000),
            refresh_token: Secret::new("refresh-0".into()),
            refresh_expires_at: Timestamp::from_millis(refresh_expires_at * 1000),
        })
        .unwrap();
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
        Self { _dir: dir, fake, url, file, clock }
    }

    async fn whoami_with(&self, credentials: Credentials) -> Result<String, Failure> {
        let caller = Caller {
            issuer: Server::new(&self.url, None, "--issuer")?,
            credentials,
            file: &self.file,
            clock: &self.clock,
        };
        let answer = caller.call(WhoAmIRequest {}, async |channel, request| {
            IssuerServiceClient::new(channel).who_am_i(request).await
        });
        Ok(answer.await?.principal.unwrap().name)
    }

    async fn whoami(&self) -> Result<String, Failure> {
        self.whoami_with(Credentials::Session).await
    }
}

#[tokio::test]
async fn a_good_access_token_is_used_as_it_is() {
    let scene = Scene::new(1031, 5000);
    assert_eq!(scene.whoami().await.unwrap(), "Bearer access-0");
    assert_eq!(scene.fake.refreshes(), 0);
}

#[tokio::test]
async fn an_access_token_within_30_seconds_of_its_end_is_refreshed_and_saved_before_use() {
    let scene = Scene::new(1030, 5000);
    assert_eq!(scene.whoami().await.unwrap(), "Bearer access-1");
    let saved = scene.file.load().unwrap().unwrap();
    assert_eq!(saved.refresh_token.expose(), "refresh-1");
    assert_eq!(saved.issuer, scene.url);
}

#[tokio::test]
async fn callers_at_the_same_time_refresh_once() {
    let scene = Scene::new(1000, 5000);
    let (a, b, c) = tokio::join!(scene.whoami(), scene.whoami(), scene.whoami());
    for name in [a, b, c] {
        assert_eq!(name.unwrap(), "Bearer access-1");
    }
    assert_eq!(scene.fake.refreshes(), 1);
}

#[tokio::test]
async fn an_access_token_that_the_issuer_finds_bad_is_refreshed_and_the_call_repeated() {
    let scene = Scene::new(9000, 9000);
    let mut session = scene.file.load().unwrap().unwrap();
    session.access_token = Secret::new("access-from-before-a-role-change".into());
    scene.file.save(&session).unwrap();
    assert_eq!(scene.whoami().await.unwrap(), "Bearer access-1");
}

#[tokio::test]
async fn a_session_whose_time_is_over_calls_nobody() {
    let scene = Scene::new(900, 1000);
    let failure = scene.whoami().await.unwrap_err();
    assert!(matches!(failure, Failure::SessionOver(_)));
    assert_eq!(scene.fake.refreshes(), 0);
}

#[tokio::test]
async fn a_refused_refresh_is_reported_with_no_token_in_it() {
    let scene = Scene::new(900, 5000);
    let mut session = scene.file.load().unwrap().unwrap();
    session.refresh_token = Secret::new("stolen-refresh".into());
    scene.file.save(&session).unwrap();
    let failure = scene.whoami().await.unwrap_err();
    assert!(failure.is_unauthenticated());
    let text = format!("{failure} {failure:?}");
    assert!(text.contains("REFRESH_TOKEN_REUSED") && !text.contains("stolen"), "{text}");
}

#[tokio::test]
async fn a_permanent_token_goes_as_an_api_key() {
    let scene = Scene::new(0, 0);
    let token = Credentials::Permanent(Secret::new("tessera_1_x".into()));
    assert_eq!(scene.whoami_with(token).await.unwrap(), "APIKey tessera_1_x");
}

#[tokio::test]
async fn without_a_session_file_one_is_not_logged_in() {
    let scene = Scene::new(0, 0);
    scene.file.remove().unwrap();
    assert!(matches!(scene.whoami().await, Err(Failure::NotLoggedIn)));
}
