//! A start that can't succeed: a store URL that is none ends it, a store that lets nobody in is
//! told of and tried on.

use std::path::Path;

use tempfile::TempDir;
use tessera_tests::{
    group::{Cluster, SentinelGroup},
    process::{Process, built, clean},
    redis::Redis,
    service::{self, Place},
    users::OBSERVER,
    watch::eventually,
};

fn start(program: &str, store: &str, dir: &Path) -> Process {
    let place = Place::free();
    let mut command = clean(&built(program));
    command
        .args(["--dev", "--store", store])
        .args(["--listen", &place.grpc.to_string()])
        .args(["--http-listen", &place.http.to_string()]);
    Process::start("service", command, dir)
}

#[tokio::test]
async fn a_store_url_that_is_none_ends_the_start_with_what_would_be_right() {
    let forms = [
        ("", "embedded:DIR"),
        ("redis", "embedded:DIR"),
        ("postgres://u:hunter2@h", "embedded:DIR"),
        ("embedded:", "such as embedded:./tessera-data"),
        ("embedded://data", "no // before the directory"),
        ("redis+other://h", "redis+sentinel://"),
        ("rediss+unix:///s", "redis+unix:///PATH"),
        ("redis:", "redis://HOST:PORT/DB"),
        ("redis://", "redis://HOST:PORT/DB"),
        ("redis://u:hunter2@/0", "redis://HOST:PORT/DB"),
        ("redis://h:port", "percent-encode"),
        ("redis://h:70000", "percent-encode"),
        ("redis://u:hunter2/@h", "percent-encode"),
        ("redis://::1:6379", "percent-encode"),
        ("redis://h1,h2", "redis+sentinel:// or redis+cluster://"),
        ("redis://h/zero", "from 0 to 65535"),
        ("redis://u:hunter2@h/0/1", "from 0 to 65535"),
        ("redis://u:%ff@h", "percent-encoded UTF-8"),
        ("redis://u:hunter2@h#x", "%23"),
        ("redis://h?ca_file=x", "with rediss"),
        ("redis://h?prefix=a&prefix=b", "at most once"),
        ("rediss://h", "CA certificate"),
        ("rediss://h?ca_file=/no/such/file", "/no/such/file"),
        ("rediss://h?ca_file=/dev/null", "PEM certificate"),
        ("rediss://h?ca_file=/dev/null&cert_file=/dev/null", "the key is missing"),
        ("redis+unix://host/path", "three slashes"),
        ("redis+unix:///s?password=hunter2", "the password goes apart"),
        ("redis+sentinel://h1,h2", "NAME/DB"),
        ("redis+sentinel:///name", "no host"),
        ("redis+sentinel://h1,,h2/name", "no host"),
        ("redis+sentinel://h/name/x", "from 0 to 65535"),
        ("redis+sentinel://h/name?sentinel_pass=hunter2", "sentinel_password"),
        ("redis+cluster://", "no host"),
        ("redis+cluster://u:hunter2@h/1", "database 0 alone"),
        ("redis+cluster://h?prefix={t}:", "one slot"),
        ("redis+cluster://h?sentinel_user=x", "the parameters after ? are"),
    ];
    let dir = TempDir::new().unwrap();
    for (form, says) in forms {
        for program in ["tessera-issuer", "tessera-verifier"] {
            let mut refused = start(program, form, dir.path());
            let code = refused.exit().await.code();
            let log = refused.log();
            assert_eq!(code, Some(64), "{program} {form}:\n{log}");
            assert!(log.contains("--store") && log.contains(says), "{program} {form}: {log}");
            assert!(!log.contains("hunter2"), "{log}");
        }
    }
}

#[tokio::test]
async fn a_verifier_makes_no_store() {
    let dir = TempDir::new().unwrap();
    let nothing = dir.path().join("nothing");
    let mut refused =
        start("tessera-verifier", &format!("embedded:{}", nothing.display()), dir.path());
    assert_eq!(refused.exit().await.code(), Some(64), "{}", refused.log());
    assert!(refused.log().contains("nothing holds no store"), "{}", refused.log());
    assert!(!nothing.exists());
}

/// What is wrong is said once, at WARN, by a service that goes on trying.
async fn told_and_tried_on(url: &str, says: &[&str]) -> [(Process, TempDir); 2] {
    let mut services = ["tessera-issuer", "tessera-verifier"].map(|program| {
        let dir = TempDir::new().unwrap();
        (start(program, &url.replace("USER", &program["tessera-".len()..]), dir.path()), dir)
    });
    for (service, _) in &mut services {
        eventually("a report", || {
            assert!(service.ended().is_none(), "no crash loop:\n{}", service.log());
            let log = service.log();
            let is_told = log.contains("WARN") && says.iter().all(|word| log.contains(word));
            std::future::ready(is_told.then_some(()))
        })
        .await;
    }
    services
}

