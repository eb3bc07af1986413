use std::collections::BTreeMap;

use super::*;
use crate::store::redis::Guarantee;

fn server(settings: &[(&str, &str)], info: &[(&str, &str)]) -> Server {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let mut all = map(&[
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("no-appendfsync-on-rewrite", "no"),
        ("maxmemory-policy", "noeviction"),
        ("min-replicas-to-write", "0"),
    ]);
    all.extend(map(settings));
    Server {
        address: "localhost:6379".into(),
        program: "redis".into(),
        version: "7.0.15".into(),
        mode: "standalone".into(),
        role: "master".into(),
        info: Some(map(info)),
        settings: Some(all),
        ahead_millis: Some(0),
        ..Server::default()
    }
}

fn told(server: &Server) -> Vec<(Weight, String)> {
    findings(server, User::Issuer).into_iter().map(|it| (it.weight, it.to_string())).collect()
}

#[test]
fn nothing_is_wrong_under_the_settings_of_deploy() {
    let file = include_str!("../../../../deploy/redis/redis.conf");
    let set: Vec<(&str, &str)> = file
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .collect();
    assert_eq!(told(&server(&set, &[("connected_slaves", "0")])), []);
}

#[test]
fn each_setting_that_breaks_the_promise_is_named_with_what_to_set() {
    for (name, wrong, right) in [
        ("appendonly", "no", "appendonly yes"),
        ("appendfsync", "everysec", "appendfsync always"),
        ("appendfsync", "no", "appendfsync always"),
        ("no-appendfsync-on-rewrite", "yes", "no-appendfsync-on-rewrite no"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy noeviction"),
        ("maxmemory-policy", "volatile-ttl", "maxmemory-policy noeviction"),
    ] {
        let [(Weight::Breaks, text)] = &told(&server(&[(name, wrong)], &[]))[..] else {
            panic!("{name} {wrong}")
        };
        assert!(text.contains(name) && text.contains(wrong) && text.contains(right), "{text}");
    }
}

#[test]
fn what_can_not_be_read_is_unknown_and_never_good() {
    let info = [("aof_enabled", "1"), ("maxmemory_policy", "noeviction")];
    let blind = Server { settings: None, ..server(&[], &info) };
    let [(Weight::Unknown, text)] = &told(&blind)[..] else { panic!("{:?}", told(&blind)) };
    assert!(text.contains("appendfsync") && text.contains("+config|get"), "{text}");
    assert!(!text.contains("appendonly"), "INFO shows it: {text}");
    let blind = Server { info: None, ..blind };
    assert!(told(&blind)[0].1.contains("appendonly"));
}

#[test]
fn a_server_that_can_not_be_waited_on_is_told_with_the_setting_that_waits() {
    for (waiting, words) in [
        (Waiting::Strange("WAITAOF"), ["redis 7.0.15 has no WAITAOF", "Redis 7.2"]),
        (Waiting::Forbidden("WAITAOF"), ["--store-wait-disks", "+waitaof"]),
        (Waiting::Forbidden("WAIT"), ["--store-min-replicas", "+wait"]),
    ] {
        let [(Weight::Breaks, text)] = &told(&Server { waiting, ..server(&[], &[]) })[..] else {
            panic!("{waiting:?}")
        };
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let guarantee = Guarantee { replicas: 2, disks: false };
    let one = [("connected_slaves", "1")];
    let few = Server { guarantee, ..server(&[("min-replicas-to-write", "1")], &one) };
    let found = findings(&few, User::Issuer);
    let [Finding { weight: Weight::Breaks, is_durability: false, what, .. }] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(what.contains("nothing can be written"), "{what}");
}

#[test]
fn what_a_failover_would_break_is_a_risk_at_a_replica() {
    let replica =
        Server { role: "replica".into(), ..server(&[("maxmemory-policy", "allkeys-lru")], &[]) };
    let found = of_replica(&replica);
    let [Finding { weight: Weight::Risk, is_durability: true, what, remedy }] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(what.starts_with("of the replica localhost:6379: maxmemory-policy is allkeys-lru"));
    assert!(remedy.contains("maxmemory-policy noeviction"), "{remedy}");
}

#[test]
fn risks_are_told_apart_from_what_breaks() {
    for (server, word) in [
        (server(&[], &[("connected_slaves", "2")]), "min-replicas-to-write"),
        (server(&[], &[("used_memory", "95"), ("maxmemory", "100")]), "95 %"),
        (Server { ahead_millis: Some(-9000), ..server(&[], &[]) }, "9000 ms behind"),
    ] {
        let [(Weight::Risk, text)] = &told(&server)[..] else { panic!("{word}") };
        assert!(text.contains(word), "{text}");
    }
    for server in [
        Server { role: "replica".into(), ..server(&[], &[]) },
        Server { version: "6.2.1".into(), ..server(&[], &[]) },
        server(&[], &[("aof_last_write_status", "err")]),
    ] {
        assert!(matches!(&told(&server)[..], [(Weight::Breaks, _)]), "{server:?}");
    }
}
