//! Who may make, see and change which permanent token, and how many.

use prost_types::Timestamp;
use tessera_proto::v1::{
    CreatePermanentTokenRequest, ErrorReason, ExchangeTokenRequest, GetPermanentTokenRequest,
    ListPermanentTokensRequest, PermanentToken, PermanentTokenState, RevokePermanentTokenRequest,
    RotatePermanentTokenRequest, UpdatePermanentTokenRequest,
};
use tessera_shared::clock::{Clock, SystemClock};
use tessera_tests::{
    ask::ask,
    client::{Credentials, Issuer},
    on_every_backend,
    refused::{assert_refused, assert_wrong_field},
    system::{Backend, named},
};
use tonic::Code;

on_every_backend!(
    a_role_above_the_callers_is_refused,
    the_tokens_of_others_are_invisible,
    a_permanent_token_makes_none_that_outlives_it,
    a_weak_token_is_no_way_to_a_strong_sibling,
    an_account_has_at_most_fifty_live_tokens,
    the_limit_of_live_tokens_is_a_setting,
    pages_hold_every_token_once_in_the_order_of_making,
    filters_choose_by_maker_role_state_and_expiry,
);

/// All records that the filters of `request` choose, page by page.
async fn list(issuer: &mut Issuer, request: ListPermanentTokensRequest) -> Vec<PermanentToken> {
    let mut records = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPermanentTokensRequest { page_token, ..request.clone() };
        let page = issuer.list_permanent_tokens(request).await.unwrap().into_inner();
        // `tessera up` shows its first steps with a token of its own.
        let made_here = |record: &PermanentToken| record.name != "first-steps";
        records.extend(page.permanent_tokens.into_iter().filter(made_here));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return records;
        }
    }
}

fn names(records: &[PermanentToken]) -> Vec<&str> {
    records.iter().map(|record| record.name.as_str()).collect()
}

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: SystemClock.now().seconds() + seconds, nanos: 0 })
}

async fn a_role_above_the_callers_is_refused(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let mut issuer = system.issuer(&user.credentials);
    let above = CreatePermanentTokenRequest { role: "Administrators".into(), ..named("above") };
    let refused = issuer.create_permanent_token(above).await;
    assert_refused(refused, Code::PermissionDenied, ErrorReason::RoleAboveCaller);
    let made = system.permanent(&user.credentials, named("equal")).await;
    let record = made.permanent_token.unwrap();
    assert_eq!(record.role, "Users", "the caller's own role where none is named");

    let request = UpdatePermanentTokenRequest {
        id: record.id,
        role: "Administrators".into(),
        ..UpdatePermanentTokenRequest::default()
    };
    let refused = issuer.update_permanent_token(request).await;
    assert_refused(refused, Code::PermissionDenied, ErrorReason::RoleAboveCaller);
    let unknown = CreatePermanentTokenRequest { role: "Emperors".into(), ..named("unknown") };
    assert_wrong_field(issuer.create_permanent_token(unknown).await, "role");
}

async fn the_tokens_of_others_are_invisible(backend: Backend) {
    let system = backend.start().await;
    let (mine, other) = (system.user("Users").await, system.user("Users").await);
    let made = system.permanent(&mine.credentials, named("mine")).await;
    let id = made.permanent_token.unwrap().id;
    let mut stranger = system.issuer(&other.credentials);
    let got = stranger.get_permanent_token(GetPermanentTokenRequest { id }).await;
    assert_refused(got, Code::NotFound, ErrorReason::NotFound);
    let revoked = stranger.revoke_permanent_token(RevokePermanentTokenRequest { id }).await;
    assert_refused(revoked, Code::NotFound, ErrorReason::NotFound);
    let request = UpdatePermanentTokenRequest {
        id,
        name: "taken".into(),
        ..UpdatePermanentTokenRequest::default()
    };
    let updated = stranger.update_permanent_token(request).await;
    assert_refused(updated, Code::NotFound, ErrorReason::NotFound);
    assert!(list(&mut stranger, ListPermanentTokensRequest::default()).await.is_empty());

    let mut admin = system.issuer(&system.admin().await);
    let seen = list(&mut admin, ListPermanentTokensRequest::default()).await;
    assert_eq!(names(&seen), ["mine"], "an administrator sees the account's");
    admin.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.expect("and ends them");
}

async fn a_permanent_token_makes_none_that_outlives_it(backend: Backend) {
    let system = backend.start().await;
    let request = CreatePermanentTokenRequest { expires_at: in_seconds(600), ..named("parent") };
    let parent = system.permanent(&system.admin().await, request).await;
    let mut issuer = system.issuer(&Credentials::api_key(&parent.token));
    for expires_at in [None, in_seconds(1200)] {
        let request = CreatePermanentTokenRequest { expires_at, ..named("outlives") };
        let refused = issuer.create_permanent_token(request).await;
        assert_refused(refused, Code::PermissionDenied, ErrorReason::OutlivesCaller);
    }
    let request = CreatePermanentTokenRequest { expires_at: in_seconds(300), ..named("child") };
    issuer.create_permanent_token(request).await.expect("a shorter one");
}

