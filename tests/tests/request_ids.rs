//! `x-request-id`: in the answer, and in each line that the request logs.

use serde_json::Value;
use tessera_proto::v1::{LoginRequest, RefreshRequest};
use tessera_tests::{
    ask::{ask, ask_cached},
    client::Credentials,
    on_every_backend,
    system::{Backend, System, named},
    tools::{succeed, venv},
    watch::eventually,
};
use tonic::{Request, Response};

on_every_backend!(a_request_is_known_by_its_id_in_its_answer_and_its_log_lines);

const FETCH: &str = "import sys, urllib.request, urllib.error
url, given = sys.argv[1:]
try: answer = urllib.request.urlopen(urllib.request.Request(url, headers={'X-Request-Id': given}))
except urllib.error.HTTPError as error: answer = error
print(answer.headers['x-request-id'])";

fn with_id<T>(message: T, id: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", id.parse().unwrap());
    request
}

fn id_of<T>(answer: &Response<T>) -> Option<&str> {
    answer.metadata().get("x-request-id").map(|id| id.to_str().unwrap())
}

/// Waits for a line of any log with this id and these words.
async fn logged(system: &System, id: &str, words: &str) {
    eventually("the line in a log", || {
        let files = std::fs::read_dir(system.dir()).unwrap().filter_map(Result::ok);
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        let is_it = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["span"]["request.id"] == id && line.to_string().contains(words)
        };
        let found = texts.into_iter().any(|text| text.lines().any(is_it));
        std::future::ready(found.then_some(()))
    })
    .await;
}

async fn a_request_is_known_by_its_id_in_its_answer_and_its_log_lines(backend: Backend) {
    let flags = ["--log-format", "json", "--refresh-grace", "0s"];
    let system = match backend {
        Backend::Embedded => System::over(None, &flags, &[]).await,
        Backend::Redis => {
            let redis = tessera_tests::redis::Redis::start().await;
            System::over(Some(redis), &flags, &flags[..2]).await
        }
    };
    let mut issuer = system.issuer(&Credentials::none());
    let session = system.admin_session().await;
    let refresh = RefreshRequest { refresh_token: session.refresh_token };
    let answer = issuer.refresh(with_id(refresh.clone(), "first-1")).await.unwrap();
    assert_eq!(id_of(&answer), Some("first-1"));
    let reused = issuer.refresh(with_id(refresh, "second-2")).await.unwrap_err();
    assert_eq!(reused.metadata().get("x-request-id").unwrap(), "second-2");
    logged(&system, "second-2", "used twice").await;
    // One of its own, where none is given, or what could be a token.
    let wrong = LoginRequest { username: "nobody".into(), password: "not a password".into() };
    let mut ids = Vec::new();
    for request in [Request::new(wrong.clone()), with_id(wrong, "tessera_1_secret")] {
        let refused = issuer.login(request).await.unwrap_err();
        ids.push(refused.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned());
    }
    assert!(ids[0] != ids[1] && ids.iter().all(|id| !id.contains('_')), "{ids:?}");

    let token = system.permanent(&system.admin().await, named("asked for")).await.token;
    for mut verifier in system.verifiers() {
        for question in [ask(&token), ask_cached(&token), ask_cached(&token), ask("nonsense")] {
            let answer = verifier.verify(with_id(question, "third-3")).await.unwrap();
            assert_eq!(id_of(&answer), Some("third-3"));
        }
        assert_eq!(id_of(&verifier.verify(ask_cached(&token)).await.unwrap()), None);
    }
    let address = system.verifier_places()[0].http;
    let fetch = |path: &'static str| {
        let mut python = venv("python");
        python.args(["-c", FETCH, &format!("http://{address}{path}"), "fourth-4"]);
        tokio::task::spawn_blocking(move || succeed(&mut python).trim().to_owned())
    };
    assert_eq!(fetch("/verify?unheard-of=1").await.unwrap(), "fourth-4");
    logged(&system, "fourth-4", "configuration of a route").await;
    assert_eq!(fetch("/livez").await.unwrap(), "fourth-4");
}
