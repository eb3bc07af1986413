//! Kill -9 at random moments, under load, and what is left afterwards.
//!
//! Writers create, rotate and revoke permanent tokens, and keep what was acknowledged
//! (`ledger`). A process is killed, started again, and every verdict is compared with the
//! ledger; so are the lists, and on Redis the keys themselves. What was never acknowledged
//! may be done or not, but nothing may be half done.

mod ledger;
mod machines;
mod writer;

use std::{collections::HashSet, fmt, future::Future};

use redis::cmd;
use tessera_proto::v1::{ListPermanentTokensRequest, LoginRequest};
use tonic::{Code, Response, Status};

use self::{
    ledger::{Ledger, Losses},
    machines::Machines,
};
use crate::{
    client::{self, Credentials},
    promise::dice::Dice,
    service::ADMIN_PASSWORD,
    system::Backend,
    watch::eventually,
};

/// Writers at the same time: enough that the disk is flushed for several at once.
const WRITERS: usize = 8;
/// The most that a list answers at a time.
const PAGE: i32 = 200;

/// A run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What keeps the records.
    pub backend: Backend,
    /// What the choices follow from.
    pub seed: u64,
    /// How many processes are killed, one after the other.
    pub kills: usize,
}

/// What a run did and what it found; all after `kills` must be 0 but the last.
#[derive(Debug, Default)]
pub struct Tally {
    kills: Vec<(String, usize)>,
    losses: Losses,
    created: usize,
    ended: usize,
    doubtful: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kills: Vec<_> =
            self.kills.iter().map(|(name, kills)| format!("{name} {kills}")).collect();
        write!(
            f,
            "killed: {}; acknowledged: {} creations, {} ends; unknown: {}; {}",
            kills.join(", "),
            self.created,
            self.ended,
            self.doubtful,
            self.losses
        )
    }
}

/// Carries the plan out.
///
/// # Panics
/// When anything was lost, or half of something was left.
pub async fn run(plan: Plan) -> Tally {
    let mut machines = Machines::start(plan.backend).await;
    let mut dice = Dice::new(plan.seed, 0);
    let request = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    let mut issuer = client::issuer(machines.issuer(), &Credentials::none());
    let session = issuer.login(request).await.expect("a session").into_inner();
    let admin = Credentials::bearer(&session.access_token);

    let mut tally = Tally::default();
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(|_| Ledger::default()).collect();
    for round in 0..plan.kills {
        let writing: Vec<_> = ledgers
            .drain(..)
            .enumerate()
            .map(|(number, ledger)| {
                let task = (round * WRITERS + number + 1) as u64;
                writer::start(machines.issuer(), admin.clone(), ledger, Dice::new(plan.seed, task))
            })
            .collect();
        // The moment is what is random here; there is nothing to watch.
        tokio::time::sleep(dice.millis(0..=400)).await;
        let name = machines.kill_one(&mut dice).await;
        count(&mut tally.kills, &name);
        for writer in writing {
            ledgers.push(writer.end().await);
        }
        let losses = losses(&mut machines, &ledgers, &admin).await;
        assert!(losses.none(), "after {round} kills, the last of {name}: {losses}; {plan:?}");
        tally.losses.add(&losses);
    }
    tally.created = ledgers.iter().map(|ledger| ledger.created).sum();
    tally.ended = ledgers.iter().map(|ledger| ledger.ended.len()).sum();
    tally.doubtful = ledgers.iter().map(|ledger| ledger.doubtful).sum();
    assert!(tally.created > 0 && tally.ended > 0, "nothing was tried: {tally}");
    tally
}

fn count(kills: &mut Vec<(String, usize)>, name: &str) {
    match kills.iter_mut().find(|(known, _)| known == name) {
        Some((_, kills)) => *kills += 1,
        None => kills.push((name.to_owned(), 1)),
    }
}

async fn losses(machines: &mut Machines, ledgers: &[Ledger], admin: &Credentials) -> Losses {
    let mut losses = Losses::default();
    let verifier = client::verifier(machines.verifier());
    for ledger in ledgers {
        losses.add(&ledger.compare(&verifier).await);
    }
    let listed = listed(machines, admin).await;
    let ids: HashSet<i64> = listed.iter().copied().collect();
    let acknowledged: Vec<i64> = ledgers.iter().flat_map(|it| it.good.keys().copied()).collect();
    losses.unlisted = acknowledged.iter().filter(|id| !ids.contains(id)).count();
    losses.duplicate_ids = listed.len() - ids.len() + acknowledged.len()
        - acknowledged.iter().collect::<HashSet<_>>().len();
    losses.half_made = half_made(machines, &ids).await;
    losses
}

/// What a call answers once no outage is in its way: after a kill -9 of the store, a service
/// that still serves may have no connection for a moment.
async fn answered<T, F, Fut>(what: &str, call: F) -> T
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let answer = eventually(what, || async {
        match call().await {
            Err(status) if status.code() == Code::Unavailable => None,
            answer => Some(answer),
        }
    });
    match answer.await {
        Ok(answer) => answer.into_inner(),
        Err(status) => panic!("{what}: {status:?}"),
    }
}

/// All tokens of the account, as its administrator sees them.
async fn listed(machines: &Machines, admin: &Credentials) -> Vec<i64> {
    let issuer = client::issuer(machines.issuer(), admin);
    let mut request =
        ListPermanentTokensRequest { page_size: PAGE, ..ListPermanentTokensRequest::default() };
    let mut ids = Vec::new();
    loop {
        let page = answered("a list", || {
            let (mut issuer, request) = (issuer.clone(), request.clone());
            async move { issuer.list_permanent_tokens(request).await }
        });
        let page = page.await;
        ids.extend(page.permanent_tokens.iter().map(|token| token.id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

/// Records that are there and in no list: nobody could end them.
async fn half_made(machines: &mut Machines, listed: &HashSet<i64>) -> usize {
    let Some(redis) = machines.redis() else { return 0 };
    let mut connection = redis.connection().await;
    let names: Vec<String> =
        cmd("KEYS").arg("tessera:t:*").query_async(&mut connection).await.unwrap();
    let ids = names.iter().map(|name| name["tessera:t:".len()..].parse::<i64>().unwrap());
    ids.filter(|id| !listed.contains(id)).count()
}
