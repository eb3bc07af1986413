//! Tokens made elsewhere: imported by their hash, good as they are, and ended here.

use ring::digest::{SHA256, digest};
use tessera_proto::v1::{
    DenialReason, ListPermanentTokensRequest, RevokePermanentTokenRequest,
    RotatePermanentTokenRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached},
    cli::Cli,
    on_every_backend,
    system::{Backend, System},
};

on_every_backend!(holders_keep_their_strings_and_their_owner_ends_them);

const STRINGS: [&str; 3] = [
    "42$0123456789abcdefghijklmnop",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "old-0123456789abcdef",
];

fn sha256(plain: &str) -> String {
    digest(&SHA256, plain.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn operator(system: &mut System, backend: Backend) -> Cli {
    let cli = Cli::of(system);
    match backend {
        Backend::Embedded => {
            cli.and("TESSERA_STORE", &format!("embedded:{}", system.data().display()))
        }
        Backend::Redis => {
            let redis = system.redis();
            cli.and("TESSERA_STORE", &format!("redis://issuer@{}/0", redis.address()))
                .and("TESSERA_STORE_PASSWORD", &redis.users().password("issuer"))
        }
    }
}

/// With an embedded store at rest, as it must be.
async fn import(system: &mut System, backend: Backend, line: &str, code: i32, says: &str) {
    let cli = operator(system, backend);
    if backend == Backend::Embedded {
        system.end().await;
    }
    let ran = cli.run(line);
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains(says), "{ran:?}\nand not: {says}");
    if backend == Backend::Embedded {
        system.begin().await;
    }
}

async fn holders_keep_their_strings_and_their_owner_ends_them(backend: Backend) {
    let mut system = backend.start().await;
    for plain in STRINGS {
        assert_eq!(system.verdict(ask_cached(plain)).await, Err(DenialReason::Malformed));
    }
    let file = system.dir().join("tokens.csv").display().to_string();
    let [one, two, three] = STRINGS.map(sha256);
    let wrong = format!(
        "sha256,name,owner\n{one},first,admin\n{two},second,nobody\nx,third,admin\n\
         eyJhbGciOiJub25lIn0.e30.,fourth,admin\n"
    );
    std::fs::write(&file, wrong).unwrap();
    let line = format!("admin import-hashes --role Engineers --output json {file}");
    import(&mut system, backend, &line, 3, "line 3: there is no user").await;
    import(&mut system, backend, &line, 3, "line 4: sha256 is not").await;
    import(&mut system, backend, &line, 3, "line 5: sha256 is a JWT").await;
    assert_eq!(system.verdict(ask(STRINGS[0])).await, Err(DenialReason::Malformed), "nothing");

    let right = format!(
        "sha256,name,owner,role,expires_at\n{one},\"first, of two\",admin,,\n\
         {two},second,Admin,Users,2001-01-01T00:00:00Z\n"
    );
    std::fs::write(&file, right).unwrap();
    import(&mut system, backend, &line, 0, "\"imported\": 1").await;
    import(&mut system, backend, &line, 0, "\"unchanged\": 1,\n  \"expired\": 1").await;
    let json = format!("{{\"sha256\":\"{three}\",\"name\":\"third\",\"owner\":\"admin\"}}\n");
    std::fs::write(&file, json).unwrap();
    import(&mut system, backend, &line, 0, "\"imported\": 1").await;

    let first = system.verdict(ask(STRINGS[0])).await.expect("good");
    assert_eq!((first.name.as_str(), first.role.as_str()), ("first, of two", "Engineers"));
    assert_eq!(system.verdict(ask(STRINGS[1])).await, Err(DenialReason::Malformed));
    let third = system.verdict(ask_cached(STRINGS[2])).await.expect("good");
    for other in ["42$0123456789abcdefghijklmnoq", "a-string-of-nobody-at-all"] {
        assert_eq!(system.verdict(ask(other)).await, Err(DenialReason::Malformed));
    }
    end_them(&system, first.token_id, third.token_id).await;
}

async fn end_them(system: &System, first: i64, third: i64) {
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let listed = issuer.list_permanent_tokens(ListPermanentTokensRequest::default()).await;
    let listed = listed.unwrap().into_inner().permanent_tokens;
    assert!([first, third].iter().all(|id| listed.iter().any(|token| token.id == *id)));

    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id: first }).await.unwrap();
    assert_eq!(system.verdict(ask(STRINGS[0])).await, Err(DenialReason::Revoked));
    let overlap = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = RotatePermanentTokenRequest { id: third, overlap };
    let rotated = issuer.rotate_permanent_token(request).await.unwrap().into_inner();
    system.verdict(ask(&rotated.token)).await.expect("a secret of our own form");
    system.verdict(ask(STRINGS[2])).await.expect("within the overlap");
    let request = RotatePermanentTokenRequest { id: third, overlap: None };
    issuer.rotate_permanent_token(request).await.unwrap();
    assert_eq!(system.verdict(ask(STRINGS[2])).await, Err(DenialReason::Revoked));
}
