//! What callers send to a guarded service, and what must come of it, whatever proxy
//! stands before it: one table, over tokens of every state.

mod judge;
mod outcome;

use prost_types::Timestamp;
use tessera_proto::v1::{
    CreatePermanentTokenRequest, DenialReason, Principal, RevokePermanentTokenRequest,
    UpdateUserRequest,
};
use tessera_shared::clock::{Clock as _, SystemClock};

use crate::{
    ask::{ask_cached, verdict},
    system::{System, named},
    watch::eventually,
};

pub use self::outcome::{INVALID_REQUEST, INVALID_TOKEN, NAMES, NO_TOKEN, OUTAGE, Outcome, SCOPE};

/// A token, and who it speaks for.
pub struct Held {
    /// What its holder presents.
    pub token: String,
    identity: [String; NAMES.len()],
}

/// Tokens of every state, at a service that calls itself `cdn`.
pub struct Cast {
    /// Of an administrator.
    pub good: Held,
    /// An access token of a login.
    pub session: Held,
    /// May not do what `/content/` needs.
    pub narrow: Held,
    /// Good from loopback.
    pub near: Held,
    /// Good from 192.0.2.0/24 alone.
    pub far: String,
    /// Each is refused, for the reason it is called by.
    pub refused: Vec<(&'static str, String)>,
}

impl Cast {
    /// Makes all tokens.
    pub async fn of(system: &System) -> Self {
        let admin = system.admin().await;
        let make = async |request| system.permanent(&admin, request).await.token;
        let with = |name: &str| CreatePermanentTokenRequest { role: NARROW.into(), ..named(name) };
        let soon = Timestamp { seconds: SystemClock.now().seconds() + 4, nanos: 0 };
        let expired =
            make(CreatePermanentTokenRequest { expires_at: Some(soon), ..with("short") }).await;

        let revoked = system.permanent(&admin, with("revoked")).await;
        let id = revoked.permanent_token.unwrap().id;
        let request = RevokePermanentTokenRequest { id };
        system.issuer(&admin).revoke_permanent_token(request).await.unwrap();

        let user = system.user("Engineers").await;
        let orphan = system.permanent(&user.credentials, with("of a disabled user")).await.token;
        let disable = UpdateUserRequest { id: user.id, disabled: Some(true), ..Default::default() };
        system.administration(&admin).update_user(disable).await.unwrap();

        let elsewhere =
            make(CreatePermanentTokenRequest { audiences: vec!["dns".into()], ..with("dns") })
                .await;
        let networks = |cidr: &str| CreatePermanentTokenRequest {
            allowed_cidrs: vec![cidr.into()],
            ..with(cidr)
        };
        let session = system.admin_session().await;
        let good = make(named("good")).await;
        let near = make(networks("127.0.0.0/8")).await;
        let cast = Self {
            session: held(system, session.access_token).await,
            narrow: held(system, make(with("narrow")).await).await,
            near: Held { identity: held_by_name(system, &near).await, token: near },
            far: make(networks("192.0.2.0/24")).await,
            refused: vec![
                ("malformed", "nonsense-of-a-caller-7q4x".into()),
                ("mistyped", format!("{good}0")),
                ("a forged signature", forged(&system.admin_session().await.access_token)),
                ("a refresh token", session.refresh_token),
                ("revoked", revoked.token),
                ("of a disabled user", orphan),
                ("for another audience", elsewhere),
                ("expired", expired.clone()),
            ],
            good: held(system, good).await,
        };
        // One after the other: at the very instant two may differ.
        for verifier in system.verifiers() {
            eventually("the expiry", || async {
                let answer = verifier.clone().verify(ask_cached(&expired)).await;
                let denial = verdict(answer.expect("a verdict").into_inner()).err();
                (denial == Some(DenialReason::Expired)).then_some(())
            })
            .await;
        }
        cast
    }

    /// Every string that must not be found anywhere.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let held = [&self.good, &self.session, &self.narrow, &self.near];
        let held = held.into_iter().map(|held| held.token.as_str());
        let refused = self.refused.iter().map(|(_, token)| token.as_str());
        held.chain(refused).chain([self.far.as_str()])
    }

