//! What a store is like, and what about it would break a promise: for the issuer's start
//! and for `tessera doctor`.
//!
//! | module | what lives there |
//! |---|---|
//! | `server` | what a Redis says of itself |
//! | `judgment` | what of that breaks a promise; pure functions |
//! | `replicas` | the same of a primary's replicas |
//! | `rights` | what the user may say, and what it should not |
//! | `folder` | an embedded store's folder and file |
//!
//! Nothing here changes anything in a store. To add a check: a [`Finding`] in
//! `judgment` with what to change, and a line in its test.

mod folder;
mod judgment;
mod replicas;
mod rights;
mod server;

use std::fmt;

use crate::{
    clock::Clock,
    store::{
        OpenError, StoreError, StoreOptions, StoreUrl,
        redis::{Guarantee, Look},
    },
};

/// As whom the store is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The issuer: it writes.
    Issuer,
    /// A verifier: it reads, and notes uses.
    Verifier,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A promise of Tessera does not hold with it.
    Breaks,
    /// What should be known is not.
    Unknown,
    /// It holds now, and may not later.
    Risk,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// Whether acknowledged writes are at stake: those findings the issuer minds at its start.
    pub is_durability: bool,
    /// What was found, and what follows from it.
    pub what: String,
    /// What to change.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Names and what was seen, in the order in which to show them.
pub type Facts = Vec<(&'static str, String)>;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Of a folder, or of each server that takes writes.
    pub places: Vec<Facts>,
    /// What is not as it should be, the worst first.
    pub findings: Vec<Finding>,
}

/// Why a store can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// A setting can't be used.
    #[error(transparent)]
    Setting(#[from] OpenError),
    /// The store gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks at the store that `url` names, as `user` whom `options` and `url` let in.
///
/// # Errors
/// When a setting can't be used or the store gives no answer.
pub async fn survey(
    url: &StoreUrl,
    options: StoreOptions,
    user: User,
    clock: &dyn Clock,
) -> Result<Survey, SurveyError> {
    let mut survey = match url {
        StoreUrl::Embedded(dir) => folder::survey(dir),
        StoreUrl::Redis(url) => {
            let mut survey = Survey::default();
            let mut settings = url.settings(options)?;
            if user == User::Verifier {
                settings.guarantee = Guarantee::default();
            }
            for mut look in Look::at_primaries(&settings).await? {
                survey.join(primary(&mut look, user, clock).await?);
            }
            survey
        }
    };
    survey.findings.sort_by_key(|finding| finding.weight);
    Ok(survey)
}

/// What about the store that `url` names would lose what was acknowledged. An embedded
/// store is durable by itself.
///
/// # Errors
/// As [`survey`].
pub async fn durability(
    url: &StoreUrl,
    options: StoreOptions,
    clock: &dyn Clock,
) -> Result<Vec<Finding>, SurveyError> {
    let StoreUrl::Redis(url) = url else { return Ok(Vec::new()) };
    let mut survey = Survey::default();
    for mut look in Look::at_primaries(&url.settings(options)?).await? {
        let server = server::Server::seen(&mut look, clock).await?;
        let mut findings = judgment::findings(&server, User::Issuer);
        findings.extend(replicas::findings(&mut look, &server, clock).await?);
        survey.join(Survey { findings, ..Survey::default() });
    }
    survey.findings.retain(|finding| finding.is_durability);
    Ok(survey.findings)
}

async fn primary(look: &mut Look, user: User, clock: &dyn Clock) -> Result<Survey, SurveyError> {
    let server = server::Server::seen(look, clock).await?;
    let mut findings = judgment::findings(&server, user);
    if user == User::Issuer {
        findings.extend(replicas::findings(look, &server, clock).await?);
    }
    let rights = rights::Rights::seen(look, user).await?;
    findings.extend(rights.findings(user));
    let mut facts = server.facts();
    facts.push(("rights_checked", rights.checked().to_string()));
    Ok(Survey { places: vec![facts], findings })
}

impl Survey {
    /// Takes up what was seen of one more primary; what is wrong with several is told once.
    fn join(&mut self, of_one: Self) {
        self.places.extend(of_one.places);
        let new = of_one.findings.into_iter().filter(|finding| !self.findings.contains(finding));
        let new: Vec<_> = new.collect();
        self.findings.extend(new);
    }
}
