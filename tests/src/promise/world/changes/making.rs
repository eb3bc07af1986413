//! Making tokens of every kind. Only what arrived is known to be: a token whose answer
//! was lost is in nobody's hands.

use std::sync::Arc;

use prost_types::Timestamp as ProtoTimestamp;
use ring::rand::SystemRandom;
use tessera_proto::v1::{
    CreatePermanentTokenRequest, ExchangeTokenRequest, LoginRequest, RotateSigningKeyRequest,
    WhoAmIRequest,
};
use tessera_shared::{clock::Timestamp, id::TokenId, opaque::Opaque};
use tokio::sync::Mutex;
use tonic::{Response, Status, transport::Channel};

use super::{
    super::{
        super::{
            dice::Dice,
            history::{Kind, Span, millis},
            recorder::Recorder,
        },
        World,
        people::{Held, Present, Token, User, What},
    },
    issuer,
};
use crate::{client::Credentials, system::named};

impl World {
    /// A permanent token, of a role that its owner may give; some soon expire.
    pub(super) async fn make(&self, dice: &mut Dice) {
        let owner = dice.pick(&self.population.users).clone();
        let role = if dice.chance(50) { "" } else { "Purge and Prefetch only (API)" };
        let expires_at = dice.chance(35).then(|| {
            let wall = self.recorder.moment().wall;
            instant(Timestamp::from_millis(wall).after(dice.millis(500..=8_000)))
        });
        let request =
            CreatePermanentTokenRequest { role: role.into(), expires_at, ..named("changing") };
        let made = make_token(&self.recorder, &self.population.channel, &owner, request).await;
        made.into_iter().for_each(|held| self.population.add(held));
    }

    /// A session's access token.
    pub(super) async fn log_in(&self, dice: &mut Dice) {
        let user = dice.pick(&self.population.users).clone();
        let made = login(&self.recorder, &self.population.channel, &user).await;
        made.into_iter().for_each(|held| self.population.add(held));
    }

    /// An access token for a permanent one.
    pub(super) async fn trade(&self, dice: &mut Dice) {
        let token = self.population.find(dice, Held::token);
        let Some(token) = token else { return };
        let plain = token.now.lock().await.plain.clone();
        let presented = Held { number: 0, plain, what: What::Permanent(token) };
        let made = exchange(&self.recorder, &self.population.channel, &presented).await;
        made.into_iter().for_each(|held| self.population.add(held));
    }

    /// A new signing key, which ends nothing: with it and without it, no access token
    /// may ever be denied for its signature.
    pub(super) async fn rotate_key(&self) {
        let note = self.recorder.fault("the signing key is rotated (which is no fault)".to_owned());
        let mut admin = self.administration();
        timed(&self.recorder, admin.rotate_signing_key(RotateSigningKeyRequest::default())).await;
        self.recorder.fault_over(note);
    }

    /// A string of the right form that nobody issued.
    pub(super) fn invent(&self) {
        let rng = SystemRandom::new();
        let now = self.recorder.moment();
        let id = TokenId::new(Timestamp::from_millis(now.wall), &rng).unwrap();
        let plain = Opaque::new("tessera").permanent(id, &rng).unwrap().expose().to_owned();
        let (kind, made) = (Kind::Bogus, Span { start: now.at, end: now.at });
        let credential = self.population.users[0].credential(kind, made, None);
        let number = self.recorder.credential(credential);
        self.population.add(Held { number, plain, what: What::Bogus });
    }
}

/// Makes a permanent token. `None`: refused, or nobody knows.
pub(in super::super) async fn make_token(
    recorder: &Recorder,
    channel: &Channel,
    owner: &Arc<User>,
    request: CreatePermanentTokenRequest,
) -> Option<Held> {
    let mut issuer = issuer(channel, &owner.root);
    let (answer, made) = timed(recorder, issuer.create_permanent_token(request)).await?;
    let record = answer.permanent_token.unwrap();
    let (id, version, role) = (record.id, record.secret_version, recorder.role(&record.role));
    recorder.token(id, role);
    let expires_at = record.expires_at.as_ref().map(millis);
    let kind = Kind::Permanent { token: id, version };
    let number = recorder.credential(owner.credential(kind, made, expires_at));
    let plain = answer.token;
    let now =
        Mutex::new(Present { plain: plain.clone(), version, role, expires_at, is_over: false });
    let what = What::Permanent(Arc::new(Token { id, owner: owner.clone(), now }));
    Some(Held { number, plain, what })
}

/// Trades a permanent token for an access token. `None`: refused, or nobody knows.
pub(in super::super) async fn exchange(
    recorder: &Recorder,
    channel: &Channel,
    presented: &Held,
) -> Option<Held> {
    let token = presented.token()?;
    let mut issuer = issuer(channel, &Credentials::none());
    let request = ExchangeTokenRequest { token: presented.plain.clone() };
    let (answer, made) = timed(recorder, issuer.exchange_token(request)).await?;
    let expires_at = answer.access_expires_at.as_ref().map(millis);
    let kind = Kind::Exchanged { token: token.id };
    let number = recorder.credential(token.owner.credential(kind, made, expires_at));
    Some(Held { number, plain: answer.access_token, what: What::Exchanged { token } })
}

/// Logs a user in. `None`: refused, or nobody knows.
pub(in super::super) async fn login(
    recorder: &Recorder,
    channel: &Channel,
    user: &Arc<User>,
) -> Option<Held> {
    let request = LoginRequest { username: user.username.clone(), password: user.password.clone() };
    let mut nobody = issuer(channel, &Credentials::none());
    let (answer, made) = timed(recorder, nobody.login(request)).await?;
    let plain = answer.access_token;
    let mut issuer = issuer(channel, &Credentials::bearer(&plain));
    let (who, _) = timed(recorder, issuer.who_am_i(WhoAmIRequest {})).await?;
    let id = who.principal?.session_id;
    let expires_at = answer.access_expires_at.as_ref().map(millis);
    let kind = Kind::Session { session: id };
    let number = recorder.credential(user.credential(kind, made, expires_at));
    Some(Held { number, plain, what: What::Session { id, user: user.clone() } })
}

/// What a call answered, and from when to when it ran.
async fn timed<T>(
    recorder: &Recorder,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Option<(T, Span)> {
    let start = recorder.now();
    let answer = call.await;
    let end = recorder.now();
    match answer {
        Ok(answer) => Some((answer.into_inner(), Span { start, end })),
        Err(status) => {
            recorder.complain_of("making", &status);
            None
        }
    }
}

fn instant(at: Timestamp) -> ProtoTimestamp {
    let nanos = i32::try_from(at.millis().rem_euclid(1000)).unwrap() * 1_000_000;
    ProtoTimestamp { seconds: at.seconds(), nanos }
}
