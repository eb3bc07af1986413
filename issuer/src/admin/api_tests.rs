//! The service over the domain: who is let in, and what the messages say.

use prost_types::FieldMask;
use tessera_proto::v1::{self, admin_service_server::AdminService};
use tonic::{Code, Request, Status};

use super::testing::{tenant, user};
use crate::{
    service::admin::AdminApi,
    testing::{Issuer, PASSWORD, START},
};

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn started() -> (Issuer, AdminApi, String) {
    let issuer = Issuer::start().await;
    let token = issuer.login("admin").await.unwrap().access;
    let api = AdminApi(issuer.core.clone());
    (issuer, api, token)
}

/// The code of every call of the service with an empty message.
async fn codes(api: &AdminApi, token: Option<&str>) -> Vec<(&'static str, Code)> {
    fn request<T: Default>(token: Option<&str>) -> Request<T> {
        token.map_or_else(|| Request::new(T::default()), |token| by(token, T::default()))
    }
    macro_rules! codes_of {
        ($($rpc:ident),* $(,)?) => {
            vec![$((stringify!($rpc), code(api.$rpc(request(token)).await))),*]
        };
    }
    codes_of![
        create_account,
        get_account,
        list_accounts,
        update_account,
        create_user,
        get_user,
        list_users,
        update_user,
        set_user_password,
        end_user_sessions,
        list_roles,
        list_signing_keys,
        rotate_signing_key,
        retire_signing_key,
    ]
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

#[tokio::test]
async fn every_call_needs_an_administrators_credentials() {
    let (issuer, api, admin) = started().await;
    user(&issuer, "anna", "Users").await;
    let anna = issuer.login("anna").await.unwrap().access;
    for (token, expected) in [
        (None, Code::Unauthenticated),
        (Some("nonsense"), Code::Unauthenticated),
        (Some(anna.as_str()), Code::PermissionDenied),
    ] {
        for (rpc, code) in codes(&api, token).await {
            assert_eq!(code, expected, "{rpc} by {token:?}");
        }
    }
    let let_in = [Code::Ok, Code::InvalidArgument];
    for (rpc, code) in codes(&api, Some(&admin)).await {
        assert!(let_in.contains(&code), "{rpc}: {code}");
    }
}

#[tokio::test]
async fn a_key_is_published_and_goes_again() {
    let (_issuer, api, admin) = started().await;
    let rotate = |algorithm: &str| {
        by(&admin, v1::RotateSigningKeyRequest { algorithm: algorithm.to_owned() })
    };
    assert_eq!(code(api.rotate_signing_key(rotate("HS256")).await), Code::InvalidArgument);
    let made = api.rotate_signing_key(rotate("EdDSA")).await.unwrap().into_inner();
    let made = made.signing_key.unwrap();
    assert_eq!((made.algorithm.as_str(), made.state()), ("EdDSA", v1::SigningKeyState::Published));
    let (created_at, signs_at) = (made.created_at.unwrap(), made.signs_at.unwrap());
    assert_eq!(signs_at.seconds - created_at.seconds, 40);
    assert_eq!((made.retired_at, made.verifies_until, made.imported), (None, None, false));
    let other = api.rotate_signing_key(rotate("")).await.map(drop).unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);

    let retire =
        |kid: &str| by(&admin, v1::RetireSigningKeyRequest { kid: kid.into(), now: false });
    let gone = api.retire_signing_key(retire(&made.kid)).await.unwrap().into_inner();
    assert_eq!(gone.signing_key.unwrap().state(), v1::SigningKeyState::Gone);
    assert_eq!(gone.successor, None);
    assert_eq!(code(api.retire_signing_key(retire(&made.kid)).await), Code::NotFound);
    assert_eq!(code(api.retire_signing_key(retire("k")).await), Code::InvalidArgument);
}

