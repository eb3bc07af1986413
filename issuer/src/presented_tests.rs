//! What ends when a token is presented to be ended, and what does not.

use std::time::Duration;

use tessera_shared::{
    examine::{Question, Reason},
    foreign::{ForeignToken, Importer},
    opaque::TokenHash,
    record::{Foreign, PermanentToken},
    store::{Key, records},
};

use crate::{
    failure::Failure,
    presented::Ended,
    testing::{Issuer, new_token},
};

#[tokio::test]
async fn any_token_of_a_session_ends_the_session() {
    let issuer = Issuer::start().await;
    for which in ["access", "refresh", "used refresh"] {
        let first = issuer.login("admin").await.unwrap();
        let second = issuer.core.refresh(first.refresh.expose()).await.unwrap();
        let plain = match which {
            "access" => second.access.as_str(),
            "refresh" => second.refresh.expose(),
            _ => first.refresh.expose(),
        };
        let ended = issuer.core.end_presented(plain).await.unwrap();
        assert!(matches!(ended, Some(Ended::Session(_))), "{which}: {ended:?}");
        for access in [&first.access, &second.access] {
            assert_eq!(issuer.refusal(access).await, Some(Reason::Revoked), "{which}");
        }
        let next = issuer.core.refresh(second.refresh.expose()).await;
        assert!(matches!(next, Err(Failure::RefreshTokenInvalid)), "{which}");
    }
}

#[tokio::test]
async fn an_exchanged_token_ends_with_its_kind_and_the_permanent_one_stays() {
    let issuer = Issuer::start().await;
    let made = issuer.core.create_token(&issuer.admin().await, new_token("a")).await.unwrap();
    let plain = made.plain.expose();
    let exchange = async || issuer.core.exchange(plain, &Question::default()).await.unwrap().0;
    let access = exchange().await;
    let ended = issuer.core.end_presented(&access).await.unwrap();
    assert_eq!(ended, Some(Ended::Exchanged(made.token.id)));
    assert_eq!(issuer.refusal(&access).await, Some(Reason::Revoked));
    assert_eq!(issuer.refusal(plain).await, None);
    let access = exchange().await;
    assert_eq!(issuer.refusal(&access).await, None);
    let ended = issuer.core.end_presented(plain).await.unwrap();
    assert_eq!(ended, Some(Ended::PermanentToken(made.token.id)));
    for token in [plain, &access] {
        assert_eq!(issuer.refusal(token).await, Some(Reason::Revoked));
    }
    assert_eq!(issuer.core.end_presented(plain).await.unwrap(), ended, "again");
}

#[tokio::test]
async fn what_is_no_good_token_ends_nothing() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let made = issuer.core.create_token(&admin, new_token("a")).await.unwrap();
    let id = made.token.id.try_into().unwrap();
    let overlap = prost_types::Duration { seconds: 60, nanos: 0 };
    let rotated = issuer.core.rotate_token(&admin, id, Some(overlap)).await.unwrap();
    issuer.advance(Duration::from_mins(1));
    let forged = issuer.core.opaque.permanent(id, &*issuer.core.rng).unwrap();
    let session = issuer.login("admin").await.unwrap();
    let of_session = issuer.caller(&session.access).await.session().unwrap();
    let refresh = issuer.core.opaque.first_refresh(of_session, &*issuer.core.rng).unwrap().0;
    let long = "a".repeat(9000);
    let old = made.plain.expose();
    for plain in [old, forged.expose(), refresh.expose(), "hunter2", "a.b.c", "eyJ", "", &long] {
        assert_eq!(issuer.core.end_presented(plain).await.unwrap(), None, "{plain}");
    }
    assert_eq!(issuer.refusal(rotated.plain.expose()).await, None);
    assert_eq!(issuer.refusal(&session.access).await, None);
    assert!(issuer.core.refresh(session.refresh.expose()).await.is_ok());
}

#[tokio::test]
async fn wherever_it_is_cut_short_a_retry_ends_all_of_it() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    for writes in 0..8 {
        let session = issuer.login("admin").await.unwrap();
        let made = issuer.core.create_token(&admin, new_token("a")).await.unwrap();
        let access = issuer.core.exchange(made.plain.expose(), &Question::default()).await;
        let access = access.unwrap().0;
        for plain in [session.refresh.expose(), made.plain.expose()] {
            issuer.store.die_after(writes);
            let cut = issuer.core.end_presented(plain).await;
            issuer.store.live();
            if let Err(failure) = cut {
                assert!(matches!(failure, Failure::StoreUnavailable(_)), "{failure}");
                issuer.core.end_presented(plain).await.unwrap();
            }
        }
        for token in [&session.access, &access, made.plain.expose()] {
            assert_eq!(issuer.refusal(token).await, Some(Reason::Revoked), "{writes}");
        }
    }
}

#[tokio::test]
async fn an_imported_string_ends_its_token() {
    let issuer = Issuer::start().await;
    let plain = "a-string-of-another-system";
    let hash = *TokenHash::of(plain).as_bytes();
    let token = ForeignToken {
        hash,
        name: "imported".to_owned(),
        owner: "admin".to_owned(),
        role: "Users".to_owned(),
        audiences: vec!["cdn".to_owned()],
        expires_at: None,
    };
    let core = &issuer.core;
    let mut importer = Importer::new(&*issuer.store, &*core.rng).await.unwrap();
    importer.import(&token, core.now()).await.unwrap();
    let lead: Foreign = records::load(&*issuer.store, Key::Foreign(hash)).await.unwrap().unwrap();
    let id = lead.id().unwrap();
    assert_eq!(core.end_presented("a-string-of-nobody-at-all").await.unwrap(), None);
    let ended = core.end_presented(plain).await.unwrap();
    assert_eq!(ended, Some(Ended::PermanentToken(id.get())));
    let token: PermanentToken = records::load(&*issuer.store, id.into()).await.unwrap().unwrap();
    assert_eq!(token.revoked_at, core.now().millis());
}
