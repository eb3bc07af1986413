//! What all reports together are worth: who is believed, and up to when every change is told.
//!
//! A node is believed when, counted with itself, a majority of the primaries that have
//! slots lists it as a primary and sees nothing wrong with it: for a failover such a
//! majority has to have found it failed, so one of any other majority knows, and for twice as
//! long as a failover may take (`clearNodeFailureIfNeeded` in Redis's cluster.c) also when it is
//! back. So what a replica confirmed before such a majority was asked no failover loses. What is
//! proven is the oldest of what each node proves, and only while those who are believed
//! claim all slots themselves.

use std::{sync::Arc, time::Instant};

use super::{
    map::{Map, Node},
    survey::{CONNECTING, Seen, Survey},
    view::View,
};

impl Survey {
    /// Vouches for each node as of the instant at which enough others had been asked.
    pub(super) fn vouch(&self) {
        let electorate = self.reports().map(|(_, report)| report.view.electorate()).max();
        let others_needed = electorate.unwrap_or(0) / 2;
        for (id, seen) in &self.nodes {
            let (Some((link, _)), Some(report)) = (&seen.link, &seen.report) else { continue };
            let mut asked: Vec<Instant> = self
                .reports()
                .filter(|(other, report)| *other != id && report.view.may_vouch_for(id))
                .map(|(_, report)| report.sent)
                .collect();
            asked.sort_unstable_by(|one, other| other.cmp(one));
            let at = match others_needed {
                0 => Some(report.sent),
                needed => asked.get(needed - 1).copied(),
            };
            if let Some(at) = at.filter(|_| report.view.myself().is_some_and(|it| it.is_well)) {
                link.witness(at);
            }
        }
    }

    /// Lets calls see who may be asked now.
    pub(super) fn publish(&self) {
        let mut nodes: Vec<Node> = self.nodes.iter().filter_map(believed).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        let map = Map::new(nodes, self.trouble.clone());
        // At the start, calls wait for the whole of it.
        if &*self.trouble == CONNECTING && !map.is_whole() {
            return;
        }
        self.shared.map.send_if_modified(|known| {
            let is_new = known.as_ref().is_none_or(|known| !known.is_as(&map));
            if is_new {
                *known = Some(Arc::new(map));
            }
            is_new
        });
    }

    pub(super) fn prove(&mut self) {
        let Some(follower) = self.shared.follower.get() else { return };
        let is_whole = self.shared.map.borrow().as_ref().is_some_and(|map| map.is_whole());
        let proved = self.nodes.iter().map(|seen| believed(seen).and(seen.1.proved));
        let oldest = proved.min().flatten();
        if let Some(instant) = oldest.filter(|oldest| is_whole && self.proven < Some(*oldest)) {
            self.proven = Some(instant);
            follower.changes.proven(instant);
        }
    }
}

impl View {
    /// Whether the node of this view speaks for that one.
    fn may_vouch_for(&self, id: &str) -> bool {
        let votes = self.myself().is_some_and(|myself| myself.is_primary && myself.owns_slots());
        votes && self.of(id).is_some_and(|line| line.is_well)
    }
}

/// The node, if since it was linked it was vouched for.
fn believed((id, seen): (&String, &Seen)) -> Option<Node> {
    let (link, linked_at) = seen.link.as_ref()?;
    let myself = seen.report.as_ref()?.view.myself()?;
    (myself.is_well && link.vouched()? >= *linked_at).then(|| Node {
        id: id.clone(),
        link: link.clone(),
        endpoints: seen.endpoints.clone(),
        epoch: myself.epoch,
        slots: myself.slots.clone(),
        own_slot: myself.highest_slot(),
    })
}
