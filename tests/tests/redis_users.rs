//! What the users of Redis may do, as `deploy/compose/users.acl.template` has them.

use redis::{RedisError, aio::MultiplexedConnection, cmd};
use tessera_proto::v1::{ChangePasswordRequest, DenialReason, RevokePermanentTokenRequest};
use tessera_tests::{
    ask::ask,
    redis::Redis,
    service::ADMIN_PASSWORD,
    system::{System, named},
    watch::eventually,
};

async fn get(redis: &mut MultiplexedConnection, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
    cmd("GET").arg(key).query_async(redis).await
}

fn holds_a_hash(value: &[u8]) -> bool {
    value.windows(8).any(|part| part == b"argon2id")
}

#[tokio::test]
async fn both_services_do_their_work_as_the_users_of_the_template() {
    let system = System::over(Some(Redis::start_with_users().await), &[], &[]).await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("as the template's users")).await;
    system.verdict(ask(&made.token)).await.expect("good");
    let id = made.permanent_token.unwrap().id;
    eventually("last_used_at", || async { system.record(&admin, id).await.last_used_at }).await;
    let user = system.user("Users").await;
    let request = ChangePasswordRequest {
        current_password: user.password.clone(),
        new_password: "a passphrase that the user chose".into(),
    };
    system.issuer(&user.credentials).change_password(request).await.unwrap();
    system.verdict(ask(&user.session.access_token)).await.expect_err("of the old password");
    let request = RevokePermanentTokenRequest { id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    assert_eq!(system.verdict(ask(&made.token)).await, Err(DenialReason::Revoked));
}

#[tokio::test]
async fn a_verifier_reads_no_password_and_no_private_key_and_writes_no_record() {
    let mut system = System::over(Some(Redis::start_with_users().await), &[], &[]).await;
    system.login("admin", ADMIN_PASSWORD).await;
    let mut issuer = system.redis().connection_as("issuer").await;
    let password = get(&mut issuer, "tessera:pw:1").await.unwrap().unwrap();
    assert!(holds_a_hash(&password), "the record that is kept from the verifier");

    let mut verifier = system.redis().connection_as("verifier").await;
    let user = get(&mut verifier, "tessera:u:1").await.unwrap().unwrap();
    assert!(!holds_a_hash(&user));
    for key in ["tessera:pw:1", "tessera:sk:any", "tessera:un:8c6976e5b5410415bde908bd4dee15df"] {
        for command in ["GET", "MGET"] {
            let refused = cmd(command).arg(key).query_async::<redis::Value>(&mut verifier).await;
            let refused = refused.expect_err(key);
            assert_eq!(refused.code(), Some("NOPERM"), "{command} {key}: {refused}");
        }
    }
    for (command, rest) in [
        ("SET", &["tessera:t:1", "x"][..]),
        ("DEL", &["tessera:u:1"]),
        ("XADD", &["tessera:t:1", "*", "u", "x"]),
        ("XRANGE", &["tessera:use", "-", "+"]),
        ("EVAL", &["return redis.call('GET', 'tessera:pw:1')", "0"]),
        ("KEYS", &["*"]),
        ("SCAN", &["0"]),
        ("DUMP", &["tessera:u:1"]),
        ("CONFIG", &["GET", "*"]),
    ] {
        let refused = cmd(command).arg(rest).query_async::<redis::Value>(&mut verifier).await;
        let refused = refused.expect_err(command);
        assert_eq!(refused.code(), Some("NOPERM"), "{command}: {refused}");
    }
}
