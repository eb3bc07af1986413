use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);

/// Four failures, ten for all networks, in ten minutes.
fn throttle() -> Throttle {
    Throttle::new(Limits { failures: 4, failures_per_user: 10, window: 10 * MINUTE })
}

fn at(address: &str) -> Option<IpAddr> {
    Some(address.parse().unwrap())
}

/// Begins attempts, all of which fail, until one is refused; how many there were, and
/// how long to wait.
fn fail_all(throttle: &Throttle, name: &str, address: &str, now: Timestamp) -> (u32, Duration) {
    let mut count = 0;
    loop {
        match throttle.begin(name, at(address), now) {
            Ok(_failed) => count += 1,
            Err(wait) => return (count, wait),
        }
    }
}

#[test]
fn failures_are_forgiven_one_after_the_other() {
    let throttle = throttle();
    let share = Duration::from_secs(150);
    assert_eq!(fail_all(&throttle, "anna", "192.0.2.1", NOW), (4, share));
    let almost = NOW.after(share - Duration::from_millis(1));
    let (none, wait) = fail_all(&throttle, "anna", "192.0.2.1", almost);
    assert_eq!((none, wait), (0, Duration::from_millis(1)));
    let then = NOW.after(share);
    assert_eq!(fail_all(&throttle, "anna", "192.0.2.1", then), (1, share));
    let later = then.after(10 * MINUTE);
    assert_eq!(fail_all(&throttle, "anna", "192.0.2.1", later).0, 4);
}

#[test]
fn a_network_shares_its_failures_and_another_has_its_own() {
    let throttle = throttle();
    fail_all(&throttle, "anna", "192.0.2.1", NOW);
    for same in ["192.0.2.1", "192.0.2.254", "::ffff:192.0.2.7"] {
        assert!(throttle.begin("anna", at(same), NOW).is_err(), "{same}");
    }
    for other in ["192.0.3.1", "2001:db8::1"] {
        assert!(throttle.begin("anna", at(other), NOW).is_ok(), "{other}");
    }
    assert!(throttle.begin("bea", at("192.0.2.1"), NOW).is_ok());
    let throttle = self::throttle();
    fail_all(&throttle, "anna", "2001:db8::1", NOW);
    assert!(throttle.begin("anna", at("2001:db8::ffff:1"), NOW).is_err());
    assert!(throttle.begin("anna", at("2001:db8:0:1::1"), NOW).is_ok());
}

#[test]
fn many_networks_together_are_stopped_and_one_that_was_right_is_not() {
    let throttle = throttle();
    let home = "198.51.100.1";
    let right = throttle.begin("anna", at(home), NOW).unwrap();
    throttle.succeeded(right);
    let guesses = (0..100).filter(|n| {
        let address = format!("192.0.{n}.1");
        throttle.begin("anna", at(&address), NOW).is_ok()
    });
    assert_eq!(guesses.count(), 10);
    assert_eq!(throttle.begin("anna", at("203.0.113.1"), NOW).unwrap_err(), MINUTE);
    for _ in 0..20 {
        let right = throttle.begin("anna", at("198.51.100.200"), NOW).unwrap();
        throttle.succeeded(right);
    }
    assert!(throttle.begin("bea", at("203.0.113.1"), NOW).is_ok(), "another name");
    assert_eq!(fail_all(&throttle, "anna", home, NOW).0, 4, "a known network has its limit too");
    let later = NOW.after(MINUTE);
    assert!(throttle.begin("anna", at("203.0.113.1"), later).is_ok(), "nobody is out for good");
    assert!(throttle.begin("anna", at("203.0.114.1"), later).is_err());
}

#[test]
fn attempts_under_way_count_and_are_given_back_unless_they_fail() {
    let throttle = throttle();
    let begin = || throttle.begin("anna", at("192.0.2.1"), NOW);
    let mut under_way: Vec<_> = (0..4).map(|_| begin().unwrap()).collect();
    begin().unwrap_err();
    throttle.unanswered(&under_way.pop().unwrap());
    throttle.succeeded(under_way.pop().unwrap());
    assert_eq!(fail_all(&throttle, "anna", "192.0.2.1", NOW).0, 2);
    let other = throttle.begin("anna", at("192.0.3.1"), NOW).unwrap();
    throttle.unanswered(&other);
    // Two are still under way of the name, and what failed after the success is not of it.
    assert_eq!(fail_all(&throttle, "anna", "192.0.3.1", NOW).0, 4);
    assert_eq!(fail_all(&throttle, "anna", "192.0.4.1", NOW).0, 4);
    assert_eq!(fail_all(&throttle, "anna", "192.0.5.1", NOW).0, 0);
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait_for_longer_than_the_window() {
    let throttle = throttle();
    fail_all(&throttle, "anna", "192.0.2.1", NOW);
    let before = Timestamp::from_millis(NOW.millis() - 1_000_000_000);
    let wait = throttle.begin("anna", at("192.0.2.1"), before).unwrap_err();
    assert!(wait <= 10 * MINUTE, "{wait:?}");
    assert!(throttle.begin("anna", at("192.0.2.1"), before.after(wait)).is_ok());
}

#[test]
fn a_full_memory_forgets_the_least_first() {
    let throttle = Throttle { most_entries: 64, ..throttle() };
    fail_all(&throttle, "anna", "192.0.2.1", NOW);
    let right = throttle.begin("bea", at("198.51.100.1"), NOW).unwrap();
    throttle.succeeded(right);
    for number in 0..10_000 {
        throttle.begin(&format!("user {number}"), at("192.0.2.1"), NOW).unwrap();
        let counts = throttle.counts();
        assert!(counts.pairs.len() <= 64 && counts.names.len() <= 64);
    }
    assert!(throttle.begin("anna", at("192.0.2.1"), NOW).is_err(), "anna failed more often");
}
