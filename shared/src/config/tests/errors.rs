//! Every error's text: the source, the value, and what would be right.

use super::*;

/// What the issuer says to one bad flag.
#[track_caller]
fn assert_flag_error(flags: &str, text: &str) {
    assert_eq!(Process::dev(flags).issuer_error(), text);
}

#[test]
fn a_malformed_value_names_its_flag() {
    let process = Process::dev("").variable("TESSERA_STALENESS_BOUND", "ignored");
    let mut process = process;
    process.args.extend(["--staleness-bound".into(), "2 bananas".into()]);
    assert_eq!(
        process.issuer_error(),
        "--staleness-bound: \"2 bananas\" is not a duration; expected a number with a unit: 500ms, 2s, 10m, 24h"
    );
}

#[test]
fn a_malformed_value_names_its_variable() {
    let process = Process::dev("").variable("TESSERA_TOKENS_PER_ACCOUNT", "many");
    assert_eq!(
        process.issuer_error(),
        "TESSERA_TOKENS_PER_ACCOUNT: \"many\" is not a whole number; expected 1 to 100000"
    );
}

#[test]
fn a_malformed_value_names_its_key_as_written_and_its_file() {
    assert_eq!(
        Process::dev("").file("\nsigning_algorithm = 'none'").issuer_error(),
        "signing_algorithm in tessera.toml: \"none\" is not a choice; expected one of ES256, EdDSA, RS256"
    );
}

#[test]
fn a_value_out_of_range_is_told_the_range() {
    assert_flag_error(
        "--access-ttl 59s",
        "--access-ttl: \"59s\" is out of range; expected 1m to 24h",
    );
    assert_flag_error(
        "--access-ttl 25h",
        "--access-ttl: \"25h\" is out of range; expected 1m to 24h",
    );
    assert_flag_error(
        "--staleness-bound 61s",
        "--staleness-bound: \"61s\" is out of range; expected 100ms to 1m",
    );
    assert_flag_error(
        "--refresh-grace 6m",
        "--refresh-grace: \"6m\" is out of range; expected 0s to 5m",
    );
    assert_flag_error(
        "--password-min-length 7",
        "--password-min-length: \"7\" is out of range; expected 8 to 64",
    );
}

#[test]
fn the_bounds_themselves_are_in_range() {
    let flags =
        "--access-ttl 24h --refresh-grace 0s --staleness-bound 100ms --password-min-length 64";
    assert!(Process::dev(flags).issuer().is_ok());
    assert!(Process::dev("--access-ttl 1m --staleness-bound 60s").issuer().is_ok());
}

#[test]
fn each_form_says_what_would_be_right() {
    for (flags, text) in [
        (
            "--listen localhost",
            "--listen: \"localhost\" is not an address to listen at; expected an IP address and a port: 127.0.0.1:50051, [::]:50051",
        ),
        (
            "--token-prefix 9lives",
            "--token-prefix: \"9lives\" is not a token prefix; expected 1 to 16 of a-z and 0-9, a letter first: tessera",
        ),
        (
            "--default-audiences cdn,,purge",
            "--default-audiences: \"cdn,,purge\" is not a list; expected names with commas between them: cdn,purge",
        ),
        (
            "--default-audiences café",
            "--default-audiences: \"café\" is not a list of audiences; expected at most 16 names, each of at most 255 visible ASCII characters",
        ),
        (
            "--issuer-url tokens.example",
            "--issuer-url: \"tokens.example\" is not an issuer URL; expected https://HOST, with no user, query or fragment",
        ),
        (
            "--former-issuer-url https://old.example",
            "--former-issuer-url: \"https://old.example\" is not an issuer URL to replace; expected --issuer-url beside it",
        ),
        (
            "--admin-username a/b",
            "--admin-username: \"a/b\" is not a username; expected 1 to 128 of a-z, 0-9 and . _ @ + -",
        ),
        (
            "--log tessera=loud",
            "--log: \"tessera=loud\" is not a log filter; expected a level (off, error, warn, info, debug, trace) or directives: info,tessera_issuer=debug",
        ),
        (
            "--log bogus",
            "--log: \"bogus\" is not a log filter; expected a level (off, error, warn, info, debug, trace) or directives: info,tessera_issuer=debug",
        ),
        (
            "--log warning",
            "--log: \"warning\" is not a log filter; expected warn, another level (off, error, warn, info, debug, trace) or directives: info,tessera_issuer=debug",
        ),
        (
            "--key-publication-delay 2s",
            "--key-publication-delay: \"2s\" is out of range; expected 3s (the staleness bound and a second) to 7d",
        ),
        (
            "--log-format xml",
            "--log-format: \"xml\" is not a choice; expected one of pretty, json, compact",
        ),
    ] {
        assert_flag_error(flags, text);
    }
    assert_eq!(
        Process::with("--store redis://h --require-audience=maybe")
            .verifier()
            .map_err(|exit| exit.text.lines().next().unwrap().to_owned())
            .unwrap_err(),
        "error: --require-audience: \"maybe\" is not a switch; expected true or false"
    );
    assert_eq!(
        Process::dev("--roles-file=").issuer_error(),
        "--roles-file: \"\" is not a path; expected the path of a file"
    );
}