#[tokio::test]
async fn a_password_given_twice_ends_the_start() {
    for program in ["tessera-issuer", "tessera-verifier"] {
        let (dir, mut command) = (TempDir::new().unwrap(), clean(&built(program)));
        command
            .args(["--dev", "--store", "redis://u:hunter2@127.0.0.1:1/0"])
            .env("TESSERA_STORE_PASSWORD", "hunter3");
        let mut refused = Process::start("service", command, dir.path());
        assert_eq!(refused.exit().await.code(), Some(64), "{}", refused.log());
        assert!(refused.log().contains("--store: the password is in the store URL"));
        assert!(!refused.log().contains("hunter"), "{}", refused.log());
    }
}

#[tokio::test]
async fn a_database_that_the_user_may_not_select_is_told_with_the_right_that_is_missing() {
    let redis = Redis::start().await;
    for user in ["issuer", "verifier"] {
        let (dir, url) = (TempDir::new().unwrap(), redis.url_as(user));
        let url = format!("{}/7", url.strip_suffix("/0").unwrap());
        let mut service = start(&format!("tessera-{user}"), &url, dir.path());
        eventually("a report", || {
            assert!(service.ended().is_none(), "{}", service.log());
            let log = service.log();
            let is_told = log.contains("(NOPERM)") && log.contains("+select");
            std::future::ready(is_told.then_some(()))
        })
        .await;
    }
}

#[tokio::test]
async fn a_key_command_that_fails_says_why_itself() {
    let (dir, place) = (TempDir::new().unwrap(), Place::free());
    let flags = ["--key-encryption-key-command", "echo the vault is sealed >&2; exit 2"];
    let flags = flags.map(str::to_owned);
    let mut refused = service::issuer("redis://127.0.0.1:1", place, &flags, dir.path());
    assert_eq!(refused.exit().await.code(), Some(64), "{}", refused.log());
    let log = refused.log();
    assert!(log.contains("waiting for --key-encryption-key-command"), "{log}");
    assert!(log.contains("the vault is sealed\n"), "{log}");
}

fn once(service: &Process, text: &str) {
    let log = service.log();
    assert_eq!(log.matches(text).count(), 1, "{text}, in:\n{log}");
}

#[tokio::test]
async fn a_wrong_password_is_told_once_and_tried_on() {
    const WRONG: &str = "another-password-that-is-wrong-yet";
    let redis = Redis::start().await;
    let url = format!("redis://USER:{WRONG}@{}/0", redis.address());
    let mut services = told_and_tried_on(&url, &["refused the user name or the password"]).await;
    let mut observer = redis.connection_as(OBSERVER).await;
    for ((service, _), user) in services.iter_mut().zip(["issuer", "verifier"]) {
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg(user).arg(format!(">{WRONG}"));
        let _: String = set.query_async(&mut observer).await.unwrap();
        eventually("a connection", || {
            assert!(service.ended().is_none(), "{}", service.log());
            std::future::ready(service.log().contains("connected to the store").then_some(()))
        })
        .await;
        once(service, "can't connect to the store; trying on");
        assert!(!service.log().contains(WRONG));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_name_under_sentinels_is_told() {
    let group = SentinelGroup::start().await;
    let right = group.url_as("issuer").replace("//issuer:", "//USER:");
    let url = right.replace("/tessera-main/", "/another-name/");
    for (service, _) in &told_and_tried_on(&url, &["knows no primary of this name"]).await {
        once(service, "can't connect to the store; trying on");
    }
    let url = url_with_password(&right, "wrong");
    told_and_tried_on(&url, &["refused the user name or the password"]).await;
    let url = right.replace("sentinel_password=", "sentinel_password=not-");
    told_and_tried_on(&url, &["refused the user name or the password"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_of_a_cluster_is_told() {
    let cluster = Cluster::start().await;
    let url = cluster.url_as("issuer").replace("//issuer:", "//USER:");
    let url = url_with_password(&url, "wrong");
    let says = ["no node of the store tells of the cluster", "refused the user name"];
    let services = told_and_tried_on(&url, &says).await;
    for (service, _) in &services {
        once(service, "no node of the store tells of the cluster; trying on");
    }
    let single = Redis::start().await;
    let address = single.address().to_string();
    let password = single.users().password("issuer");
    let url = format!("redis+cluster://issuer:{password}@{address}");
    told_and_tried_on(&url, &["is not in a cluster"]).await;
}

fn url_with_password(url: &str, password: &str) -> String {
    let (start, rest) = url.split_once("//USER:").unwrap();
    let (_, rest) = rest.split_once('@').unwrap();
    format!("{start}//USER:{password}@{rest}")
}

#[tokio::test]
async fn a_store_that_is_away_is_told_and_served_when_it_comes() {
    let mut redis = Redis::start().await;
    redis.kill9().await;
    let (dir, place) = (TempDir::new().unwrap(), Place::free());
    let mut verifier =
        service::verifier("verifier", &redis.url_as("verifier"), place, &[], dir.path());
    eventually("a report", || {
        std::future::ready(verifier.log().contains("can't connect to the store").then_some(()))
    })
    .await;
    redis.restart().await;
    eventually("a connection", || {
        std::future::ready(verifier.log().contains("connected to the store").then_some(()))
    })
    .await;
    assert!(verifier.ended().is_none());
}
