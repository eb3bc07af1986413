//! What the users of Redis may do, as `deploy/redis/users.acl` has them. All tests with a
//! Redis run as these users; here is what they may not, over every command that the
//! server knows.

use std::collections::BTreeSet;

use redis::{RedisError, Value, aio::MultiplexedConnection, cmd};
use tessera_proto::v1::{ChangePasswordRequest, DenialReason, RevokePermanentTokenRequest};
use tessera_tests::{
    ask::ask,
    redis_commands::known_commands,
    system::{Backend, System, named},
    tools::repository,
    users::OBSERVER,
    watch::eventually,
};

/// What a verifier says. Whoever is not logged in may say the last two.
const VERIFIER: [&str; 12] = [
    "auth",
    "hello",
    "ping",
    "get",
    "mget",
    "client|tracking",
    "role",
    "cluster|nodes",
    "asking",
    "xadd",
    "quit",
    "reset",
];
/// What it reads; `:` stands before an id.
const READ: [&str; 10] = ["a:", "u:", "t:", "rev:", "h:", "imports", "roles", "jwk", "hb", "hb:"];

/// An installation in which every kind of key is there.
async fn lived_in() -> System {
    let system = Backend::Redis.start().await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("as the users of the file")).await;
    system.verdict(ask(&made.token)).await.expect("good");
    let id = made.permanent_token.unwrap().id;
    eventually("last_used_at", || async { system.record(&admin, id).await.last_used_at }).await;
    let user = system.user("Users").await;
    let request = ChangePasswordRequest {
        current_password: user.password.clone(),
        new_password: "a passphrase that the user chose".into(),
    };
    system.issuer(&user.credentials).change_password(request).await.unwrap();
    system.verdict(ask(&user.session.access_token)).await.expect_err("of the old password");
    let request = RevokePermanentTokenRequest { id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    assert_eq!(system.verdict(ask(&made.token)).await, Err(DenialReason::Revoked));
    system.permanent(&admin, named("alive")).await;
    system
}

async fn dry_run(observer: &mut MultiplexedConnection, user: &str, words: &[String]) -> bool {
    let mut ask = cmd("ACL");
    ask.arg("DRYRUN").arg(user).arg(words);
    ask.query_async::<String>(observer).await.is_ok_and(|answer| answer == "OK")
}

async fn allowed(observer: &mut MultiplexedConnection, user: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for command in known_commands(observer).await {
        if dry_run(observer, user, &command.words("tessera:t:1")).await
            // The stream is the one key that a verifier writes.
            || dry_run(observer, user, &command.words("tessera:use")).await
        {
            allowed.insert(command.name);
        }
    }
    allowed
}

async fn refusal(redis: &mut MultiplexedConnection, words: &[String]) -> RedisError {
    let answer = redis::Cmd::new().arg(words).query_async::<Value>(redis).await;
    answer.expect_err(&words.join(" "))
}

fn is_refused(error: &RedisError) -> bool {
    // EXEC puts it into words of its own; DEBUG is off before it is asked who calls.
    let text = error.to_string();
    error.code() == Some("NOPERM") || text.contains("NOPERM") || text.contains("not allowed")
}

