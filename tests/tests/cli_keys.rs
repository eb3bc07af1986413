//! The command line: signing keys.

use serde_json::Value;
use tessera_proto::v1::DenialReason;
use tessera_tests::{
    ask::ask,
    cli::Cli,
    on_every_backend,
    service::ADMIN_PASSWORD,
    system::{Backend, System},
    watch::eventually,
};

on_every_backend!(
    a_key_is_rotated_and_the_former_one_retires,
    a_key_in_wrong_hands_is_retired_now,
    who_may_not_and_what_can_not_is_told,
);

/// As short as the staleness bound lets it be.
const DELAY: [&str; 2] = ["--key-publication-delay", "3s"];

fn admin(system: &System) -> Cli {
    let admin = Cli::of(system);
    admin.login("admin", ADMIN_PASSWORD);
    admin
}

/// The keys as listed, the newest first: kid and state of each.
fn keys(cli: &Cli) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = cli.run("--output json admin key list").json();
    let keys = list.as_array().unwrap();
    keys.iter().map(|key| (text(&key["kid"]), text(&key["state"]))).collect()
}

async fn a_key_is_rotated_and_the_former_one_retires(backend: Backend) {
    let system = backend.start_with(&DELAY).await;
    let cli = admin(&system);
    let before = system.admin_session().await.access_token;
    let [(former, state)] = &keys(&cli)[..] else { panic!("one key") };
    assert_eq!(state, "SIGNING");
    cli.run(&format!("admin key retire {former}")).fails(19, "[KEY_SIGNS]");

    let made = cli.run("--output json admin key rotate --algorithm EdDSA").json();
    let kid = made["kid"].as_str().unwrap();
    assert_eq!((&made["algorithm"], &made["state"]), (&"EdDSA".into(), &"PUBLISHED".into()));
    let table = cli.run("admin key list").ok();
    let rows: Vec<_> = table.lines().collect();
    assert!(rows[0].starts_with("KID") && rows[1].starts_with(kid), "{table}");
    let named = |kid: &str, state: &str| (kid.to_owned(), state.to_owned());
    let expected = [named(kid, "SIGNING"), named(former, "RETIRED")];
    eventually("the new key signs and the former one is retired", || {
        std::future::ready((keys(&cli) == expected).then_some(()))
    })
    .await;
    system.verdict(ask(&before)).await.expect("a token of the former key is good");
    let token = system.admin_session().await.access_token;
    system.verdict(ask(&token)).await.expect("a token of the new key is good");

    // A key that waits to sign goes when it is retired, and nothing else changes.
    let waiting = cli.run("--output json admin key rotate").json();
    let waiting = waiting["kid"].as_str().unwrap();
    let gone = cli.run(&format!("--output json admin key retire {waiting}")).json();
    assert_eq!(gone["state"], "GONE");
    assert_eq!(keys(&cli), expected);
}

async fn a_key_in_wrong_hands_is_retired_now(backend: Backend) {
    let system = backend.start_with(&DELAY).await;
    let cli = admin(&system);
    let stolen = system.admin_session().await.access_token;
    system.verdict(ask(&stolen)).await.expect("good");
    let kid = keys(&cli).remove(0).0;
    let ran = cli.run(&format!("admin key retire {kid} --now"));
    assert!(ran.stderr.contains("signs in its place"), "{ran:?}");
    let shown = ran.ok();
    assert!(shown.contains(&kid) && shown.contains("gone"), "{shown}");
    assert_eq!(system.verdict(ask(&stolen)).await, Err(DenialReason::BadSignature));
    // The session of the command line was of that key as well: it refreshes itself.
    eventually("a list by a token of the next key", || {
        let ran = cli.run("--output json admin key list");
        std::future::ready((ran.code == 0).then(|| {
            let left = ran.json();
            let [key] = &left.as_array().unwrap()[..] else { panic!("one key: {left}") };
            assert!(key["kid"] != kid.as_str() && key["state"] == "SIGNING", "{key}");
        }))
    })
    .await;
    let token = system.admin_session().await.access_token;
    system.verdict(ask(&token)).await.expect("a token of the next key is good");
}

async fn who_may_not_and_what_can_not_is_told(backend: Backend) {
    let system = backend.start().await;
    let (cli, other) = (admin(&system), Cli::of(&system));
    let user = system.user("Users").await;
    other.login(&user.username, &user.password);
    for line in ["list", "rotate", "retire x --now"] {
        other.run(&format!("admin key {line}")).fails(17, "[NOT_PERMITTED]");
    }
    cli.run("admin key retire no-such-key").fails(13, "kid: ");
    cli.run(&format!("admin key retire {}", "x".repeat(43))).fails(15, "[NOT_FOUND]");
    cli.run("admin key rotate --algorithm HS256").fails(13, "[INVALID_FIELD]");
    cli.run("admin key rotate --algorithm RS256").ok();
    cli.run("admin key rotate --algorithm EdDSA").fails(19, "[ROTATION_UNDER_WAY]");
    Cli::of(&system).run("admin key list").fails(26, "tessera login");
}
