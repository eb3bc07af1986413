//! The harness itself: a search that could not find anything would prove nothing.

use redis::AsyncCommands;
use tessera_tests::{process::clean, redis::Redis, tls::Authority, tools::succeed};

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn the_dump_of_redis_shows_every_kind_of_value() {
    let redis = Redis::start().await;
    let mut connection = redis.connection().await;
    let _: () = connection.set("a-key", "in a string").await.unwrap();
    let _: () = connection.hset("b", "a-field", "in a hash").await.unwrap();
    let _: () = connection.sadd("c", "in a set").await.unwrap();
    let _: () = connection.zadd("d", "in a sorted set", 1).await.unwrap();
    let _: () = connection.rpush("e", "in a list").await.unwrap();
    let _: String = connection.xadd("f", "*", &[("entry", "in a stream")]).await.unwrap();
    let (dump, written) = (redis.dump().await, redis.written());
    let all = ["a-key", "a-field", "in a string", "in a hash", "in a set", "in a sorted set"];
    for text in all.iter().chain(&["in a list", "in a stream"]) {
        assert!(contains(&dump, text), "{text} is not in the dump");
        assert!(contains(&written, text), "{text} is not in the files");
    }
}

#[tokio::test]
async fn a_killed_redis_comes_back_with_what_it_confirmed() {
    let mut redis = Redis::start().await;
    let _: () = redis.connection().await.set("confirmed", 1).await.unwrap();
    redis.kill9().await;
    redis.restart().await;
    assert_eq!(redis.connection().await.get::<_, i32>("confirmed").await.unwrap(), 1);
}

#[tokio::test]
async fn a_redis_over_tls_shows_the_certificate_of_its_authority() {
    let redis = Redis::start_tls().await;
    let verify = |authority: &Authority| {
        let mut openssl = clean("openssl".as_ref());
        openssl.args(["verify", "-CAfile"]).arg(authority.certificate());
        openssl.arg(redis.authority().server_certificate());
        openssl
    };
    succeed(&mut verify(redis.authority()));
    assert!(!verify(&Authority::new()).output().unwrap().status.success());
    let address = redis.url().rsplit_once('@').unwrap().1.replace("/0", "");
    let mut openssl = clean("openssl".as_ref());
    openssl.args(["s_client", "-connect", &address, "-verify_return_error", "-CAfile"]);
    succeed(openssl.arg(redis.authority().certificate()).stdin(std::process::Stdio::null()));
}
