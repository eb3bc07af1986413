use std::{fs, path::PathBuf};

use prost::Message as _;
use ring::rand::SystemRandom;
use tempfile::TempDir;

use super::{entry::Entry, *};
use crate::{
    id::{AccountId, TokenId, UserId},
    record::{Account, Foreign, Password, PermanentToken, User, Username},
    store::{Index, Key, StoreReader as _, embedded::EmbeddedStore, records},
    usage::Usage,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const PASSPHRASE: &str = "a passphrase for the backup";
/// More than a page.
const TOKENS: i64 = 450;

struct Place {
    dir: TempDir,
    store: EmbeddedStore,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = EmbeddedStore::open(&dir.path().join("data")).unwrap();
        Self { dir, store }
    }

    async fn lived_in() -> Self {
        let place = Self::new();
        place.account().await;
        let store = &place.store;
        let (account, user) = (AccountId::FIRST, UserId::FIRST);
        store.swap(&Key::Roles, None, Some(b"roles"), None).await.unwrap();
        let record = User { id: 1, account: 1, username: "ada".into(), ..User::default() };
        store.index_add(Index::UsersOf(account), 1).await.unwrap();
        records::create(store, Key::Username("ada".into()), &Username { user: 1 }).await.unwrap();
        let password = Password { user: 1, hash: "argon2id".into(), provisional: false };
        records::create(store, Key::Password(user), &password).await.unwrap();
        records::create(store, user.into(), &record).await.unwrap();
        for id in 1..=TOKENS {
            place.token(id).await;
        }
        let imported = |token: &mut PermanentToken| {
            token.imported_hash = vec![9; 32];
            Ok::<_, StoreError>(())
        };
        records::update(store, token(9).into(), imported).await.unwrap();
        let lead = Foreign { token: 9, forget_at: 0 };
        records::create(store, Key::Foreign([9; 32]), &lead).await.unwrap();
        store.swap(&Key::Imports, None, Some(b"there are"), None).await.unwrap();
        store.report_usage(&[(token(3), Usage::use_at(NOW))]).await.unwrap();
        place
    }

    async fn account(&self) {
        self.store.index_add(Index::Accounts, 1).await.unwrap();
        let record = Account { id: 1, name: "one".into(), created_at: 7, ..Account::default() };
        records::create(&self.store, AccountId::FIRST.into(), &record).await.unwrap();
    }

    async fn token(&self, id: i64) {
        let record = PermanentToken {
            id,
            account: 1,
            user: 1,
            hash: vec![1; 32],
            created_at: id,
            revoked_at: if id % 2 == 0 { NOW.millis() } else { 0 },
            ..PermanentToken::default()
        };
        self.store.index_add(Index::TokensOf(AccountId::FIRST), id).await.unwrap();
        records::create(&self.store, token(id).into(), &record).await.unwrap();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    async fn export(&self, passphrase: Option<&str>) -> Counts {
        let file = fs::File::create(self.file()).unwrap();
        let scope = Scope::default();
        export(&self.store, file, passphrase, &scope, &SystemRandom::new()).await.unwrap()
    }

    async fn tokens(&self) -> Vec<i64> {
        let index = Index::TokensOf(AccountId::FIRST);
        self.store.index_page(index, 0, 10_000).await.unwrap()
    }

    async fn import(&self, file: &Path, merge: bool) -> Result<Filled, BackupError> {
        import(&self.store, file, Some(PASSPHRASE), merge, NOW).await
    }
}

fn token(id: i64) -> TokenId {
    id.try_into().unwrap()
}

#[tokio::test]
async fn an_import_has_all_that_the_export_had_plain_or_sealed_and_can_be_repeated() {
    let from = Place::lived_in().await;
    for passphrase in [None, Some(PASSPHRASE)] {
        let counts = from.export(passphrase).await;
        assert_eq!(counts.0[&Kind::Token], TOKENS as u64);
        assert_eq!(check(&from.file(), passphrase).unwrap(), counts);
        let to = Place::new();
        let filled = to.import(&from.file(), false).await.unwrap();
        assert_eq!(filled.written, counts);
        assert_eq!(to.tokens().await, from.tokens().await);
        let key = [
            Key::Token(token(3)),
            Key::Password(UserId::FIRST),
            Key::Roles,
            Key::Foreign([9; 32]),
            Key::Imports,
        ];
        assert!(from.store.read(&key).await.unwrap().iter().all(Option::is_some));
        assert_eq!(to.store.read(&key).await.unwrap(), from.store.read(&key).await.unwrap());
        assert_eq!(to.store.usage(&[token(3)]).await.unwrap(), [Usage::use_at(NOW)]);
        let live = to.store.reserved(AccountId::FIRST, NOW, 10_000).await.unwrap();
        assert_eq!(live.len() as i64, TOKENS / 2, "the revoked ones are not counted");

        let again = to.import(&from.file(), false).await.unwrap();
        assert_eq!((again.written.total(), again.kept), (1, 0), "the time of use alone");
        assert_eq!(again.unchanged, counts.total() - 1);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_or_changed_anywhere_is_refused_before_anything_is_written() {
    let from = Place::lived_in().await;
    for passphrase in [None, Some(PASSPHRASE)] {
        from.export(passphrase).await;
        let good = fs::read(from.file()).unwrap();
        let bad = from.dir.path().join("bad");
        let places = [0, 20, 30, 41, 60, good.len() / 2, good.len() - 40, good.len() - 1];
        let mut damaged: Vec<_> = places.iter().map(|cut| good[..*cut].to_vec()).collect();
        for place in places {
            let mut changed = good.clone();
            changed[place] ^= 1;
            damaged.push(changed);
        }
        damaged.push([good.as_slice(), b"x"].concat());
        for (number, bytes) in damaged.iter().enumerate() {
            let to = Place::new();
            fs::write(&bad, bytes).unwrap();
            to.import(&bad, true).await.expect_err(&format!("case {number}"));
            assert!(to.tokens().await.is_empty(), "case {number}");
            assert_eq!(to.store.read(&[Key::Roles]).await.unwrap(), [None]);
        }
    }
}

#[tokio::test]
async fn a_sealed_file_shows_nothing_and_opens_under_its_passphrase_alone() {
    let from = Place::lived_in().await;
    from.export(Some(PASSPHRASE)).await;
    let bytes = fs::read(from.file()).unwrap();
    assert!(!bytes.windows(8).any(|part| part == b"argon2id"));
    let refused = |passphrase| check(&from.file(), passphrase).unwrap_err();
    assert!(matches!(refused(None), BackupError::NoPassphrase));
    assert!(matches!(refused(Some("another passphrase")), BackupError::DoesNotOpen));
}

#[tokio::test]
async fn what_is_in_the_store_is_never_written_over() {
    let from = Place::lived_in().await;
    from.export(None).await;
    let to = Place::new();
    to.import(&from.file(), false).await.unwrap();
    let revoke = |token: &mut PermanentToken| {
        token.revoked_at = 99;
        Ok::<_, StoreError>(())
    };
    records::update(&to.store, Key::Token(token(5)), revoke).await.unwrap();
    records::remove(&to.store, Key::Token(token(7))).await.unwrap();
    let refused = to.import(&from.file(), false).await.unwrap_err();
    assert!(matches!(refused, BackupError::Differs(1, _)), "{refused}");
    assert_eq!(to.store.read(&[Key::Token(token(7))]).await.unwrap(), [None], "nothing written");
    let filled = to.import(&from.file(), true).await.unwrap();
    assert_eq!((filled.written.0[&Kind::Token], filled.kept), (1, 1));
    let kept = records::load::<PermanentToken>(&to.store, Key::Token(token(5))).await.unwrap();
    assert_eq!(kept.unwrap().revoked_at, 99);
}

#[tokio::test]
async fn another_installation_is_not_mixed_in() {
    let from = Place::lived_in().await;
    from.export(None).await;
    let to = Place::new();
    let other = Account { id: 1, created_at: 8, ..Account::default() };
    records::create(&to.store, AccountId::FIRST.into(), &other).await.unwrap();
    let refused = to.import(&from.file(), true).await.unwrap_err();
    assert!(matches!(refused, BackupError::OtherInstallation(_)), "{refused}");
    assert!(to.tokens().await.is_empty());
}

#[tokio::test]
async fn a_private_key_leaves_the_store_sealed_or_not_at_all() {
    use crate::keys::{Algorithm, KeyEntry, KeySet, KeyState, PrivateKey, is_sealed, seal};
    let (from, rng) = (Place::new(), SystemRandom::new());
    from.account().await;
    let key = PrivateKey::generate(Algorithm::EdDsa, &rng).unwrap();
    let entry = KeyEntry {
        public: key.public().clone(),
        state: KeyState::Signing,
        created_at: NOW,
        signs_at: NOW,
        retired_at: None,
        token_lifetime: std::time::Duration::from_secs(1),
        imported: false,
    };
    let kid = Key::PrivateKey(key.public().kid().to_owned());
    let set = KeySet { issuer: "https://one".into(), keys: vec![entry] }.to_bytes();
    from.store.swap(&Key::KeySet, None, Some(&set), None).await.unwrap();
    let open = seal(&key, None, &rng).unwrap();
    from.store.swap(&kid, None, Some(&open), None).await.unwrap();

    let export = async |passphrase, sealer: Option<KeyEncryptionKey>| {
        let file = fs::File::create(from.file()).unwrap();
        let scope = Scope { sealer, ..Scope::default() };
        super::export(&from.store, file, passphrase, &scope, &rng).await
    };
    assert!(matches!(export(None, None).await, Err(BackupError::OpenKey(_))));
    let has_open = |bytes: &[u8]| bytes.windows(20).any(|part| part == &open[10..30]);
    for (passphrase, sealer) in [(Some(PASSPHRASE), None), (None, Some("7".repeat(64)))] {
        let sealer = sealer.map(|text| text.parse().unwrap());
        let sealed = sealer.is_some();
        export(passphrase, sealer).await.unwrap();
        assert!(!has_open(&fs::read(from.file()).unwrap()));
        let to = Place::new();
        to.import(&from.file(), false).await.unwrap();
        let record = to.store.read(std::slice::from_ref(&kid)).await.unwrap().remove(0).unwrap();
        assert_eq!(is_sealed(&record), sealed);
    }
}

#[test]
fn tags_and_numbers_are_for_ever() {
    let entry = Entry::record(&Key::Token(token(9)), vec![0xaa]);
    assert_eq!(entry.encode_to_vec(), [0x08, 8, 0x10, 9, 0x22, 1, 0xaa]);
    assert_eq!(entry.key().unwrap(), Some(Key::Token(token(9))));
}

#[tokio::test]
async fn a_store_without_an_account_is_not_backed_up_though_a_list_names_one() {
    let (from, to, rng) = (Place::new(), Place::new(), SystemRandom::new());
    from.store.index_add(Index::Accounts, 1).await.unwrap();
    from.store.swap(&Key::Roles, None, Some(b"roles"), None).await.unwrap();
    let scope = Scope::default();
    let file = fs::File::create(from.file()).unwrap();
    let exported = super::export(&from.store, file, None, &scope, &rng).await;
    assert!(matches!(exported, Err(BackupError::NoAccount)), "{exported:?}");
    let copied = super::copy(&from.store, &to.store, &scope, true, false, NOW, &rng).await;
    assert!(matches!(copied, Err(BackupError::NoAccount)), "{copied:?}");
}
