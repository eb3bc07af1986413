//! Guards services on behalf of their proxies: from the credentials of a request to who
//! it speaks for, or to how it is turned away. `authz` (Envoy) and `forward` (nginx,
//! Caddy, Traefik) are two faces of it.
//!
//! | module | what lives there |
//! |---|---|
//! | `identity` | the headers that tell a service who a request speaks for |
//! | `refusal` | how a request is turned away: status, challenge, what gRPC is told |
//!
//! The question is asked as `Verify` would ask it, with the same limits, from the same
//! memory, under the same staleness bound. To add a header: a row in `identity`.

pub(crate) mod identity;
pub(crate) mod refusal;

use std::{net::IpAddr, time::Duration};

use tessera_proto::v1::{Principal, VerifyRequest};
use tessera_serve::credential::Credential;
use tessera_shared::{examine::Reason, store::StoreError};

use self::{identity::Identity, refusal::Refusal};
use crate::service::{Api, Question, tell_of_a_fault};

/// The query parameter that RFC 6750, section 2.3, has for a token. A URL stands in logs
/// and histories, so a token in it is not taken, as that section advises.
pub(crate) const QUERY_TOKEN: &str = "access_token";

/// What is required of every request of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// The service, as tokens name it; empty: not checked.
    pub(crate) audience: String,
    /// All of these must be held.
    pub(crate) scopes: Vec<String>,
}

impl Demand {
    /// Reads a list of scopes, with spaces or commas between them.
    pub(crate) fn add_scopes(&mut self, list: &str) {
        self.scopes.extend(words(list).map(str::to_owned));
    }
}

/// The words of a list, with spaces or commas between them.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty())
}

/// One request, as a proxy tells of it.
pub(crate) struct Asked<'a> {
    pub(crate) credential: Credential<'a>,
    /// Where it came from, if that is known.
    pub(crate) address: Option<IpAddr>,
    /// Whether its URL has a token in it.
    pub(crate) has_query_token: bool,
}

/// Answers for proxies.
#[derive(Clone)]
pub(crate) struct Guard(pub(crate) Api);

impl Guard {
    /// Who the request speaks for, said before `deadline` is over.
    ///
    /// # Errors
    /// How it is turned away. An outage and a demand that makes no sense are told apart
    /// from a refusal.
    pub(crate) async fn admit(
        &self,
        asked: Asked<'_>,
        demand: &Demand,
        deadline: Duration,
    ) -> Result<Identity, Refusal> {
        let question = VerifyRequest {
            token: asked.credential.token().unwrap_or_default().to_owned(),
            audience: demand.audience.clone(),
            required_scopes: demand.scopes.clone(),
            client_address: asked.address.map(|it| it.to_string()).unwrap_or_default(),
            max_staleness: None,
        };
        // First of all, so that who sets a route up learns of it with any request.
        let question = self.0.question(question).map_err(|wrong| Refusal::wrong_route(&wrong))?;
        if asked.has_query_token {
            return Err(Refusal::InvalidRequest);
        }
        match asked.credential {
            Credential::None => Err(Refusal::NoCredential),
            Credential::Wrong => Err(Refusal::InvalidRequest),
            Credential::Token(_) => self.principal(&question, deadline).await.map(Identity::from),
        }
    }

    /// Who the token of the question speaks for, said before `deadline` is over.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) async fn principal(
        &self,
        question: &Question,
        deadline: Duration,
    ) -> Result<Principal, Refusal> {
        match tokio::time::timeout(deadline, self.0.examine(question)).await {
            Ok(Ok(Ok(principal))) => Ok(principal),
            Ok(Ok(Err(Reason::InsufficientScope))) => {
                Err(Refusal::InsufficientScope(question.required_scopes().to_vec()))
            }
            // To an outsider every other bad token looks the same.
            Ok(Ok(Err(_))) => Err(Refusal::InvalidToken),
            Ok(Err(
                StoreError::Unavailable(_) | StoreError::NotConfirmed(_) | StoreError::Contended,
            )) => Err(Refusal::Outage),
            Ok(Err(error @ StoreError::Damaged(_))) => {
                tell_of_a_fault(&error);
                Err(Refusal::Fault)
            }
            Err(_) => Err(Refusal::Outage),
        }
    }
}

/// Whether the query of this URL, or of this path, has a token in it.
pub(crate) fn has_query_token(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == QUERY_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_a_query_is_found_however_its_name_is_written() {
        for url in [
            "/a?access_token=x",
            "/?b=1&access_token",
            "https://h/?%61ccess_token=",
            "/?access_token=1#f",
        ] {
            assert!(has_query_token(url), "{url}");
        }
        for url in ["/access_token=x", "/?my_access_token=x", "/?b=access_token", "", "/?"] {
            assert!(!has_query_token(url), "{url}");
        }
    }
}
