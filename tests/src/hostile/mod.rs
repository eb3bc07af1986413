//! Tokens that an attacker, a foreign issuer or a broken one might present, and what
//! each is denied for. [`table`] lists them; `tests/hostile_jwts.md` is the list to read.
//!
//! The keys are the published ones of RFC 7515 A.2 and A.3 and of RFC 8037 A.1, so that
//! the example tokens of those documents are signed by keys that the verifier holds. A
//! case carries a good signature unless it is about the signature: nothing but the
//! rule in question refuses it.
//!
//! To add a case: a [`Case`] in the module of its subject, with the document that asks
//! for the denial, or the attack that it repeats, read there and not remembered: many pages
//! give a flaw the number of another. A CVE has a line in `cves.rs`, too. Then
//! `TESSERA_WRITE_TABLE=1 cargo test -p tessera-tests --test hostile_jwts`.

mod algorithm;
mod bytes;
mod claims;
mod cves;
mod ecdsa;
mod eddsa;
pub mod forge;
mod header;
mod identity;
mod published;
mod rsa;
mod spelling;
mod types;

use std::fmt::Write as _;

use tessera_proto::v1::DenialReason;
use tessera_shared::keys::Algorithm;

use self::forge::Forge;

/// A token that must be denied.
pub struct Case {
    /// What is wrong with it; no two cases have the same.
    pub name: String,
    /// What asks for the denial: a document's section, or a published attack. `own`: ours,
    /// and why, where a document allows it.
    pub source: &'static str,
    /// The documented reason.
    pub denial: DenialReason,
    /// The token.
    pub token: String,
    /// The service that asks.
    pub audience: &'static str,
    /// The key by which it is checked, if it comes to that: what its cost is held against.
    pub algorithm: Algorithm,
}

impl Case {
    fn new(
        name: impl Into<String>,
        source: &'static str,
        denial: DenialReason,
        token: String,
    ) -> Self {
        let (audience, algorithm) = ("cdn", Algorithm::Es256);
        Self { name: name.into(), source, denial, token, audience, algorithm }
    }

    fn under(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }
}

/// All cases.
pub fn table(forge: &Forge) -> Vec<Case> {
    [
        algorithm::cases(forge),
        header::cases(forge),
        types::cases(forge),
        ecdsa::cases(forge),
        rsa::cases(forge),
        eddsa::cases(forge),
        spelling::cases(forge),
        claims::cases(forge),
        identity::cases(forge),
        published::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The numbers of the published attacks that are described.
pub fn described() -> impl Iterator<Item = &'static str> {
    cves::CVES.iter().map(|(number, ..)| *number)
}

/// The table as a page to read.
pub fn page(cases: &[Case]) -> String {
    let mut page = format!(
        "# Hostile JWTs\n\n{} tokens, each denied by the verifier for the reason beside it \
         (`tests/hostile_jwts.rs`). Made\nfrom `src/hostile/`, where it is said how to add one; do not edit it here.\n\n\
         The example tokens and keys are those of the RFCs named (code components, Revised BSD License); those of\n\
         RFC 7520 were taken from github.com/ietf-jose/cookbook (public domain).\n\n\
         | case | source | denied as |\n|---|---|---|\n",
        cases.len()
    );
    for case in cases {
        let denial = case.denial.as_str_name().trim_start_matches("DENIAL_REASON_");
        let name = case.name.replace('|', "\\|");
        let _ = writeln!(page, "| {name} | {} | {denial} |", case.source);
    }
    page.push_str("\n| attack | on | by |\n|---|---|---|\n");
    for (number, program, what) in cves::CVES {
        let _ = writeln!(page, "| {number} | {program} | {what} |");
    }
    page
}
