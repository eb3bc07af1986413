//! A server whose memory is full refuses what is new, and nothing that ends something.

use tempfile::TempDir;
use tessera_shared::store::{Key, StoreError, Swap};

use crate::{
    server::{ENCODED_PASSWORD, RedisServer},
    usage::{connection, store},
};

#[tokio::test]
async fn with_full_memory_tokens_end_and_none_is_made() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let store = store(&server);
    let key = |id: i64| Key::Token(id.try_into().unwrap());
    for id in [1, 2] {
        let made = store.swap(&key(id), None, Some(b"good"), None).await;
        assert_eq!(made.unwrap(), Swap::Done);
    }
    let mut redis = connection(&server, "default", ENCODED_PASSWORD).await;
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let made = store.swap(&key(3), None, Some(b"good"), None).await;
    assert!(matches!(made, Err(StoreError::Unavailable(why)) if why.contains("OOM")));
    let ended = store.swap(&key(1), Some(b"good"), Some(b"revoked"), None).await;
    assert_eq!(ended.unwrap(), Swap::Done);
    assert_eq!(store.swap(&key(2), Some(b"good"), None, None).await.unwrap(), Swap::Done);
    let denied = store.swap(&Key::Revocations(7), None, Some(b"session 5"), None).await;
    assert_eq!(denied.unwrap(), Swap::Done);
    let read = store.read(&[key(1), key(2), key(3), Key::Revocations(7)]).await.unwrap();
    assert_eq!(read, [Some(b"revoked".to_vec()), None, None, Some(b"session 5".to_vec())]);
}