#[test]
fn token_prefixes_at_the_limits() {
    for good in ["a", "a9", "abcdefghijklmnop"] {
        assert!(Process::dev(&format!("--token-prefix {good}")).issuer().is_ok(), "{good}");
    }
    for bad in ["Tessera", "a_b", "abcdefghijklmnopq", "é"] {
        assert!(Process::dev(&format!("--token-prefix {bad}")).issuer().is_err(), "{bad}");
    }
}

#[test]
fn a_missing_store_is_asked_for_by_every_way_to_give_it() {
    assert_eq!(
        Process::with("--dev").issuer_error(),
        "no store is given; set --store, TESSERA_STORE or, in the configuration file, store"
    );
}

#[test]
fn a_bad_store_url_is_not_repeated() {
    assert_eq!(
        Process::with("--store postgres://u:hunter2@h").issuer_error(),
        "--store: a store URL is embedded:DIR, redis://…, redis+unix:///PATH, redis+sentinel://… or \
         redis+cluster://…; rediss in place of redis for TLS"
    );
}

#[test]
fn plaintext_beyond_loopback_names_the_ways_out() {
    for listener in ["TESSERA_LISTEN", "TESSERA_HTTP_LISTEN"] {
        let process = Process::with("--store redis://h").variable(listener, "0.0.0.0:1");
        assert_eq!(
            process.issuer_error(),
            format!(
                "{listener}: 0.0.0.0:1 is open to other machines, and tokens and keys would cross the network in \
                 plaintext; give --tls-cert-file and --tls-key-file, or --dev to allow it"
            )
        );
    }
}

#[test]
fn half_of_tls_is_refused() {
    assert_flag_error(
        "--tls-cert-file c",
        "--tls-cert-file is given without --tls-key-file; give both of them, or none",
    );
    assert_flag_error(
        "--tls-key-file k",
        "--tls-key-file is given without --tls-cert-file; give both of them, or none",
    );
}

#[test]
fn the_issuer_needs_a_key_encryption_key_and_says_how_to_make_one() {
    assert_eq!(
        Process::with("--store redis://h").issuer_error(),
        "no key-encryption-key is given, and the signing keys would lie unsealed in the store; make one with \
         `openssl rand -hex 32` and set TESSERA_KEY_ENCRYPTION_KEY or TESSERA_KEY_ENCRYPTION_KEY_FILE, or give a \
         --key-encryption-key-command that prints it, or --dev to go without"
    );
}

#[test]
fn an_unknown_key_is_told_the_nearest_name() {
    for (key, nearest) in [
        ("staleness-bond", "did you mean staleness-bound?"),
        ("acces_ttl", "did you mean access-ttl?"),
        ("admin-pasword-file", "did you mean admin-password-file?"),
        ("bananas", "the keys are the names of the flags that --help lists"),
        ("config", "the keys are the names of the flags that --help lists"),
    ] {
        let process = Process::dev("").file(&format!("{key} = 'x'"));
        let text = format!("{key} in tessera.toml: no setting has this name; {nearest}");
        assert_eq!(process.issuer_error(), text);
    }
}

#[test]
fn a_key_in_both_spellings_is_refused() {
    assert_eq!(
        Process::dev("").file("access-ttl = '1h'\naccess_ttl = '2h'").issuer_error(),
        "access-ttl and access_ttl in tessera.toml are the same setting; keep one of them"
    );
}

#[test]
fn a_value_of_the_wrong_toml_type_is_refused() {
    assert_eq!(
        Process::dev("").file("access-ttl = 1.5").issuer_error(),
        "access-ttl in tessera.toml: a TOML float can't be its value; expected a string, an integer or a boolean"
    );
    for bad in ["[1]", "['a,b']", "1.5"] {
        assert_eq!(
            Process::dev("").file(&format!("default-audiences = {bad}")).issuer_error(),
            format!(
                "default-audiences in tessera.toml: a TOML {} can't be its value; expected an array of strings, \
                 with no comma in them",
                if bad.starts_with('[') { "array" } else { "float" }
            )
        );
    }
}

#[test]
fn a_file_that_is_no_toml_names_the_line_and_does_not_repeat_it() {
    let text = Process::dev("").file("dev = true\nadmin-password = hunter2\n").issuer_error();
    assert!(text.starts_with("tessera.toml, line 2: "), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_file_that_can_not_be_read_is_named_with_the_source_that_names_it() {
    let text = Process::dev("--config /nonexistent/t.toml").issuer_error();
    assert!(text.starts_with("--config: can't read /nonexistent/t.toml: No such file"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_text_that_is_not_unicode_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let process = Process::dev("").variable("TESSERA_LOG", OsString::from_vec(vec![0xff]));
    assert_eq!(process.issuer_error(), "TESSERA_LOG: the value is not UTF-8 text");
}

#[test]
fn a_usage_error_exits_64_too() {
    for flags in ["--no-such-flag", "--listen", "--log info --log info", "word", "-x", "--dev yes"]
    {
        let exit = Process::dev(flags).issuer().unwrap_err();
        assert_eq!((exit.code, exit.to_stdout), (64, false), "{flags}");
        assert!(exit.text.starts_with("error: ") && exit.text.ends_with('\n'), "{}", exit.text);
    }
}
