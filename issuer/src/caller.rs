//! Who calls: the credentials in metadata, examined as the verifier would.

mod limits;

use std::net::{IpAddr, SocketAddr};

use tessera_shared::{
    examine::{Question, Verdict},
    id::{AccountId, SessionId, TokenId, UserId},
    jwt,
    principal::{Principal, Proof},
    record::PermanentToken,
    role::{ADMIN_SCOPE, Role, ScopeSet},
    store::records,
};
use tonic::{Extensions, metadata::MetadataMap, transport::server::TcpConnectInfo};

pub(crate) use self::limits::Limits;
use crate::{core::Core, failure::Failure};

/// A principal that proved itself for this call.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The other end of the connection, if it is known.
    pub(crate) address: Option<IpAddr>,
    /// Those of the permanent token behind the call; `None`: a session.
    pub(crate) limits: Option<Limits>,
}

impl Caller {
    pub(crate) const fn account(&self) -> AccountId {
        self.principal.account
    }

    pub(crate) const fn user(&self) -> UserId {
        self.principal.user
    }

    /// The caller's session.
    pub(crate) const fn session(&self) -> Result<SessionId, Failure> {
        match self.principal.proof {
            Proof::Session(id) => Ok(id),
            Proof::PermanentToken(_) => Err(Failure::SessionRequired),
        }
    }

    /// The permanent token behind the call, if it is one.
    pub(crate) const fn token(&self) -> Option<TokenId> {
        self.principal.proof.token()
    }

    /// Whether the caller administers anything.
    pub(crate) fn is_admin(&self) -> bool {
        self.principal.scopes.contains(ADMIN_SCOPE)
    }

    /// Whether the caller administers `account`: its own, or all if it is of the first.
    pub(crate) fn administers(&self, account: AccountId) -> bool {
        self.is_admin() && (self.account() == account || self.account() == AccountId::FIRST)
    }

    /// Whether the caller administers every account.
    pub(crate) fn administers_all(&self) -> bool {
        self.is_admin() && self.account() == AccountId::FIRST
    }

    /// Refuses a role with a scope that the caller has not.
    pub(crate) fn may_give(&self, role: &Role) -> Result<(), Failure> {
        self.may_have(&role.scopes)
    }

    /// Refuses scopes of which the caller has not all.
    pub(crate) fn may_have(&self, scopes: &ScopeSet) -> Result<(), Failure> {
        let within = scopes.is_within(&self.principal.scopes);
        if within { Ok(()) } else { Err(Failure::RoleAboveCaller) }
    }
}

impl Core {
    /// The caller of a request with this metadata and these extensions.
    pub(crate) async fn caller(
        &self,
        metadata: &MetadataMap,
        extensions: &Extensions,
    ) -> Result<Caller, Failure> {
        let question = Question {
            client_address: peer(extensions).map(|peer| peer.ip()),
            ..Question::default()
        };
        let credentials = credentials(metadata)?;
        let verdict = self.examine(credentials, &question).await?;
        let Verdict::Granted(principal) = verdict else {
            return Err(Failure::CredentialsInvalid);
        };
        let limits = match principal.proof {
            Proof::Session(_) => None,
            Proof::PermanentToken(id) => {
                let token: Option<PermanentToken> = records::load(&*self.store, id.into()).await?;
                let token = token.ok_or(Failure::CredentialsInvalid)?;
                let until = principal.expires_at.filter(|_| jwt::looks_like_jwt(credentials));
                Some(Limits::of(&token, principal.secret_version).exchanged(until))
            }
        };
        Ok(Caller { principal: *principal, address: question.client_address, limits })
    }
}

/// The token in `authorization`: `Bearer` or `APIKey`, in any letter case (RFC 9110, section 11.1).
pub(crate) fn credentials(metadata: &MetadataMap) -> Result<&str, Failure> {
    let mut values = metadata.get_all("authorization").iter();
    let value = values.next().ok_or(Failure::CredentialsMissing)?;
    if values.next().is_some() {
        return Err(Failure::CredentialsInvalid);
    }
    let value = value.to_str().map_err(|_| Failure::CredentialsInvalid)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or(Failure::CredentialsInvalid)?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    // A permanent token has no dot, and an access token is a bearer token alone.
    let is_api_key = scheme.eq_ignore_ascii_case("apikey") && !token.contains('.');
    if is_bearer || is_api_key { Ok(token.trim()) } else { Err(Failure::CredentialsInvalid) }
}

/// The address at the other end of the connection.
pub(crate) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    use tonic::transport::server::TlsConnectInfo;
    let tls = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
    extensions
        .get::<TcpConnectInfo>()
        .and_then(TcpConnectInfo::remote_addr)
        .or_else(|| tls().and_then(|info| info.get_ref().remote_addr()))
}