#[tokio::test]
async fn a_user_answers_as_it_was_made_and_without_its_password() {
    let (_issuer, api, admin) = started().await;
    let wanted = v1::CreateUserRequest {
        account_id: 0,
        username: "Anna".to_owned(),
        password: PASSWORD.to_owned(),
        role: "Engineers".to_owned(),
    };
    let made = api.create_user(by(&admin, wanted)).await.unwrap().into_inner().user.unwrap();
    let seconds = START.seconds();
    let expected = v1::User {
        id: made.id,
        account_id: 1,
        username: "anna".to_owned(),
        role: "Engineers".to_owned(),
        disabled: false,
        created_at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
    };
    assert_eq!(made, expected);
    let found = api.get_user(by(&admin, v1::GetUserRequest { id: made.id })).await.unwrap();
    assert_eq!(found.into_inner().user, Some(expected));
}

#[tokio::test]
async fn an_update_without_a_mask_changes_what_is_set() {
    let (issuer, api, admin) = started().await;
    let id = user(&issuer, "anna", "Users").await.get();
    let update = |role: &str, disabled, paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
        by(&admin, v1::UpdateUserRequest { id, role: role.to_owned(), disabled, update_mask })
    };
    let user = api.update_user(update("", Some(true), &[])).await.unwrap().into_inner().user;
    let user = user.unwrap();
    assert_eq!((user.role.as_str(), user.disabled), ("Users", true));
    let user = api.update_user(update("Engineers", None, &[])).await.unwrap().into_inner().user;
    let user = user.unwrap();
    assert_eq!((user.role.as_str(), user.disabled), ("Engineers", true));
    let masked = update("Users", Some(false), &["disabled"]);
    let user = api.update_user(masked).await.unwrap().into_inner().user.unwrap();
    assert_eq!((user.role.as_str(), user.disabled), ("Engineers", false));
    for wrong in [update("", None, &[]), update("", Some(true), &["username"])] {
        assert_eq!(code(api.update_user(wrong).await), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn account_zero_is_the_callers_and_pages_follow_their_tokens() {
    let (issuer, api, admin) = started().await;
    let (account, _) = tenant(&issuer).await;
    let own = v1::GetAccountRequest { id: 0 };
    let own = api.get_account(by(&admin, own)).await.unwrap().into_inner().account.unwrap();
    assert_eq!((own.id, own.disabled), (1, false));
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListAccountsRequest { page_size: 1, page_token };
        let page = api.list_accounts(by(&admin, request)).await.unwrap().into_inner();
        listed.extend(page.accounts.into_iter().map(|account| account.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, [1, account.get()]);
    let users = v1::ListUsersRequest { account_id: account.get(), ..Default::default() };
    let users = api.list_users(by(&admin, users)).await.unwrap().into_inner().users;
    let names: Vec<_> = users.iter().map(|user| user.username.as_str()).collect();
    assert_eq!(names, ["tenant"]);
    let wrong = v1::ListAccountsRequest { page_size: -1, page_token: String::new() };
    assert_eq!(code(api.list_accounts(by(&admin, wrong)).await), Code::InvalidArgument);
}

#[tokio::test]
async fn roles_and_public_keys_are_listed_and_nothing_private() {
    let (_issuer, api, admin) = started().await;
    let roles = api.list_roles(by(&admin, v1::ListRolesRequest {})).await.unwrap();
    let ids: Vec<_> = roles.into_inner().roles.iter().map(|role| role.id).collect();
    assert_eq!(ids, [1, 2, 5, 3009, 3022]);
    let keys = api.list_signing_keys(by(&admin, v1::ListSigningKeysRequest {})).await.unwrap();
    let keys = keys.into_inner().signing_keys;
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!((key.algorithm.as_str(), key.state()), ("ES256", v1::SigningKeyState::Signing));
    let jwk: serde_json::Value = serde_json::from_str(&key.public_jwk).unwrap();
    assert_eq!((&jwk["kty"], &jwk["crv"]), (&"EC".into(), &"P-256".into()));
    assert!(jwk["x"].is_string() && jwk["y"].is_string());
    assert!(jwk.get("d").is_none(), "the private part stays where it is");
}
