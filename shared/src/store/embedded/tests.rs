//! A disk that fails, and what only the embedded store does.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use redb::{Builder, StorageBackend, backends::FileBackend};
use tempfile::TempDir;

use super::*;

/// A disk that has no room left while [`Disk::full`] is set.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn store_on_a_disk(dir: &TempDir) -> (EmbeddedStore, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let disk_is_full = full.clone();
    let path = dir.path().join("disk.redb");
    let open = move || {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let file = FileBackend::new(file)?;
        Ok(Builder::new().create_with_backend(Disk { file, full: full.clone() })?)
    };
    let store = EmbeddedStore::start(DatabaseFile::open(Box::new(open)).unwrap()).unwrap();
    (store, disk_is_full)
}

fn token(id: i64) -> Key {
    Key::Token(id.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_is_unavailable_and_loses_nothing_acknowledged() {
    let dir = TempDir::new().unwrap();
    let (store, disk_is_full) = store_on_a_disk(&dir);
    let mut acknowledged = Vec::new();
    for round in 0..3_i64 {
        for id in 1..20 {
            let key = token(round * 100 + id);
            store.swap(&key, None, Some(&[7; 5000]), None).await.unwrap();
            acknowledged.push(key);
        }
        disk_is_full.store(true, Ordering::SeqCst);
        for id in 20..25 {
            let refused = store.swap(&token(round * 100 + id), None, Some(b"x"), None).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        }
        disk_is_full.store(false, Ordering::SeqCst);
        let found = read_in_the_end(&store, &acknowledged).await;
        assert_eq!(found, vec![Some(vec![7; 5000]); acknowledged.len()]);
    }
}

/// Reads until the store is open again.
async fn read_in_the_end(store: &EmbeddedStore, keys: &[Key]) -> Vec<Option<Vec<u8>>> {
    let start = std::time::Instant::now();
    loop {
        match store.read(keys).await {
            Ok(values) => return values,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn full_disk_is_named_as_the_reason() {
    let dir = TempDir::new().unwrap();
    let (store, disk_is_full) = store_on_a_disk(&dir);
    disk_is_full.store(true, Ordering::SeqCst);
    let error = store.swap(&Key::Roles, None, Some(b"x"), None).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_many_steps_is_collected_whole() {
    let dir = TempDir::new().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let count = 2 * i64::try_from(GARBAGE_STEP).unwrap() + 1;
    let at = Timestamp::from_millis(5);
    let mut writes: tokio::task::JoinSet<_> = (1..=count)
        .map(|id| {
            let store = store.clone();
            async move { store.swap(&token(id), None, Some(b"x"), Some(at)).await }
        })
        .collect();
    while let Some(written) = writes.join_next().await {
        assert_eq!(written.unwrap().unwrap(), Swap::Done);
    }
    let keys: Vec<_> = (1..=count).map(token).collect();
    let left = async || store.read(&keys).await.unwrap().into_iter().flatten().count();
    store.collect_garbage(Timestamp::from_millis(4)).await.unwrap();
    assert_eq!(left().await, keys.len());
    store.collect_garbage(at).await.unwrap();
    assert_eq!(left().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_under_way_are_done_when_the_store_is_dropped() {
    let dir = TempDir::new().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let writes: Vec<_> = (1..=50)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move { store.swap(&token(id), None, Some(b"x"), None).await })
        })
        .collect();
    drop(store);
    for write in writes {
        assert_eq!(write.await.unwrap().unwrap(), Swap::Done);
    }
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let keys: Vec<_> = (1..=50).map(token).collect();
    assert_eq!(store.read(&keys).await.unwrap(), vec![Some(b"x".to_vec()); 50]);
}

#[test]
fn refusals_of_the_file_system_are_told_apart() {
    // Root may write anywhere, so a directory without the right to write is no test.
    use io::ErrorKind as K;
    let told = |kind: K| file::classify_io(Path::new("/data"), kind.into());
    for kind in [K::PermissionDenied, K::ReadOnlyFilesystem] {
        assert!(matches!(told(kind), OpenError::ReadOnly(_)), "{kind}");
    }
    for kind in [K::StorageFull, K::QuotaExceeded] {
        assert!(matches!(told(kind), OpenError::Full(_)), "{kind}");
    }
    assert!(matches!(told(K::InvalidData), OpenError::Damaged(..)));
    assert!(matches!(told(K::NotADirectory), OpenError::Io(..)));
}
