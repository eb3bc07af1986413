//! Changing and ending: what verifiers must hear of.

use std::{sync::Arc, time::Duration};

use tessera_proto::v1::{
    EndUserSessionsRequest, LogoutRequest, RevokePermanentTokenRequest,
    RotatePermanentTokenRequest, UpdateAccountRequest, UpdatePermanentTokenRequest,
    UpdateUserRequest,
};
use tokio::{sync::MutexGuard, time::sleep};

use super::super::{
    super::{
        dice::Dice,
        history::{Act, Kind, RoleNumber, Span},
    },
    World,
    people::{Held, Present, Token, User, What},
};
use crate::client::Credentials;

impl World {
    pub(super) async fn revoke(&self, dice: &mut Dice) {
        let Some(token) = self.population.find(dice, Held::token) else { return };
        let Ok(present) = token.now.try_lock() else { return };
        self.revoke_this(&token, present).await;
    }

    async fn revoke_this(&self, token: &Token, mut present: MutexGuard<'_, Present>) {
        if std::mem::replace(&mut present.is_over, true) {
            return;
        }
        let id = token.id;
        self.population.heat(|held| held.token_id() == Some(id));
        let admin = self.population.admin.clone();
        self.persist(Act::Revoke { token: id }, || {
            let mut issuer = self.issuer(&admin);
            async move { issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await }
        })
        .await;
    }

    /// A new secret with no overlap, by the token itself. After a lost answer the old
    /// secret may be no credentials any more: then the token is revoked.
    pub(super) async fn rotate(&self, dice: &mut Dice) {
        let Some(token) = self.population.find(dice, Held::token) else { return };
        let Ok(mut present) = token.now.try_lock() else { return };
        if present.is_over {
            return;
        }
        self.population.heat(|held| held.token_id() == Some(token.id));
        let credentials = Credentials::api_key(&present.plain);
        let start = self.recorder.now();
        let act = Act::Rotate { token: token.id, up_to: present.version };
        let rotated =
            self.persist(act, || {
                let mut issuer = self.issuer(&credentials);
                async move {
                    issuer.rotate_permanent_token(RotatePermanentTokenRequest::default()).await
                }
            });
        let Some(rotated) = rotated.await else {
            return self.revoke_this(&token, present).await;
        };
        let made = Span { start, end: self.recorder.now() };
        let version = rotated.permanent_token.unwrap().secret_version;
        (present.version, present.plain) = (version, rotated.token.clone());
        let kind = Kind::Permanent { token: token.id, version };
        let credential = token.owner.credential(kind, made, present.expires_at);
        let number = self.recorder.credential(credential);
        let what = What::Permanent(token.clone());
        self.population.add(Held { number, plain: rotated.token, what });
    }

    pub(super) async fn change_token_role(&self, dice: &mut Dice) {
        let Some(token) = self.population.find(dice, Held::token) else { return };
        let Ok(mut present) = token.now.try_lock() else { return };
        if present.is_over {
            return;
        }
        let (id, role) = (token.id, self.another(dice, present.role));
        self.population.heat(|held| held.token_id() == Some(id));
        let (admin, name) = (self.population.admin.clone(), self.recorder.role_name(role));
        let updated = self.persist(Act::TokenRole { token: id, role }, || {
            let mut issuer = self.issuer(&admin);
            let request =
                UpdatePermanentTokenRequest { id, role: name.clone(), ..Default::default() };
            async move { issuer.update_permanent_token(request).await }
        });
        match updated.await {
            Some(_) => present.role = role,
            // It has expired, and whether it got the role is not known.
            None => present.is_over = true,
        }
    }

    pub(super) async fn change_user_role(&self, dice: &mut Dice) {
        let user = dice.pick(&self.population.users).clone();
        let Ok(mut present) = user.role.try_lock() else { return };
        let role = self.another(dice, *present);
        let name = self.recorder.role_name(role);
        let act = Act::UserRole { user: user.id, role };
        self.update_user(&user, act, UpdateUserRequest { role: name, ..Default::default() }).await;
        *present = role;
    }

    pub(super) async fn disable_user_for_a_while(&self, dice: &mut Dice) {
        let user = dice.pick(&self.population.users).clone();
        // Held all the while: nothing else is done to the user.
        let Ok(_present) = user.role.try_lock() else { return };
        for disabled in [true, false] {
            let act = Act::UserState { user: user.id, disabled };
            let request = UpdateUserRequest { disabled: Some(disabled), ..Default::default() };
            self.update_user(&user, act, request).await;
            if disabled {
                sleep(self.a_while(dice)).await;
            }
        }
    }

    async fn update_user(&self, user: &User, act: Act, request: UpdateUserRequest) {
        self.heat_user(user);
        let request = UpdateUserRequest { id: user.id, ..request };
        let done = self.persist(act, || {
            let (mut admin, request) = (self.administration(), request.clone());
            async move { admin.update_user(request).await }
        });
        assert!(done.await.is_some(), "{act:?} was refused");
    }

    pub(super) async fn disable_account_for_a_while(&self, dice: &mut Dice) {
        let account = dice.pick(&self.population.accounts).clone();
        let Ok(_held) = account.lock.try_lock() else { return };
        let id = account.id;
        for disabled in [true, false] {
            self.population.heat(|held| held.user().is_some_and(|user| user.account.id == id));
            let act = Act::AccountState { account: id, disabled };
            let disabling = Some(disabled);
            let done = self.persist(act, || {
                let request =
                    UpdateAccountRequest { id, disabled: disabling, ..Default::default() };
                let mut admin = self.administration();
                async move { admin.update_account(request).await }
            });
            assert!(done.await.is_some(), "{act:?} was refused");
            if disabled {
                sleep(self.a_while(dice)).await;
            }
        }
    }

    /// Ends one session, or all of its user's.
    pub(super) async fn log_out(&self, dice: &mut Dice) {
        let found = self.population.find(dice, |held| match &held.what {
            What::Session { id, user } => Some((*id, user.clone(), held.plain.clone())),
            _ => None,
        });
        let Some((session, user, plain)) = found else { return };
        self.heat_user(&user);
        let all = dice.chance(30);
        let act = if all { Act::LogoutAll { user: user.id } } else { Act::Logout { session } };
        let credentials = Credentials::bearer(&plain);
        self.persist(act, || {
            let mut issuer = self.issuer(&credentials);
            async move { issuer.logout(LogoutRequest { all }).await }
        })
        .await;
    }

    pub(super) async fn end_sessions(&self, dice: &mut Dice) {
        let user: &Arc<User> = dice.pick(&self.population.users);
        let id = user.id;
        self.heat_user(user);
        self.persist(Act::EndSessions { user: id }, || {
            let mut admin = self.administration();
            async move { admin.end_user_sessions(EndUserSessionsRequest { id }).await }
        })
        .await;
    }

    fn heat_user(&self, user: &User) {
        self.population.heat(|held| held.user().is_some_and(|other| other.id == user.id));
    }

    /// A role other than this one.
    fn another(&self, dice: &mut Dice, role: RoleNumber) -> RoleNumber {
        let count = self.recorder.roles();
        (role + 1 + dice.below(count - 1)) % count
    }

    /// From less than the bound to a few times of it.
    fn a_while(&self, dice: &mut Dice) -> Duration {
        self.plan.bound * u32::try_from(dice.below(30)).unwrap() / 10
    }
}
