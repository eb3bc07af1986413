//! Each right that a topology needs besides is missed by `tessera doctor` when it is taken away,
//! and by nobody where it is not needed.

use redis::Cmd;
use serde_json::Value;
use tempfile::TempDir;
use tessera_tests::{
    cli::Cli,
    group::{Cluster, Member, SentinelGroup},
    tools::repository,
};

/// Who, what is taken away, and what the doctor says then.
type Case = (&'static str, &'static str, &'static str);

/// All keys but the one that is missed.
const NO_MARK: &str = "resetkeys ~tessera:[^m]*";
const NO_BEAT: &str = "resetkeys ~tessera:[^h]*";
const NO_BEAT_TO_READ: &str = "resetkeys %R~tessera:a:* %R~tessera:u:* %R~tessera:t:* \
     %R~tessera:rev:* %R~tessera:roles %R~tessera:imports %R~tessera:h:* %R~tessera:jwk %W~tessera:use";

async fn say(members: &[Member], words: &str) {
    for member in members {
        let words: Vec<_> = words.split(' ').collect();
        let _: redis::Value = member.ask(Cmd::new().arg(words)).await.unwrap();
    }
}

/// Gives `user` the rights of the file again. Not by `ACL LOAD`, which ends a replica of Valkey 8.0.1.
fn as_it_was(user: &str) -> String {
    let file = std::fs::read_to_string(repository().join("deploy/redis/users.acl")).unwrap();
    let rules = file.lines().find_map(|line| line.strip_prefix(&format!("user {user} on ")));
    // The password stays.
    let rules = rules.unwrap().split_once(' ').unwrap().1;
    format!("ACL SETUSER {user} resetkeys -@all {rules}")
}

/// The doctor as `user`, whose issuer waits for a replica.
fn findings(url: &str, user: &str) -> Vec<Value> {
    let cli = Cli::at(TempDir::new().unwrap());
    let line = format!("doctor --store {url} --as {user} --store-min-replicas 1 --format json");
    let ran = cli.run(&line);
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let findings = seen["findings"].as_array().unwrap();
    // The tests' servers leave it to the issuer.
    let findings = findings.iter().filter(|it| !it["what"].to_string().contains("min-replicas-to"));
    findings.cloned().collect()
}

async fn each_is_missed(members: &[Member], url: impl Fn(&str) -> String, cases: &[Case]) {
    for user in ["issuer", "verifier"] {
        assert_eq!(findings(&url(user), user), Vec::<Value>::new(), "{user}");
    }
    for (user, taken, says) in cases {
        say(members, &format!("ACL SETUSER {user} {taken}")).await;
        let found = findings(&url(user), user);
        say(members, &as_it_was(user)).await;
        let [finding] = &found[..] else { panic!("{user} {taken}: {found:?}") };
        assert_eq!(finding["weight"], "breaks", "{user} {taken}: {finding}");
        assert!(finding["what"].as_str().unwrap().contains(says), "{user} {taken}: {finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_sentinels_role_and_what_confirms_are_needed() {
    let group = SentinelGroup::start().await;
    let cases = [
        ("issuer", "-role", "may not say ROLE"),
        ("issuer", "-wait", "may not say WAIT"),
        ("issuer", NO_MARK, "may not say INCR tessera:mk"),
        ("issuer", NO_BEAT, "may not say INCR tessera:hb"),
        ("verifier", "-role", "may not say ROLE"),
        ("verifier", NO_BEAT_TO_READ, "GET tessera:hb"),
    ];
    each_is_missed(&group.members, |user| group.url_as(user), &cases).await;
    // Nobody says it here.
    for user in ["issuer", "verifier"] {
        say(&group.members, &format!("ACL SETUSER {user} -cluster|nodes -asking")).await;
        assert_eq!(findings(&group.url_as(user), user), Vec::<Value>::new(), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_nodes_asking_and_tagged_keys_are_needed() {
    let cluster = Cluster::start().await;
    let cases = [
        ("issuer", "-asking", "may not say ASKING"),
        ("issuer", "-wait", "may not say WAIT"),
        ("issuer", NO_MARK, "may not say INCR tessera:mk:{0}"),
        ("issuer", NO_BEAT, "may not say INCR tessera:hb:{0}"),
        ("verifier", "-asking", "may not say ASKING"),
        ("verifier", NO_BEAT_TO_READ, "GET tessera:hb:{0}"),
    ];
    each_is_missed(&cluster.members, |user| cluster.url_as(user), &cases).await;
    for user in ["issuer", "verifier"] {
        say(&cluster.members, &format!("ACL SETUSER {user} -role")).await;
        assert_eq!(findings(&cluster.url_as(user), user), Vec::<Value>::new(), "{user}");
        // By it the nodes are found.
        say(&cluster.members, &format!("ACL SETUSER {user} -cluster|nodes")).await;
        let cli = Cli::at(TempDir::new().unwrap());
        let ran = cli.run(&format!("doctor --store {} --as {user}", cluster.url_as(user)));
        ran.fails(69, "cluster|nodes");
    }
}
