//! Trading a permanent token for a short-lived access token.

use tessera_shared::{
    clock::Timestamp,
    examine::{Question, Verdict},
    jwt::AccessClaims,
    opaque::Form,
    record::{PermanentToken, User},
    store::{Key, records},
};

use crate::{
    core::{Core, damaged_id},
    failure::Failure,
};

impl Core {
    /// An access token for what `plain` may do, from where it may do it, for no longer than it lasts.
    pub(crate) async fn exchange(
        &self,
        plain: &str,
        question: &Question,
    ) -> Result<(String, Timestamp), Failure> {
        let now = self.now();
        // Read before the examination: a change after this makes the version too low.
        let Some(Form::Permanent(presented)) = self.opaque.parse(plain) else {
            return Err(Failure::CredentialsInvalid);
        };
        let token: Option<PermanentToken> =
            records::load(&*self.store, presented.id.into()).await?;
        let token = token.ok_or(Failure::CredentialsInvalid)?;
        let user = token.user.try_into().map(Key::User);
        let user = user.map_err(|_| damaged_id())?;
        let user: Option<User> = records::load(&*self.store, user).await?;
        let user = user.ok_or(Failure::CredentialsInvalid)?;
        let Verdict::Granted(principal) = self.examine(plain, question).await? else {
            return Err(Failure::CredentialsInvalid);
        };
        let secret = token.secret(&presented.hash).ok_or(Failure::CredentialsInvalid)?;
        let own_end = principal.expires_at.unwrap_or(Timestamp::NEVER).min(secret.replaced_at);
        let signing = self.signing().await?;
        let expires_at = now.after(self.policy.access_ttl).min(own_end);
        let access = signing.sign(&AccessClaims {
            issuer: signing.issuer().to_owned(),
            user: principal.user,
            account: principal.account,
            proof: principal.proof,
            user_version: user.version,
            token_version: Some(token.version),
            secret_version: (secret.version > 1).then_some(secret.version),
            audiences: principal.audiences,
            issued_at: now,
            expires_at,
            not_before: None,
            jti: self.jti(now)?,
            role: principal.role,
            scope: principal.scopes.to_claim(),
            name: principal.name,
            allowed_cidrs: token.allowed_cidrs,
        })?;
        Ok((access, Timestamp::from_millis(expires_at.seconds() * 1000)))
    }
}
