//! Backups and the way from one store to another, with the programs: nobody is given a
//! new token.

use tessera_proto::v1::{DenialReason, RefreshRequest, RevokePermanentTokenRequest};
use tessera_tests::{
    ask::ask,
    cli::Cli,
    client::Credentials,
    redis::Redis,
    service::ADMIN_PASSWORD,
    system::{Backend, System, named},
    watch::eventually,
};

const ENCRYPTION_KEY: &str = "7777777777777777777777777777777777777777777777777777777777777777";
/// The `iss` of access tokens, which moves with the installation.
const ISSUER: [&str; 2] = ["--issuer-url", "https://issuer.test"];
const PASSPHRASE: &str = "the passphrase of the backup";

/// What is out there in the hands of users.
struct Held {
    good: String,
    revoked: String,
    access_token: String,
    refresh_token: String,
    username: String,
    password: String,
    id: i64,
}

async fn live(system: &System) -> Held {
    let admin = system.admin().await;
    let good = system.permanent(&admin, named("kept")).await;
    let revoked = system.permanent(&admin, named("ended")).await;
    let request = RevokePermanentTokenRequest { id: revoked.permanent_token.unwrap().id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    system.verdict(ask(&good.token)).await.expect("good");
    let id = good.permanent_token.unwrap().id;
    eventually("last_used_at", || async { system.record(&admin, id).await.last_used_at }).await;
    let user = system.user("Users").await;
    Held {
        good: good.token,
        revoked: revoked.token,
        access_token: user.session.access_token,
        refresh_token: user.session.refresh_token,
        username: user.username,
        password: user.password,
        id,
    }
}

async fn assert_all_is_as_it_was(system: &System, held: &Held) {
    assert_eq!(system.verdict(ask(&held.good)).await.unwrap().name, "kept");
    assert_eq!(system.verdict(ask(&held.revoked)).await, Err(DenialReason::Revoked));
    system.verdict(ask(&held.access_token)).await.expect("the signing key is the same");
    let request = RefreshRequest { refresh_token: held.refresh_token.clone() };
    system.issuer(&Credentials::none()).refresh(request).await.expect("the session lives on");
    system.login(&held.username, &held.password).await;
    system.login("admin", ADMIN_PASSWORD).await;
    let record = system.record(&system.admin().await, held.id).await;
    assert!(record.last_used_at.is_some(), "{record:?}");
}

/// An operator at a shell, who is let into `redis`.
fn operator(system: &System, redis: &Redis) -> Cli {
    Cli::of(system)
        .and("TESSERA_STORE", &format!("redis://issuer@{}/0", redis.address()))
        .and("TESSERA_STORE_PASSWORD", &redis.users().password("issuer"))
        .and("TESSERA_KEY_ENCRYPTION_KEY", ENCRYPTION_KEY)
}

/// An installation over what was filled, whose issuer has the key-encryption key.
async fn over(redis: Redis) -> System {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("issuer.toml");
    std::fs::write(&file, format!("key-encryption-key = \"{ENCRYPTION_KEY}\"\n")).unwrap();
    let flags = [&["--config", file.to_str().unwrap()][..], &ISSUER].concat();
    System::over(Some(redis), &flags, &[]).await
}

#[tokio::test]
async fn the_embedded_store_grows_into_redis_by_one_command_and_no_token_changes() {
    let mut small = Backend::Embedded.start_with(&ISSUER).await;
    let held = live(&small).await;
    let redis = Redis::start().await;
    let operator = operator(&small, &redis);
    let line = format!("admin copy --from embedded:{} --sessions", small.data().display());
    operator.run(&line).fails(64, "in use by another process");
    small.end().await;
    let done = operator.run(&format!("{line} --output json")).json();
    assert_eq!(done["written"]["permanent_tokens"].as_i64().map(|count| count >= 2), Some(true));
    let again = operator.run(&format!("{line} --output json")).json();
    assert_eq!(again["kept_though_different"], 0, "{again}");
    assert!(again["written"].get("permanent_tokens").is_none(), "{again}");

    let large = over(redis).await;
    assert_all_is_as_it_was(&large, &held).await;
    // Records have changed since: a second filling would be of another time.
    operator.run(&line).fails(3, "are not as in the backup");
}

#[tokio::test]
async fn a_signing_key_that_is_not_sealed_goes_into_no_redis() {
    let mut small = Backend::Embedded.start().await;
    small.end().await;
    let redis = Redis::start().await;
    let operator = operator(&small, &redis).and("TESSERA_KEY_ENCRYPTION_KEY", "");
    let line = format!("admin copy --from embedded:{}", small.data().display());
    let operator = operator.and("TESSERA_BACKUP_PASSPHRASE", PASSPHRASE);
    let ran = operator.run(&line);
    assert!(!ran.stderr.contains("PASSPHRASE"), "it seals no store: {ran:?}");
    ran.fails(64, "set TESSERA_KEY_ENCRYPTION_KEY or TESSERA_KEY_ENCRYPTION_KEY_FILE");
    let keys: Vec<String> = {
        let mut connection = redis.connection().await;
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    };
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn a_store_that_is_not_meant_is_not_made_and_replaces_no_backup() {
    let redis = Redis::start().await;
    let cli = Cli::at(tempfile::TempDir::new().unwrap())
        .and("TESSERA_STORE_PASSWORD", &redis.users().password("issuer"));
    let file = cli.home().join("tessera.backup");
    std::fs::write(&file, "a good one").unwrap();
    let typo = format!("embedded:{}", cli.home().join("typo").display());
    let empty = format!("redis://issuer@{}/0", redis.address());
    for (store, says) in [(&typo, "typo holds no store"), (&empty, "holds no account")] {
        let export = format!("admin export --plain --store {store} {}", file.display());
        cli.run(&export).fails(64, says);
        assert_eq!(std::fs::read(&file).unwrap(), b"a good one");
    }
    let new = format!("embedded:{}", cli.home().join("new").display());
    cli.run(&format!("admin copy --from {typo} --store {new}")).fails(64, "--from: ");
    let cli = cli.and("TESSERA_FROM_PASSWORD", &redis.users().password("issuer"));
    let cli = cli.and("TESSERA_STORE_PASSWORD", "");
    cli.run(&format!("admin copy --from {empty} --store {new}")).fails(64, "holds no account");
    let entries = std::fs::read_dir(cli.home()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.contains(&"typo".into()), "{names:?}");
}

#[tokio::test]
async fn a_backup_of_a_running_redis_brings_all_back_and_a_damaged_one_nothing() {
    let mut system = Backend::Redis.start_with(&ISSUER).await;
    let held = live(&system).await;
    let redis = system.redis();
    let store = format!("redis://issuer@{}/0", redis.address());
    let password = redis.users().password("issuer");
    let operator = Cli::of(&system)
        .and("TESSERA_STORE", &store)
        .and("TESSERA_STORE_PASSWORD", &password)
        .and("TESSERA_KEY_ENCRYPTION_KEY", ENCRYPTION_KEY)
        .and("TESSERA_BACKUP_PASSPHRASE", PASSPHRASE);
    let file = system.dir().join("tessera.backup");
    let file = file.display().to_string();
    operator.run(&format!("admin export {file} --sessions")).ok();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    operator.run(&format!("admin import --check {file}")).ok();

    let new = Redis::start().await;
    let operator = self::operator(&system, &new);
    let import = format!("admin import {file}");
    operator.run(&import).fails(64, "TESSERA_BACKUP_PASSPHRASE");
    let operator = operator.and("TESSERA_BACKUP_PASSPHRASE", PASSPHRASE);
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    operator.run(&import).fails(3, "ends early");
    let keys: Vec<String> = {
        let mut connection = new.connection().await;
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    };
    assert!(keys.is_empty(), "{keys:?}");
    std::fs::write(&file, &good).unwrap();
    let done = operator.run(&format!("{import} --output json")).json();
    assert!(done["written"]["sessions"].as_i64() >= Some(1), "{done}");
    assert_all_is_as_it_was(&over(new).await, &held).await;
}
