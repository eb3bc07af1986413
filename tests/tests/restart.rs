//! Ends and beginnings: orderly ones, and bad settings.

use std::process::Command;

use tessera_proto::v1::{LoginRequest, RefreshRequest};
use tessera_tests::{
    ask::ask,
    client::{self, Credentials},
    on_every_backend,
    process::{Process, built, clean},
    service::{self, ADMIN_PASSWORD, Place},
    system::{Backend, named},
    tools::run,
};

on_every_backend!(a_second_start_finds_everything_as_it_was);

async fn a_second_start_finds_everything_as_it_was(backend: Backend) {
    let mut system = backend.start().await;
    let session = system.admin_session().await;
    let token = system.permanent(&system.admin().await, named("kept")).await.token;
    let user = system.user("Users").await;
    system.end().await; // and asserts exit 0
    system.begin().await;

    assert_eq!(system.verdict(ask(&token)).await.unwrap().name, "kept");
    system.verdict(ask(&session.access_token)).await.expect("the signing key is the same");
    let request = RefreshRequest { refresh_token: session.refresh_token };
    system.issuer(&Credentials::none()).refresh(request).await.expect("the session lives on");
    system.login(&user.username, &user.password).await;
    system.login("admin", ADMIN_PASSWORD).await;
}

#[tokio::test]
async fn a_first_password_is_made_and_printed_once() {
    let dir = tempfile::TempDir::new().unwrap();
    let (issuer, verifier) = (Place::free(), Place::free());
    let start = || {
        let mut command = clean(&built("tessera"));
        command
            .args(["up", "--data"])
            .arg(dir.path().join("data"))
            .args(["--issuer-listen", &issuer.grpc.to_string()])
            .args(["--issuer-http-listen", &issuer.http.to_string()])
            .args(["--verifier-listen", &verifier.grpc.to_string()])
            .args(["--verifier-http-listen", &verifier.http.to_string()]);
        Process::start("up", command, dir.path())
    };
    let mut up = start();
    service::serving(&mut up, issuer.grpc).await;
    let log = up.log();
    let mut found = None;
    for word in log.split_whitespace().filter(|word| word.len() >= 15) {
        // It may stand in quotes, or end a sentence.
        let password = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let request = LoginRequest { username: "admin".into(), password: password.into() };
        let mut issuer = client::issuer(issuer.grpc, &Credentials::none());
        if issuer.login(request).await.is_ok() {
            found = Some(password);
            break;
        }
    }
    let password = found.unwrap_or_else(|| panic!("no password in:\n{log}"));
    up.signal("TERM");
    assert_eq!(up.exit().await.code(), Some(0));
    let mut up = start();
    service::serving(&mut up, issuer.grpc).await;
    assert_eq!(up.log().matches(password).count(), 1, "both starts write to one log");
}

/// Asserts that the program ends with 64, names the setting, and answers what it said.
fn assert_bad_setting(command: &mut Command, setting: &str) -> String {
    let output = run(command);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(64), "{command:?}:\n{said}");
    assert!(said.contains(setting), "{setting} is not named in:\n{said}");
    said
}

#[test]
fn a_bad_setting_exits_64_and_names_it() {
    let store = "redis://:hidden-from-errors@127.0.0.1:1/0";
    for program in ["tessera-issuer", "tessera-verifier"] {
        let start = |arguments: &[&str]| {
            let mut command = clean(&built(program));
            command.args(arguments);
            command
        };
        let bad = [
            (vec![], "store"),
            (vec!["--store", "gopher://hidden-from-errors@host"], "store"),
            (vec!["--store", store, "--dev", "--staleness-bound", "never"], "staleness-bound"),
            (vec!["--store", store, "--dev", "--staleness-bound", "1h"], "staleness-bound"),
            (vec!["--store", store, "--dev", "--listen", "everywhere"], "listen"),
            (vec!["--store", store, "--listen", "0.0.0.0:0"], "listen"),
            (vec!["--store", store, "--dev", "--no-such-flag"], "no-such-flag"),
            (vec!["--store", store, "--dev", "--log", "a=b=c"], "log"),
            (vec!["--store", store, "--dev", "--config", "/no/such/file"], "config"),
        ];
        for (arguments, setting) in bad {
            let said = assert_bad_setting(&mut start(&arguments), setting);
            assert!(!said.contains("hidden-from-errors"), "{said}");
        }
        let mut command = start(&["--store", store, "--dev"]);
        command.env("TESSERA_STALENESS_BOUND", "soon");
        assert_bad_setting(&mut command, "TESSERA_STALENESS_BOUND");
    }
}

#[test]
fn a_bad_setting_of_the_issuer_exits_64_and_names_it() {
    let start = |arguments: &[&str]| {
        let mut command = clean(&built("tessera-issuer"));
        command.args(["--store", "redis://127.0.0.1:1/0"]).args(arguments);
        command
    };
    // Without --dev the signing keys must be sealed.
    assert_bad_setting(&mut start(&[]), "TESSERA_KEY_ENCRYPTION_KEY");
    let bad = [
        ("--refresh-grace", "1h"),
        ("--tokens-per-account", "0"),
        ("--access-ttl", "-1s"),
        ("--token-prefix", "Not Lower Case"),
        ("--signing-algorithm", "none"),
        ("--issuer-url", "no url"),
    ];
    for (flag, value) in bad {
        assert_bad_setting(&mut start(&["--dev", flag, value]), flag.trim_start_matches('-'));
    }
    let both = "hidden-from-errors-both";
    let mut command = start(&["--dev"]);
    command.env("TESSERA_ADMIN_PASSWORD", both).env("TESSERA_ADMIN_PASSWORD_FILE", "/dev/null");
    let said = assert_bad_setting(&mut command, "TESSERA_ADMIN_PASSWORD");
    assert!(!said.contains(both), "{said}");
}

#[test]
fn help_names_every_flag_and_exits_0() {
    for (program, flags) in [
        ("tessera-issuer", ["--store", "--listen", "--http-listen", "--refresh-grace"]),
        ("tessera-verifier", ["--store", "--listen", "--http-listen", "--staleness-bound"]),
    ] {
        let output = run(clean(&built(program)).arg("--help"));
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        for flag in flags {
            assert!(text.contains(flag), "{flag} is not in:\n{text}");
        }
    }
}
