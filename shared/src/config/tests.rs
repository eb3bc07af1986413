//! What a user sees: which source wins, what is refused, and in which words.

use std::{collections::HashMap, ffi::OsString, path::PathBuf, time::Duration};

use super::*;

mod errors;
mod help;
mod secrets;
mod traces;

/// A key encryption key of the right form.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// One process: its flags, its variables, and its file.
#[derive(Default)]
struct Process {
    args: Vec<OsString>,
    variables: HashMap<String, OsString>,
    folder: Option<tempfile::TempDir>,
}

impl Process {
    /// With these flags, separated by spaces.
    fn with(flags: &str) -> Self {
        let args = flags.split_whitespace().map(OsString::from).collect();
        Self { args, ..Self::default() }
    }

    /// A development server with an embedded store, and these flags.
    fn dev(flags: &str) -> Self {
        Self::with(&format!("--dev --store embedded:d {flags}"))
    }

    fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// With this configuration file, `tessera.toml`.
    fn file(mut self, text: &str) -> Self {
        let path = self.path("tessera.toml");
        std::fs::write(&path, text).unwrap();
        self.variable("TESSERA_CONFIG", path)
    }

    fn path(&mut self, name: &str) -> PathBuf {
        let folder = self.folder.get_or_insert_with(|| tempfile::tempdir().unwrap());
        folder.path().join(name)
    }

    fn run<T>(
        &self,
        read: impl FnOnce(Vec<OsString>, &dyn Fn(&str) -> Option<OsString>) -> T,
    ) -> T {
        read(self.args.clone(), &|name| self.variables.get(name).cloned())
    }

    fn issuer(&self) -> Result<IssuerConfig, Exit> {
        self.run(|mut args, env| {
            args.insert(0, "tessera-issuer".into());
            IssuerConfig::from_process_like(args, env)
        })
    }

    fn verifier(&self) -> Result<VerifierConfig, Exit> {
        self.run(|mut args, env| {
            args.insert(0, "tessera-verifier".into());
            VerifierConfig::from_process_like(args, env)
        })
    }

    fn up(&self) -> Result<UpConfig, Exit> {
        self.run(|args, env| UpConfig::from_args(args, env))
    }

    /// What the issuer says is wrong, without the folder of the file.
    fn issuer_error(&self) -> String {
        self.said(self.issuer().unwrap_err())
    }

    fn said(&self, exit: Exit) -> String {
        assert_eq!((exit.code, exit.to_stdout), (64, false), "{}", exit.text);
        let folder = self.folder.as_ref().map(|folder| format!("{}/", folder.path().display()));
        let text = folder.map_or(exit.text.clone(), |folder| exit.text.replace(&folder, ""));
        let text = text.strip_prefix("error: ").unwrap();
        text.split("\n\n").next().unwrap().to_owned()
    }
}

#[test]
fn a_flag_wins_over_its_variable_that_over_the_file_and_the_file_over_the_default() {
    let bound = |process: &Process| process.issuer().unwrap().staleness_bound;
    assert_eq!(bound(&Process::dev("")), Duration::from_secs(2));
    let process = Process::dev("").file("staleness-bound = '3s'");
    assert_eq!(bound(&process), Duration::from_secs(3));
    let process = process.variable("TESSERA_STALENESS_BOUND", "4s");
    assert_eq!(bound(&process), Duration::from_secs(4));
    let mut process = process;
    process.args.extend(["--staleness-bound".into(), "500ms".into()]);
    assert_eq!(bound(&process), Duration::from_millis(500));
}

#[test]
fn the_flag_of_config_wins_over_its_variable() {
    let mut process = Process::dev("").file("token-prefix = 'variable'");
    let path = process.path("flag.toml");
    std::fs::write(&path, "token-prefix = 'flag'").unwrap();
    process.args.extend(["--config".into(), path.into()]);
    assert_eq!(process.issuer().unwrap().token_prefix, "flag");
}

#[test]
fn a_variable_set_to_nothing_counts_as_not_set() {
    let process = Process::dev("")
        .variable("TESSERA_STALENESS_BOUND", "")
        .variable("TESSERA_ADMIN_PASSWORD", "")
        .file("staleness-bound = '3s'");
    let config = process.issuer().unwrap();
    assert_eq!(config.staleness_bound, Duration::from_secs(3));
    assert!(config.admin_password.is_none());
}