/// Every call, by the token's secret and by an access token exchanged for it.
async fn a_weak_token_is_no_way_to_a_strong_sibling(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let weak = CreatePermanentTokenRequest {
        role: "Purge and Prefetch only (API)".into(),
        expires_at: in_seconds(600),
        allowed_cidrs: vec!["127.0.0.0/8".into()],
        ..named("weak")
    };
    let weak = system.permanent(&user.credentials, weak).await.token;
    let strong = system.permanent(&user.credentials, named("strong")).await;
    let record = strong.permanent_token.unwrap();
    let mut issuer = system.issuer(&Credentials::api_key(&weak));
    let access = issuer.exchange_token(ExchangeTokenRequest::default()).await.unwrap();
    let access = access.into_inner().access_token;
    for credentials in [Credentials::api_key(&weak), Credentials::bearer(&access)] {
        let mut issuer = system.issuer(&credentials);
        let denied = (Code::PermissionDenied, ErrorReason::RoleAboveCaller);
        let rotate = RotatePermanentTokenRequest { id: record.id, overlap: None };
        let refused = issuer.rotate_permanent_token(rotate).await;
        assert_refused(refused, denied.0, denied.1);
        let update = UpdatePermanentTokenRequest {
            id: record.id,
            name: "taken".into(),
            ..UpdatePermanentTokenRequest::default()
        };
        assert_refused(issuer.update_permanent_token(update).await, denied.0, denied.1);
        let revoke = RevokePermanentTokenRequest { id: record.id };
        assert_refused(issuer.revoke_permanent_token(revoke).await, denied.0, denied.1);
        let anywhere = CreatePermanentTokenRequest {
            expires_at: in_seconds(60),
            allowed_cidrs: vec!["0.0.0.0/0".into()],
            ..named("anywhere")
        };
        let refused = issuer.create_permanent_token(anywhere).await;
        assert_refused(refused, denied.0, ErrorReason::NotPermitted);
        assert_eq!(system.record(&credentials, record.id).await, record, "it may be looked at");
    }
    system.verdict(ask(&strong.token)).await.expect("as it was");
}

async fn an_account_has_at_most_fifty_live_tokens(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let mut last = 0;
    for number in 0..50 {
        let made = system.permanent(&admin, named(&format!("token {number}"))).await;
        last = made.permanent_token.unwrap().id;
    }
    let refused = issuer.create_permanent_token(named("one too many")).await;
    assert_refused(refused, Code::ResourceExhausted, ErrorReason::TokenLimitReached);
    // One that is revoked counts no more.
    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id: last }).await.unwrap();
    system.permanent(&admin, named("in its place")).await;
}

async fn the_limit_of_live_tokens_is_a_setting(backend: Backend) {
    let system = backend.start_with(&["--tokens-per-account", "3"]).await;
    let admin = system.admin().await;
    let issuer = system.issuer(&admin);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..10 {
        let mut issuer = issuer.clone();
        calls.spawn(async move {
            issuer.create_permanent_token(named(&format!("racer {number}"))).await.is_ok()
        });
    }
    let made = calls.join_all().await.into_iter().filter(|&made| made).count();
    assert!(made <= 3, "{made} tokens of 3 that may be");
    let listed = list(&mut issuer.clone(), ListPermanentTokensRequest::default()).await;
    assert_eq!(listed.len(), made);
}

async fn pages_hold_every_token_once_in_the_order_of_making(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let mut made = Vec::new();
    for number in 0..7 {
        let token = system.permanent(&admin, named(&format!("token {number}"))).await;
        made.push(token.permanent_token.unwrap());
    }
    for page_size in [1, 3, 7, 0, 5000] {
        let request =
            ListPermanentTokensRequest { page_size, ..ListPermanentTokensRequest::default() };
        assert_eq!(list(&mut issuer, request).await, made, "pages of {page_size}");
    }
    let request = ListPermanentTokensRequest {
        page_token: "not a page token".into(),
        ..ListPermanentTokensRequest::default()
    };
    assert_wrong_field(issuer.list_permanent_tokens(request).await, "page_token");
    let request =
        ListPermanentTokensRequest { page_size: -1, ..ListPermanentTokensRequest::default() };
    assert_wrong_field(issuer.list_permanent_tokens(request).await, "page_size");
}

async fn filters_choose_by_maker_role_state_and_expiry(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let user = system.user("Users").await;
    system.permanent(&user.credentials, named("by the user")).await;
    let short = CreatePermanentTokenRequest { expires_at: in_seconds(600), ..named("short") };
    system.permanent(&admin, short).await;
    let later = CreatePermanentTokenRequest { not_before: in_seconds(600), ..named("later") };
    system.permanent(&admin, later).await;
    let ended = system.permanent(&admin, named("ended")).await.permanent_token.unwrap().id;
    let mut issuer = system.issuer(&admin);
    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id: ended }).await.unwrap();

    let all = ListPermanentTokensRequest { page_size: 2, ..ListPermanentTokensRequest::default() };
    let cases = [
        (all.clone(), vec!["by the user", "short", "later", "ended"]),
        (ListPermanentTokensRequest { created_by: user.id, ..all.clone() }, vec!["by the user"]),
        (ListPermanentTokensRequest { role: "Users".into(), ..all.clone() }, vec!["by the user"]),
        (in_state(&all, PermanentTokenState::Active), vec!["by the user", "short"]),
        (in_state(&all, PermanentTokenState::NotYetValid), vec!["later"]),
        (in_state(&all, PermanentTokenState::Revoked), vec!["ended"]),
        (
            ListPermanentTokensRequest { expires_before: in_seconds(1200), ..all.clone() },
            vec!["short"],
        ),
        (ListPermanentTokensRequest { expires_before: in_seconds(60), ..all.clone() }, vec![]),
    ];
    for (request, expected) in cases {
        let records = list(&mut issuer, request.clone()).await;
        assert_eq!(names(&records), expected, "{request:?}");
    }
}

fn in_state(
    request: &ListPermanentTokensRequest,
    state: PermanentTokenState,
) -> ListPermanentTokensRequest {
    ListPermanentTokensRequest { state: state.into(), ..request.clone() }
}
