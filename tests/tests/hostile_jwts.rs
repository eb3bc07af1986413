//! Hostile JWTs, through real verifiers. The table is in `src/hostile/`.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
};

use tempfile::TempDir;
use tessera_proto::v1::{BatchVerifyRequest, VerifyRequest};
use tessera_shared::clock::{Clock, SystemClock};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    hostile::{
        Case, described,
        forge::{ALGORITHMS, Forge, ISSUER, JWKS},
        page, table,
    },
    on_every_backend,
    system::{Backend, System},
};

on_every_backend!(each_hostile_token_is_denied_for_its_reason);

/// An installation that holds the keys of the forge: an operator brought them.
async fn with_the_forges_keys(backend: Backend, dir: &Path) -> System {
    let files = JWKS.iter().enumerate().map(|(number, jwk)| {
        let file = dir.join(format!("{number}.jwk"));
        fs::write(&file, jwk).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let mut system: Option<System> = None;
    for file in files {
        let flags = ["--issuer-url", ISSUER, "--import-signing-key-file", &file];
        match &mut system {
            None => system = Some(backend.start_with(&flags).await),
            Some(system) => {
                system.end().await;
                system.set_issuer_flags(&flags);
                system.begin().await;
            }
        }
    }
    system.unwrap()
}

fn question(case: &Case) -> VerifyRequest {
    VerifyRequest { audience: case.audience.to_owned(), ..ask_cached(&case.token) }
}

async fn each_hostile_token_is_denied_for_its_reason(backend: Backend) {
    let dir = TempDir::new().unwrap();
    let system = with_the_forges_keys(backend, dir.path()).await;
    let forge = Forge::new(SystemClock.now());
    let good = ALGORITHMS.map(|algorithm| (algorithm.name(), forge.good(algorithm)));
    for (name, token) in good.into_iter().chain(forge.harmless()) {
        let verdict = system.verdict(ask(&token)).await;
        assert_eq!(verdict.map(|principal| principal.name), Ok("ada".to_owned()), "{name}");
    }
    let cases = table(&forge);
    let mut wrong = Vec::new();
    for mut verifier in system.verifiers() {
        for case in &cases {
            let answer = verifier.verify(question(case)).await.map(|it| verdict(it.into_inner()));
            if !matches!(&answer, Ok(Err(reason)) if *reason == case.denial) {
                wrong.push(format!("{}: {answer:?}, not {:?}", case.name, case.denial));
            }
        }
        let requests = cases.iter().map(question).collect();
        let answers = verifier.batch_verify(BatchVerifyRequest { requests }).await.unwrap();
        for (case, answer) in cases.iter().zip(answers.into_inner().responses) {
            let answer = verdict(answer);
            if answer != Err(case.denial) {
                wrong.push(format!("{} in a batch: {answer:?}, not {:?}", case.name, case.denial));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_is_as_long_as_it_should_be_and_each_case_has_a_source() {
    let cases = table(&Forge::new(SystemClock.now()));
    let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "no two cases have the same name");
    let own = cases.iter().filter(|case| case.source.starts_with("own")).count();
    let sourced = cases.len() - own;
    assert!(sourced >= 150, "{sourced} cases that others describe");
    assert!(own * 10 <= cases.len(), "{own} of {} cases are our own", cases.len());
    assert!(cases.iter().all(|case| !case.source.is_empty()));
}

#[test]
fn each_cve_that_a_case_names_is_described_and_none_besides() {
    let cases = table(&Forge::new(SystemClock.now()));
    let sources = cases.iter().flat_map(|case| case.source.split([',', ' ']));
    let named: BTreeSet<_> = sources.filter(|source| source.starts_with("CVE-")).collect();
    assert_eq!(named, described().collect());
}

/// The page for readers is what is tested.
#[test]
fn the_page_shows_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile_jwts.md");
    let page = page(&table(&Forge::new(SystemClock.now())));
    if std::env::var_os("TESSERA_WRITE_TABLE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let shown = fs::read_to_string(&file).unwrap_or_default();
    assert!(shown == page, "{} is old: see src/hostile/mod.rs", file.display());
}