#[tokio::test]
async fn a_verifier_may_say_nothing_but_what_it_says() {
    let mut system = lived_in().await;
    let mut observer = system.redis().connection_as(OBSERVER).await;
    assert_eq!(allowed(&mut observer, "verifier").await, VERIFIER.map(str::to_owned).into());

    let before = system.redis().dump().await.len();
    let mut verifier = system.redis().connection_as("verifier").await;
    let mut tried = 0;
    for command in known_commands(&mut observer).await {
        if !VERIFIER.contains(&command.name.as_str()) {
            let words = command.words("tessera:t:1");
            let error = refusal(&mut verifier, &words).await;
            assert!(is_refused(&error), "{}: {error}", words.join(" "));
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried} commands and subcommands");
    // The heartbeat's digits and the stream are all that moved meanwhile.
    assert!(system.redis().dump().await.len().abs_diff(before) < 500);
}

#[tokio::test]
async fn a_verifier_reads_its_own_keys_and_writes_one() {
    let mut system = lived_in().await;
    let mut observer = system.redis().connection_as(OBSERVER).await;
    let mut verifier = system.redis().connection_as("verifier").await;
    let mut names: Vec<String> = cmd("KEYS").arg("*").query_async(&mut observer).await.unwrap();
    names.extend(["tessera:use", "t:1", "other:t:1", "tessera:pw:0"].map(str::to_owned));
    let mut refused = BTreeSet::new();
    for name in names {
        let kind = name.strip_prefix("tessera:").unwrap_or_default();
        let may_read = READ.iter().any(|own| match own.ends_with(':') {
            true => kind.starts_with(own),
            false => kind == *own,
        });
        for read in [vec!["GET", &name], vec!["MGET", &name], vec!["MGET", "tessera:hb", &name]] {
            let answer = redis::Cmd::new().arg(&read).query_async::<Value>(&mut verifier).await;
            match answer {
                Ok(value) if may_read => {
                    let shown = format!("{value:?}");
                    assert!(!shown.contains("argon2id"), "{read:?}: a password");
                }
                Err(error) if !may_read => {
                    assert_eq!(error.code(), Some("NOPERM"), "{read:?}: {error}");
                }
                other => panic!("{read:?}: {other:?}"),
            }
        }
        let add = ["XADD", &name, "NOMKSTREAM", "*", "u", "x"].map(str::to_owned);
        if kind != "use" {
            assert!(is_refused(&refusal(&mut verifier, &add).await), "{add:?}");
        }
        if !may_read {
            refused.insert(kind.split(':').next().unwrap_or_default().to_owned());
        }
    }
    for kind in ["pw", "sk", "un", "s", "ia", "iu", "is", "it", "il", "lu", "use", ""] {
        assert!(refused.contains(kind), "no key of the kind {kind:?} in {refused:?}");
    }
}

/// What an issuer says of no key.
const HAS_NO_KEY: [&str; 11] = [
    "ping",
    "auth",
    "hello",
    "info",
    "config|get",
    "role",
    "cluster|nodes",
    "asking",
    "wait",
    "quit",
    "reset",
];

#[tokio::test]
async fn an_issuer_stays_inside_the_prefix_and_administers_nothing() {
    let mut system = Backend::Redis.start().await;
    let mut observer = system.redis().connection_as(OBSERVER).await;
    let said = allowed(&mut observer, "issuer").await;
    let dangerous: BTreeSet<String> =
        cmd("ACL").arg("CAT").arg("dangerous").query_async(&mut observer).await.unwrap();
    let dangerous: Vec<_> = said.intersection(&dangerous).map(String::as_str).collect();
    let needed = ["config|get", "info", "role"];
    assert_eq!(dangerous, needed, "for the check of the settings, and to know a primary");
    for command in known_commands(&mut observer).await {
        if HAS_NO_KEY.contains(&command.name.as_str()) {
            continue;
        }
        let words = command.words("other:t:1");
        assert!(!dry_run(&mut observer, "issuer", &words).await, "{words:?}");
    }
}

#[tokio::test]
async fn sentinels_and_replicas_reach_no_key_by_a_command() {
    let mut system = Backend::Redis.start().await;
    let mut observer = system.redis().connection_as(OBSERVER).await;
    let file = std::fs::read_to_string(repository().join("deploy/redis/users.acl")).unwrap();
    for (user, hash) in [("sentinel", "#SENTINEL_SHA256"), ("replica", "#REPLICA_SHA256")] {
        let rules = file.lines().find_map(|line| line.strip_prefix(&format!("user {user} ")));
        let rules = rules.unwrap().replace(hash, ">secret");
        let mut set = cmd("ACL");
        set.arg("SETUSER").arg(user).arg(rules.split(' ').collect::<Vec<_>>());
        let _: String = set.query_async(&mut observer).await.unwrap();
        for name in ["get", "set", "del", "keys", "scan", "dump", "eval", "flushall", "config|get"]
        {
            let commands = known_commands(&mut observer).await;
            let command = commands.into_iter().find(|known| known.name == name).unwrap();
            let words = command.words("tessera:t:1");
            assert!(!dry_run(&mut observer, user, &words).await, "{user}: {words:?}");
        }
    }
    let replicate = ["psync".to_owned(), "?".to_owned(), "-1".to_owned()];
    assert!(dry_run(&mut observer, "replica", &replicate).await);
    let promote = ["replicaof".to_owned(), "no".to_owned(), "one".to_owned()];
    assert!(dry_run(&mut observer, "sentinel", &promote).await);
}
