//! The table of settings. Names, defaults and bounds are public API. Which binary takes which
//! stands in `sections`.

mod sections;

use std::time::Duration;

pub use self::sections::{ISSUER, UP, VERIFIER, all, of};
use super::setting::{Kind, Setting};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Builds a table row; the order of the columns is that of [`Setting`].
const fn setting(
    name: &'static str,
    value_name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { name, help, value_name, default, kind }
}

/// Declares settings, each a documented `static`: the doc line is its help.
macro_rules! table {
    ($($constant:ident: $name:literal $value_name:literal, $kind:expr, $default:expr, $help:literal;)*) => {
        $(#[doc = $help]
        pub static $constant: Setting = setting($name, $value_name, $kind, $default, $help);)*
    };
}

table! {
    CONFIG: "config" "FILE", Kind::Plain, None,
        "A TOML file with settings: the name of each flag is a key in it.";

    STORE: "store" "URL", Kind::Private, None,
        "Where the records are: embedded:DIR, redis://USER@HOST:PORT/DB, redis+unix:///PATH?db=DB, redis+sentinel://USER@HOST:PORT,HOST:PORT/PRIMARY/DB or redis+cluster://USER@HOST:PORT,HOST:PORT; rediss in place of redis for TLS; ?prefix=P to share a Redis.";
    STORE_PASSWORD: "store-password" "PASSWORD", Kind::Secret, None,
        "The password of the store's user, so that the URL need not hold it.";
    STORE_CA_FILE: "store-ca-file" "FILE", Kind::Plain, None,
        "Certificates (PEM) of the authorities that the store's certificate is checked against.";
    STORE_CERT_FILE: "store-cert-file" "FILE", Kind::Plain, None,
        "The client certificate (PEM) for the store; goes with --store-key-file.";
    STORE_KEY_FILE: "store-key-file" "FILE", Kind::Plain, None,
        "The key (PEM) of the client certificate for the store.";
    STORE_SENTINEL_PASSWORD: "store-sentinel-password" "PASSWORD", Kind::Secret, None,
        "The password of the sentinels, which need not be the store's.";
    STORE_MIN_REPLICAS: "store-min-replicas" "N", Kind::Integer(0, 100), Some("0"),
        "How many replicas must have a write before it is acknowledged. With a majority of the servers, counted with the primary, a failover loses nothing that was acknowledged.";
    STORE_WAIT_DISKS: "store-wait-disks" "BOOL", Kind::Switch, None,
        "Waits as well until the write is on the disks of the primary and of those replicas (WAITAOF, Redis 7.2).";
    DATA: "data" "DIR", Kind::Plain, Some("./tessera-data"),
        "The folder that holds all records; made where there is none.";

    ISSUER_GRPC: "listen" "ADDR", Kind::Plain, Some("127.0.0.1:50051"),
        "Where gRPC is served. Beyond loopback it takes TLS or --dev.";
    ISSUER_HTTP: "http-listen" "ADDR", Kind::Plain, Some("127.0.0.1:8080"),
        "Where HTTP is served: JWKS, API, console, health, metrics. Beyond loopback it takes TLS or --dev.";
    VERIFIER_GRPC: "listen" "ADDR", Kind::Plain, Some("127.0.0.1:50052"),
        "Where gRPC is served. Beyond loopback it takes TLS or --dev.";
    VERIFIER_HTTP: "http-listen" "ADDR", Kind::Plain, Some("127.0.0.1:8081"),
        "Where HTTP is served: JWKS, forward auth, health, metrics. Beyond loopback it takes TLS or --dev.";
    UP_ISSUER_GRPC: "issuer-listen" "ADDR", Kind::Plain, Some("127.0.0.1:50051"),
        "Where the issuer serves gRPC. Beyond loopback it takes TLS or --dev.";
    UP_ISSUER_HTTP: "issuer-http-listen" "ADDR", Kind::Plain, Some("127.0.0.1:8080"),
        "Where the issuer serves HTTP: JWKS, API, console, health, metrics. Beyond loopback it takes TLS or --dev.";
    UP_VERIFIER_GRPC: "verifier-listen" "ADDR", Kind::Plain, Some("127.0.0.1:50052"),
        "Where the verifier serves gRPC. Beyond loopback it takes TLS or --dev.";
    UP_VERIFIER_HTTP: "verifier-http-listen" "ADDR", Kind::Plain, Some("127.0.0.1:8081"),
        "Where the verifier serves HTTP: JWKS, forward auth, health, metrics. Beyond loopback it takes TLS or --dev.";
    HEALTH_LISTEN: "health-listen" "ADDR", Kind::Plain, None,
        "Where health and metrics alone are served, always in plaintext: grpc.health.v1, /livez, /readyz, /metrics. They tell nothing secret, so it may be beyond loopback. Without it they are on the other listeners alone.";
    UP_ISSUER_HEALTH: "issuer-health-listen" "ADDR", Kind::Plain, None,
        "Where the issuer serves health and metrics alone, in plaintext.";
    UP_VERIFIER_HEALTH: "verifier-health-listen" "ADDR", Kind::Plain, None,
        "Where the verifier serves health and metrics alone, in plaintext.";
    TLS_CERT_FILE: "tls-cert-file" "FILE", Kind::Plain, None,
        "The certificate chain (PEM) of all listeners, gRPC and HTTP; goes with --tls-key-file.";
    TLS_KEY_FILE: "tls-key-file" "FILE", Kind::Plain, None,
        "The private key (PEM) of all listeners; goes with --tls-cert-file.";
    TLS_CLIENT_CA: "tls-client-ca" "FILE", Kind::Plain, None,
        "Certificates (PEM) of the authorities that callers' certificates are of: gRPC takes no caller without one, HTTP asks for it. Goes with --tls-cert-file.";
    DRAIN_DELAY: "drain-delay" "DURATION", Kind::Duration(Duration::ZERO, HOUR), Some("5s"),
        "How long calls are still taken after SIGTERM, while health says NOT_SERVING and callers hear of it; a second signal ends it.";
    UP_DRAIN_DELAY: "drain-delay" "DURATION", Kind::Duration(Duration::ZERO, HOUR), Some("0s"),
        "How long calls are still taken after SIGTERM, while health says NOT_SERVING and callers hear of it; a second signal ends it.";
    MAX_CONNECTION_AGE: "max-connection-age" "DURATION", Kind::Duration(Duration::ZERO, DAY), Some("10m"),
        "How old a gRPC connection gets before its caller is asked to make a new one, give or take a tenth, so that callers spread over new replicas; 0s: as old as it likes.";
    MAX_CONNECTIONS: "max-connections" "N", Kind::Integer(1, 1_000_000), Some("10000"),
        "How many connections may be open, of gRPC, of HTTP and of the health listener each; more are closed at once.";
    MAX_CONCURRENT_CALLS: "max-concurrent-calls" "N", Kind::Integer(1, 1_000_000), Some("1024"),
        "How many calls may be under way; more are refused with RESOURCE_EXHAUSTED before they take long. What a verifier answers from memory never counts.";
    DRAIN_TIMEOUT: "drain-timeout" "DURATION", Kind::Duration(Duration::ZERO, HOUR), Some("10s"),
        "How long calls under way may take to end after that.";

    TOKENS_PER_ACCOUNT: "tokens-per-account" "N", Kind::Integer(1, 100_000), Some("50"),
        "How many live permanent tokens an account may have.";
    ACCESS_TTL: "access-ttl" "DURATION", Kind::Duration(MINUTE, DAY), Some("1h"),
        "How long an access token lives.";
    REFRESH_TTL: "refresh-ttl" "DURATION", Kind::Duration(MINUTE, Duration::from_secs(365 * 24 * 60 * 60)), Some("24h"),
        "How long a refresh token lives.";
    REFRESH_GRACE: "refresh-grace" "DURATION", Kind::Duration(Duration::ZERO, Duration::from_secs(5 * 60)), Some("10s"),
        "How long a retry with a used refresh token gets the same successor; later it ends the session.";
    TOKEN_PREFIX: "token-prefix" "WORD", Kind::Plain, Some("tessera"),
        "What permanent and refresh tokens start with: 1 to 16 of a-z and 0-9, a letter first. The same for issuer and verifier.";
    DEFAULT_AUDIENCES: "default-audiences" "NAMES", Kind::List, Some("cdn"),
        "The services a token is for where its maker names none, with commas between them.";
    ISSUER_URL: "issuer-url" "URL", Kind::Plain, None,
        "The `iss` of access tokens; the first one given stays. Without it: the one that the store holds, else http://, or https:// with TLS, and the address of the issuer's HTTP listener.";
    FORMER_ISSUER_URL: "former-issuer-url" "URL", Kind::Plain, None,
        "The issuer URL that --issuer-url is to replace, where the store holds this one. Access tokens in its name are denied from then on.";
    INTROSPECTION_ENDPOINT: "introspection-endpoint" "URL", Kind::Plain, None,
        "Where callers reach the verifiers' /introspect: the metadata under /.well-known tell it. Give issuer and verifier the same. A reader of the metadata may then introspect where it checked keys, as Apache's mod_auth_openidc does.";
    ROLES_FILE: "roles-file" "FILE", Kind::Plain, None,
        "The role catalogue. Without it: the built-in one.";

    SIGNING_ALGORITHM: "signing-algorithm" "NAME", Kind::Choice(&["ES256", "EdDSA", "RS256"]), Some("ES256"),
        "What new signing keys sign with.";
    KEY_ENCRYPTION_KEY: "key-encryption-key" "HEX", Kind::Secret, None,
        "Seals the signing keys in the store: 64 hexadecimal digits, from `openssl rand -hex 32`. The same for every issuer; needed without --dev.";

    KEY_ENCRYPTION_KEY_COMMAND: "key-encryption-key-command" "COMMAND", Kind::Private, None,
        "A shell command that prints the key-encryption key, in place of the key itself.";
    OTHER_KEY_ENCRYPTION_KEYS: "other-key-encryption-keys" "HEXES", Kind::Secret, None,
        "Key-encryption keys that open as well, with commas between them; what they sealed is sealed anew at the start.";
    KEY_PUBLICATION_DELAY: "key-publication-delay" "DURATION", Kind::Duration(Duration::from_secs(1), Duration::from_secs(7 * 24 * 60 * 60)), Some("40s"),
        "How long a new signing key is published before it signs; at least the staleness bound and a second. Longer than any reader of the JWKS caches it: 40s does for those that look again at an unknown kid; Envoy and Istio need their cache time.";
    IMPORT_SIGNING_KEY_FILE: "import-signing-key-file" "FILE", Kind::Plain, None,
        "A private key of one's own, PEM (PKCS#8) or JWK, that is published as the next signing key; once, however often it is given.";
    KEY_ROTATION_PERIOD: "key-rotation-period" "DURATION", Kind::Duration(MINUTE, Duration::from_secs(10 * 365 * 24 * 60 * 60)), None,
        "How old a signing key gets before it is replaced. Without it keys are replaced by hand alone.";

    ADMIN_USERNAME: "admin-username" "NAME", Kind::Plain, Some("admin"),
        "The name of the first administrator.";
    ADMIN_PASSWORD: "admin-password" "PASSWORD", Kind::Secret, None,
        "The password of the first administrator, as long as any must be. Without it one is made, and printed once.";
    PASSWORD_MIN_LENGTH: "password-min-length" "N", Kind::Integer(8, 64), Some("15"),
        "How many characters a password has at least.";
    PASSWORD_CONCURRENCY: "password-concurrency" "N", Kind::Integer(1, 1024), Some("2"),
        "How many passwords are hashed at a time; each takes a core and tens of megabytes.";
    LOGIN_FAILURES: "login-failures" "N", Kind::Integer(1, 10_000), Some("20"),
        "How many logins with one username may fail from one network (/24 of IPv4, /64 of IPv6) within --login-failure-window, those under way included, before it must wait.";
    LOGIN_FAILURES_PER_USER: "login-failures-per-user" "N", Kind::Integer(1, 10_000), Some("100"),
        "The same for all networks together that never logged in with the username.";
    LOGIN_FAILURE_WINDOW: "login-failure-window" "DURATION", Kind::Duration(MINUTE, DAY), Some("15m"),
        "The time in which that many failed logins are forgiven, one after the other.";

    STALENESS_BOUND: "staleness-bound" "DURATION", Kind::Duration(Duration::from_millis(100), Duration::from_secs(60)), Some("2s"),
        "How long after a revocation the last verifier denies, whatever fails. The same for issuer and verifier.";
    CACHE_BYTES: "cache-bytes" "N", Kind::Integer(1 << 20, 1 << 40), Some("268435456"),
        "How much memory the verifier may fill with tokens it has seen, in bytes; one takes about 300.";
    THREADS: "threads" "N", Kind::Integer(0, 1024), Some("0"),
        "How many threads answer; 0 is one for each core that the process may run on.";
    VERIFY_CALLERS: "verify-callers" "LIST", Kind::List, Some("anyone"),
        "Who may ask: anyone; or a list of spiffe://DOMAIN/PATH (or .../*) and dns:NAME, which the caller's certificate must have among its names, and scope:SERVICE:ACTION, which the caller's token must have. One of them is enough.";
    REQUIRE_AUDIENCE: "require-audience" "BOOL", Kind::Switch, None,
        "Refuses a question that names no audience.";
    INTROSPECTION_SCOPE: "introspection-scope" "SCOPE", Kind::Plain, Some("tessera:introspect"),
        "The scope that the token of a caller of /introspect must have. No role of the built-in catalogue has the default.";

    USAGE_INTERVAL: "usage-interval" "DURATION", Kind::Duration(Duration::from_millis(100), Duration::from_secs(15)), Some("10s"),
        "How often the use of permanent tokens is reported, and gathered for `last_used_at`.";

    DEV: "dev" "BOOL", Kind::Switch, None,
        "Allows what production must not have: plaintext beyond loopback, unsealed signing keys, a Redis that may lose writes.";
    LOG: "log" "FILTER", Kind::Plain, Some("info"),
        "What is logged: a level, or directives such as `info,tessera_issuer=debug`.";
    LOG_FORMAT: "log-format" "FORMAT", Kind::Choice(&["pretty", "json", "compact"]), Some("pretty"),
        "How it is logged, to stderr.";
    OTLP_ENDPOINT: "otlp-endpoint" "URL", Kind::Private, None,
        "The collector that traces go to, over OTLP (gRPC): http://HOST:4317, or https:// with --otlp-ca-file. Without it nothing is traced.";
    OTLP_CA_FILE: "otlp-ca-file" "FILE", Kind::Plain, None,
        "Certificates (PEM) of the authorities that the collector's certificate is checked against.";
    OTLP_SAMPLE_RATIO: "otlp-sample-ratio" "RATIO", Kind::Ratio, Some("0.01"),
        "Which part is traced of the requests whose callers sent no trace context; else the caller's sampled flag decides.";
}