    /// The table.
    pub fn cases(&self) -> Vec<Case> {
        let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
        let good = &self.good;
        let mut cases = vec![
            Case::new("good", "/", vec![bearer(&good.token)], granted(good)),
            Case::new("the scheme APIKey", "/", vec![raw("apikey", &good.token)], granted(good)),
            Case::new(
                "the scheme in capitals",
                "/",
                vec![raw("BEARER", &good.token)],
                granted(good),
            ),
            Case::new("a session", "/", vec![bearer(&self.session.token)], granted(&self.session)),
            Case::new(
                "scopes that are held",
                "/content/x",
                vec![bearer(&good.token)],
                granted(good),
            ),
            Case::new("from its network", "/", vec![bearer(&self.near.token)], granted(&self.near)),
            Case::new("from elsewhere", "/", vec![bearer(&self.far)], INVALID_TOKEN),
            Case::new(
                "from elsewhere, with a forged X-Forwarded-For",
                "/",
                vec![bearer(&self.far), ("x-forwarded-for", "192.0.2.9".into())],
                INVALID_TOKEN,
            ),
            Case::new("no token", "/", vec![], NO_TOKEN),
            Case::new("no token, forged identity", "/", forgery(), NO_TOKEN),
            Case::new("another scheme", "/", vec![raw("Basic", "YTpi")], NO_TOKEN),
            Case::new("no scheme", "/", vec![("authorization", good.token.clone())], NO_TOKEN),
            Case::new(
                "a scheme alone",
                "/",
                vec![("authorization", "Bearer".into())],
                INVALID_REQUEST,
            ),
            Case::new(
                "an access token as APIKey",
                "/",
                vec![raw("APIKey", &self.session.token)],
                INVALID_REQUEST,
            ),
            Case::new("too narrow", "/content/x", vec![bearer(&self.narrow.token)], SCOPE),
            Case::new(
                "narrow, where that does",
                "/",
                vec![bearer(&self.narrow.token)],
                granted(&self.narrow),
            ),
            Case::new("public, no token", "/healthz", vec![], Outcome::Public),
            Case::new("public, forged identity", "/static/a.css", forgery(), Outcome::Public),
        ];
        cases.extend(self.cases_of_connection());
        let mut spoofed = forgery();
        spoofed.push(bearer(&self.session.token));
        cases.push(Case::new("a session, forged identity", "/", spoofed, granted(&self.session)));
        let refused = self.refused.iter();
        cases.extend(
            refused.map(|(name, token)| Case::new(name, "/", vec![bearer(token)], INVALID_TOKEN)),
        );
        cases
    }
}

/// One row: what a caller sends, and what must come of it.
pub struct Case {
    /// For the reader of a failure.
    pub name: &'static str,
    /// Below this a gRPC method is called; HTTP gets just this.
    pub path: &'static str,
    /// What the caller sends besides.
    pub headers: Vec<(&'static str, String)>,
    /// What must come of it.
    pub outcome: Outcome,
}

impl Case {
    /// A row.
    pub fn new(
        name: &'static str,
        path: &'static str,
        headers: Vec<(&'static str, String)>,
        outcome: Outcome,
    ) -> Self {
        Self { name, path, headers, outcome }
    }
}

const NARROW: &str = "Purge and Prefetch only (API)";

/// What a caller with this token must get.
pub fn granted(held: &Held) -> Outcome {
    Outcome::Granted(held.identity.clone())
}

/// Identity headers that a client makes up.
pub fn forgery() -> Vec<(&'static str, String)> {
    let aliases = ["x_tessera_user", "x-tessera_user", "x.tessera.user", "x-tessera-user~"];
    let forged = NAMES.into_iter().chain(["x-tessera-future"]).chain(aliases);
    let forged = forged.map(|name| (name, "99".to_owned()));
    // One of them twice: both must go.
    forged.chain([("x-tessera-user", "98".to_owned())]).collect()
}

fn raw(scheme: &str, token: &str) -> (&'static str, String) {
    ("authorization", format!("{scheme} {token}"))
}

fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}

async fn held(system: &System, token: String) -> Held {
    let principal = system.verdict(ask_cached(&token)).await.expect("good");
    Held { token, identity: identity(&principal) }
}

async fn held_by_name(system: &System, token: &str) -> [String; NAMES.len()] {
    let mut question = ask_cached(token);
    question.client_address = "127.0.0.1".into();
    identity(&system.verdict(question).await.expect("good"))
}

fn identity(principal: &Principal) -> [String; NAMES.len()] {
    let is_session = principal.session_id != 0;
    let token_id = principal.token_id.to_string();
    [
        principal.account_id.to_string(),
        principal.user_id.to_string(),
        principal.role.clone(),
        principal.scopes.join(" "),
        if is_session { String::new() } else { token_id },
        if is_session { "session" } else { "permanent_token" }.to_owned(),
    ]
}
