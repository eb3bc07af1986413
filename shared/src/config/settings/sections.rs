//! Which binary takes which settings, under the headings of its `--help`.

use super::*;
use crate::config::setting::Section;

static STORE_SECTION: Section = Section {
    heading: "Store",
    settings: &[
        &STORE,
        &STORE_CA_FILE,
        &STORE_CERT_FILE,
        &STORE_KEY_FILE,
        &STORE_PASSWORD,
        &STORE_SENTINEL_PASSWORD,
    ],
};
static WRITES: Section =
    Section { heading: "Durability", settings: &[&STORE_MIN_REPLICAS, &STORE_WAIT_DISKS] };

static TOKENS: Section = Section {
    heading: "Tokens",
    settings: &[
        &TOKENS_PER_ACCOUNT,
        &ACCESS_TTL,
        &REFRESH_TTL,
        &REFRESH_GRACE,
        &TOKEN_PREFIX,
        &DEFAULT_AUDIENCES,
        &ISSUER_URL,
        &FORMER_ISSUER_URL,
        &INTROSPECTION_ENDPOINT,
        &ROLES_FILE,
        &SIGNING_ALGORITHM,
        &KEY_PUBLICATION_DELAY,
        &KEY_ROTATION_PERIOD,
        &KEY_ENCRYPTION_KEY,
        &KEY_ENCRYPTION_KEY_COMMAND,
        &IMPORT_SIGNING_KEY_FILE,
        &OTHER_KEY_ENCRYPTION_KEYS,
    ],
};

static USERS: Section = Section {
    heading: "Users",
    settings: &[
        &ADMIN_USERNAME,
        &ADMIN_PASSWORD,
        &PASSWORD_MIN_LENGTH,
        &PASSWORD_CONCURRENCY,
        &LOGIN_FAILURES,
        &LOGIN_FAILURES_PER_USER,
        &LOGIN_FAILURE_WINDOW,
    ],
};

static REVOCATION: Section = Section { heading: "Revocation", settings: &[&STALENESS_BOUND] };

static LIMITS: Section = Section {
    heading: "Limits",
    settings: &[&MAX_CONNECTION_AGE, &MAX_CONNECTIONS, &MAX_CONCURRENT_CALLS],
};

static OPERATION: Section = Section {
    heading: "Operation",
    settings: &[&CONFIG, &DEV, &LOG, &LOG_FORMAT, &DRAIN_DELAY, &DRAIN_TIMEOUT, &USAGE_INTERVAL],
};

static UP_OPERATION: Section = Section {
    heading: "Operation",
    settings: &[&CONFIG, &DEV, &LOG, &LOG_FORMAT, &UP_DRAIN_DELAY, &DRAIN_TIMEOUT, &USAGE_INTERVAL],
};

static TRACES: Section =
    Section { heading: "Traces", settings: &[&OTLP_ENDPOINT, &OTLP_CA_FILE, &OTLP_SAMPLE_RATIO] };

/// What `tessera-issuer` takes.
pub static ISSUER: &[&Section] = &[
    &STORE_SECTION,
    &WRITES,
    &Section {
        heading: "Listeners",
        settings: &[
            &ISSUER_GRPC,
            &ISSUER_HTTP,
            &HEALTH_LISTEN,
            &TLS_CERT_FILE,
            &TLS_KEY_FILE,
            &TLS_CLIENT_CA,
        ],
    },
    &TOKENS,
    &USERS,
    &REVOCATION,
    &LIMITS,
    &OPERATION,
    &TRACES,
];

/// What `tessera-verifier` takes.
pub static VERIFIER: &[&Section] = &[
    &STORE_SECTION,
    &Section {
        heading: "Listeners",
        settings: &[
            &VERIFIER_GRPC,
            &VERIFIER_HTTP,
            &HEALTH_LISTEN,
            &TLS_CERT_FILE,
            &TLS_KEY_FILE,
            &TLS_CLIENT_CA,
        ],
    },
    &Section {
        heading: "Verification",
        settings: &[
            &STALENESS_BOUND,
            &VERIFY_CALLERS,
            &REQUIRE_AUDIENCE,
            &INTROSPECTION_SCOPE,
            &INTROSPECTION_ENDPOINT,
            &TOKEN_PREFIX,
            &CACHE_BYTES,
            &THREADS,
        ],
    },
    &LIMITS,
    &OPERATION,
    &TRACES,
];

/// What `tessera up` takes.
pub static UP: &[&Section] = &[
    &Section { heading: "Store", settings: &[&DATA] },
    &Section {
        heading: "Listeners",
        settings: &[
            &UP_ISSUER_GRPC,
            &UP_VERIFIER_GRPC,
            &UP_ISSUER_HTTP,
            &UP_VERIFIER_HTTP,
            &UP_ISSUER_HEALTH,
            &UP_VERIFIER_HEALTH,
            &TLS_CERT_FILE,
            &TLS_KEY_FILE,
            &TLS_CLIENT_CA,
        ],
    },
    &TOKENS,
    &USERS,
    &Section {
        heading: "Verification",
        settings: &[
            &STALENESS_BOUND,
            &VERIFY_CALLERS,
            &REQUIRE_AUDIENCE,
            &INTROSPECTION_SCOPE,
            &CACHE_BYTES,
            &THREADS,
        ],
    },
    &LIMITS,
    &UP_OPERATION,
    &TRACES,
];

/// The settings of these sections, in their order.
pub fn of(sections: &'static [&'static Section]) -> impl Iterator<Item = &'static Setting> {
    sections.iter().flat_map(|section| section.settings.iter().copied())
}

/// Every setting of every binary: what a file may hold, whoever reads it. Two
/// binaries may each have one of the same name.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    [ISSUER, VERIFIER, UP].into_iter().flat_map(of)
}
