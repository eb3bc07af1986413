//! Which nodes there are: a link to every primary that some other lists as one.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::AbortHandle,
    time::sleep,
};

use super::{
    Shared,
    attend::{Event, Report, attend},
    view::NodeLine,
};
use crate::store::redis::{
    link::Link,
    settings::{Address, Endpoint},
    tls::Security,
};
use crate::told::Told;

/// Between two questions to the seeds while no node reports.
const PAUSE: Duration = Duration::from_millis(250);
const EVENTS: usize = 64;
/// Nothing has gone wrong yet.
pub(super) const CONNECTING: &str = "connecting";

/// What is known of the cluster.
pub(super) struct Survey {
    pub(super) shared: Arc<Shared>,
    events: Sender<(String, Event)>,
    pub(super) nodes: HashMap<String, Seen>,
    pub(super) trouble: Arc<str>,
    pub(super) proven: Option<Instant>,
    told: Told,
}

/// A node that another lists as a primary.
pub(super) struct Seen {
    task: AbortHandle,
    address: Address,
    pub(super) endpoints: Vec<Endpoint>,
    /// With the instant of its coming.
    pub(super) link: Option<(Arc<Link>, Instant)>,
    pub(super) report: Option<Report>,
    pub(super) proved: Option<Instant>,
}

/// Goes on for ever.
pub(super) async fn survey(shared: Arc<Shared>) {
    let (events, mut happening) = channel(EVENTS);
    let (nodes, trouble) = (HashMap::new(), Arc::from(CONNECTING));
    let told = Told::default();
    let mut survey = Survey { shared, events, nodes, trouble, proven: None, told };
    loop {
        if survey.reports().next().is_none() {
            survey.look_for_nodes(&mut happening).await;
        } else if let Some((id, event)) = happening.recv().await {
            survey.take(&id, event);
        }
        survey.meet_reported();
        survey.vouch();
        survey.publish();
        survey.prove();
    }
}

impl Survey {
    /// With nobody to report, seeds are asked, between events.
    async fn look_for_nodes(&mut self, happening: &mut Receiver<(String, Event)>) {
        let shared = self.shared.clone();
        let patient = !self.nodes.is_empty();
        let asking = async {
            if patient {
                sleep(PAUSE).await;
            }
            let asked = shared.ask_seeds().await;
            if asked.is_err() {
                sleep(PAUSE).await;
            }
            asked
        };
        tokio::select! {
            event = happening.recv() => if let Some((id, event)) = event {
                self.take(&id, event);
            },
            asked = asking => match asked {
                Ok(view) => {
                    let lines = view.nodes.iter().filter(|line| line.is_well);
                    let met: Vec<_> = lines.filter_map(|line| self.met(line)).collect();
                    self.meet(met);
                }
                Err(reason) => {
                    if self.told.is_new(&reason) {
                        tracing::warn!(reason, "no node of the store tells of the cluster; trying on");
                    }
                    self.trouble = reason.into();
                }
            },
        }
    }

    fn take(&mut self, id: &str, event: Event) {
        let Some(seen) = self.nodes.get_mut(id) else { return };
        match event {
            Event::Linked(link) => {
                tracing::info!(store.address = %link.address(), "connected to a node of the store");
                seen.link = Some((link, Instant::now()));
                self.shared.connected.send_modify(|count| *count += 1);
                self.told.forget();
            }
            Event::Reported(report) => {
                if report.proves {
                    seen.proved = Some(report.sent);
                }
                seen.report = Some(report);
            }
            Event::Lost(reason) => {
                (seen.report, seen.proved) = (None, None);
                self.trouble = reason;
                if seen.link.take().is_some() {
                    tracing::warn!(reason = %self.trouble, "lost a node of the store");
                    self.shared.forget();
                } else if self.told.is_new(&self.trouble) {
                    tracing::warn!(reason = %self.trouble, "can't connect to a node of the store; trying on");
                }
            }
        }
    }

    /// What those nodes report that are linked.
    pub(super) fn reports(&self) -> impl Iterator<Item = (&String, &Report)> {
        self.nodes.iter().filter_map(|(id, seen)| Some((id, seen.report.as_ref()?)))
    }

    /// Turns to the primaries that the reports list, and away from others.
    fn meet_reported(&mut self) {
        let alone = self.reports().count() == 1;
        let mut met: HashMap<&String, Met> = HashMap::new();
        for (reporter, report) in self.reports() {
            for line in report.view.nodes.iter().filter(|line| line.is_well) {
                // A node's own word counts where there is no other.
                if (*reporter != line.id || alone) && !met.contains_key(&line.id) {
                    met.extend(self.met(line).map(|node| (&line.id, node)));
                }
            }
        }
        if met.is_empty() {
            return;
        }
        let met: Vec<Met> = met.into_values().collect();
        let (left, shared) = (&met, self.shared.clone());
        self.nodes.retain(|id, seen| {
            let stays = left.iter().any(|met| met.id == *id && same(&met.address, &seen.address));
            if !stays {
                tracing::info!(store.address = %seen.address, "no primary of the store any more");
                if seen.link.is_some() {
                    shared.forget();
                }
            }
            stays
        });
        self.meet(met);
    }

    fn met(&self, line: &NodeLine) -> Option<Met> {
        let known = self.nodes.get(&line.id).map(|seen| seen.endpoints.as_slice());
        let endpoints = line.endpoints();
        // A node that nobody met does not know its own address.
        let endpoints = if endpoints.is_empty() { known?.to_vec() } else { endpoints };
        let preferred = preferred(&endpoints, &self.shared.security)?;
        let address = self.shared.security.address(preferred).ok()?;
        Some(Met { id: line.id.clone(), address, endpoints })
    }

    fn meet(&mut self, met: Vec<Met>) {
        for Met { id, address, endpoints } in met {
            let seen = self.nodes.entry(id.clone()).or_insert_with(|| {
                let attend = attend(self.shared.clone(), id, address.clone(), self.events.clone());
                let task = tokio::spawn(attend).abort_handle();
                Seen {
                    task,
                    address,
                    endpoints: Vec::new(),
                    link: None,
                    report: None,
                    proved: None,
                }
            });
            seen.endpoints = endpoints;
        }
    }
}

/// A primary, as another node tells of it.
struct Met {
    id: String,
    address: Address,
    endpoints: Vec<Endpoint>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
        if let Some((link, _)) = &self.link {
            link.give_up();
        }
    }
}

impl Shared {
    /// What is held may be another by now.
    fn forget(&self) {
        if let Some(follower) = self.follower.get() {
            follower.changes.all_changed();
        }
    }
}

/// By which of a node's endpoints to reach it.
pub(super) fn preferred<'a>(
    endpoints: &'a [Endpoint],
    security: &Security,
) -> Option<&'a Endpoint> {
    match security {
        Security::Plain => endpoints.first(),
        // What is in the certificate, sooner.
        Security::Tls(_) => endpoints.last(),
    }
}

fn same(one: &Address, other: &Address) -> bool {
    one.to_string() == other.to_string()
}