#[test]
fn the_defaults_of_the_issuer_are_those_of_the_design() {
    let config = Process::dev("").issuer().unwrap();
    assert_eq!(config.store, "embedded:d");
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.tokens_per_account, 50);
    assert_eq!(config.access_ttl, Duration::from_secs(3600));
    assert_eq!(config.refresh_ttl, Duration::from_secs(86_400));
    assert_eq!(config.refresh_grace, Duration::from_secs(10));
    assert_eq!(config.token_prefix, "tessera");
    assert_eq!(config.default_audiences, ["cdn"]);
    assert_eq!(config.issuer_url.url, "http://127.0.0.1:8080");
    assert_eq!(config.signing_algorithm, "ES256");
    assert_eq!(config.admin_username, "admin");
    assert_eq!((config.password_min_length, config.password_concurrency), (15, 2));
    assert_eq!(config.operation.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.log, LogConfig::default());
    assert!(config.dev && config.tls.is_none() && config.roles_file.is_none());
}

#[test]
fn the_defaults_of_the_verifier_are_those_of_the_design() {
    let config = Process::with("--store redis://h:6379/0").verifier().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:50052");
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.staleness_bound, Duration::from_secs(2));
    assert!(!config.require_audience && !config.dev);
}

#[test]
fn the_file_takes_underscores_numbers_booleans_and_arrays() {
    let process = Process::with("--store embedded:d").file(
        "dev = true\ntokens_per_account = 7\ndefault_audiences = ['cdn', 'purge']\nlog_format = 'json'",
    );
    let config = process.issuer().unwrap();
    assert!(config.dev);
    assert_eq!(config.tokens_per_account, 7);
    assert_eq!(config.default_audiences, ["cdn", "purge"]);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn one_file_serves_all_binaries() {
    let process = Process::with("--dev").file(
        "store = 'redis://h'\nissuer-listen = '127.0.0.1:1'\nrequire-audience = true\nadmin-password = 'fifteen letters'",
    );
    assert!(process.issuer().is_ok());
    assert!(process.verifier().unwrap().require_audience);
    let up = process.up().unwrap();
    assert_eq!(up.issuer.listen.port(), 1);
    assert_eq!(up.issuer.store, "embedded:./tessera-data");
}

#[test]
fn a_switch_is_turned_off_again_by_its_flag() {
    let process =
        Process::with("--store redis://h --require-audience=false").file("require-audience = true");
    assert!(!process.verifier().unwrap().require_audience);
}

#[test]
fn the_iss_is_the_http_listener_or_what_is_written() {
    let config = Process::dev("--http-listen 127.0.0.1:9000").issuer().unwrap();
    assert_eq!(config.issuer_url.url, "http://127.0.0.1:9000");
    assert!(!config.issuer_url.is_given);
    let tls = "--http-listen 127.0.0.1:9000 --tls-cert-file c --tls-key-file k";
    assert_eq!(Process::dev(tls).issuer().unwrap().issuer_url.url, "https://127.0.0.1:9000");
    let config = Process::dev("--issuer-url https://tokens.example/").issuer().unwrap();
    assert_eq!(config.issuer_url.url, "https://tokens.example/");
    assert!(config.issuer_url.is_given && config.issuer_url.former.is_none());
    let flags = "--issuer-url https://new.example --former-issuer-url https://old.example";
    let config = Process::dev(flags).issuer().unwrap();
    assert_eq!(config.issuer_url.former.as_deref(), Some("https://old.example"));
}

#[test]
fn the_administrators_name_is_kept_in_lower_case() {
    assert_eq!(Process::dev("--admin-username Root").issuer().unwrap().admin_username, "root");
}

#[test]
fn plaintext_beyond_loopback_takes_tls_or_dev_for_grpc_and_http_alike() {
    for listener in ["--listen", "--http-listen"] {
        let open = format!("--store redis://h {listener} 0.0.0.0:50052");
        assert!(Process::with(&open).verifier().is_err());
        let config =
            Process::with(&format!("{open} --tls-cert-file c --tls-key-file k")).verifier();
        let files = TlsFiles { cert: "c".into(), key: "k".into(), client_ca: None };
        assert_eq!(config.unwrap().tls, Some(files));
        assert!(Process::with(&format!("{open} --dev")).verifier().is_ok());
        for loopback in ["127.0.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            let flags = format!("--store redis://h {listener} {loopback}");
            assert!(Process::with(&flags).verifier().is_ok(), "{flags}");
        }
    }
}

#[test]
fn up_is_development_while_every_listener_is_on_loopback() {
    let up = Process::default().up().unwrap();
    assert!(up.issuer.dev && up.verifier.dev && up.issuer.key_encryption_key.is_none());
    assert_eq!(up.data, PathBuf::from("./tessera-data"));
    assert_eq!(up.verifier.store, "embedded:./tessera-data");
    assert_eq!(up.verifier.http_listen.port(), 8081);

    let tls = "--tls-cert-file c --tls-key-file k";
    let process = Process::with(&format!("--verifier-http-listen 0.0.0.0:8081 {tls}"));
    assert!(process.said(process.up().unwrap_err()).contains("openssl rand -hex 32"));
    let up = process.variable("TESSERA_KEY_ENCRYPTION_KEY", KEY).up().unwrap();
    assert!(!up.issuer.dev && !up.verifier.dev);

    assert!(Process::with("--dev=false").up().is_err());
    assert!(Process::with("--issuer-listen 0.0.0.0:1 --dev").up().unwrap().issuer.dev);
}

#[test]
fn up_hangs_in_the_command_tree_of_the_cli() {
    let cli = clap::Command::new("tessera").subcommand(up_command());
    cli.clone().debug_assert();
    let matches = cli.get_matches_from(["tessera", "up", "--data", "elsewhere"]);
    let (name, matches) = matches.subcommand().unwrap();
    assert_eq!(name, "up");
    let up = UpConfig::from_matches(matches.clone(), |_| None).unwrap();
    assert_eq!(up.issuer.store, "embedded:elsewhere");
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_unicode() {
    use std::os::unix::ffi::OsStringExt;
    let path = OsString::from_vec(vec![b'r', 0xff]);
    let config = Process::dev("").variable("TESSERA_ROLES_FILE", path.clone()).issuer().unwrap();
    assert_eq!(config.roles_file, Some(path.into()));
}

#[test]
fn health_may_be_in_plaintext_beyond_loopback_where_nothing_else_may() {
    let flags = "--store embedded:d --health-listen 0.0.0.0:9";
    let config = Process::with(flags).verifier().unwrap();
    assert_eq!(config.operation.health_listen, Some("0.0.0.0:9".parse().unwrap()));
    assert!(!config.dev);
    assert!(Process::with("--store embedded:d --http-listen 0.0.0.0:9").verifier().is_err());
    assert_eq!(Process::dev("").issuer().unwrap().operation.health_listen, None);
    let up = Process::with("--verifier-health-listen 0.0.0.0:9").up().unwrap();
    assert!(up.verifier.operation.health_listen.is_some() && up.verifier.dev);
}

#[test]
fn only_what_runs_on_one_machine_stops_without_a_delay() {
    assert_eq!(Process::dev("").issuer().unwrap().operation.drain_delay, Duration::from_secs(5));
    assert_eq!(Process::with("").up().unwrap().issuer.operation.drain_delay, Duration::ZERO);
    let age = |flags| Process::dev(flags).verifier().unwrap().operation.max_connection_age;
    assert_eq!(age(""), Some(Duration::from_mins(10)));
    assert_eq!(age("--max-connection-age 0s"), None);
}

#[test]
fn a_log_filter_is_a_level_or_directives() {
    for filter in ["off", "WARN", "trace", "info,hyper", "tessera_issuer=debug", "hyper,error"] {
        let config = Process::dev(&format!("--log {filter}")).issuer().unwrap();
        assert_eq!(config.log.filter, filter);
    }
    let silent = Process::dev("--log warning,tessera_issuer=debug").issuer_error();
    assert!(silent.contains("expected warn, another level"), "{silent}");
}

#[test]
fn the_default_publication_delay_gives_way_to_a_long_staleness_bound() {
    let delay = |flags: &str| Process::dev(flags).issuer().unwrap().key_publication_delay;
    assert_eq!(delay("--staleness-bound 60s"), Duration::from_secs(61));
    assert_eq!(delay("--key-publication-delay 3s"), Duration::from_secs(3));
    let short = "--staleness-bound 60s --key-publication-delay 40s";
    assert!(Process::dev(short).issuer_error().contains("expected 61s (the staleness bound"));
}
