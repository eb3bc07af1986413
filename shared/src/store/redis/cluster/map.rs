//! Which node has which slot.

use std::{ops::RangeInclusive, sync::Arc};

use super::{super::link::Link, super::settings::Endpoint, slots::SLOTS};

const NOBODY: u16 = u16::MAX;

/// The primaries that may be asked, and for what.
pub(super) struct Map {
    pub(super) nodes: Vec<Node>,
    owners: Box<[u16]>,
    /// Why a slot may have no owner.
    pub(super) trouble: Arc<str>,
}

/// A primary.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) link: Arc<Link>,
    /// By what names others may point at it.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) epoch: u64,
    pub(super) slots: Vec<RangeInclusive<u16>>,
    /// A slot whose heartbeat and mark are this node's.
    pub(super) own_slot: Option<u16>,
}

impl Map {
    /// Where several claim a slot, the one with the highest epoch has it: as the
    /// cluster itself decides.
    pub(super) fn new(nodes: Vec<Node>, trouble: Arc<str>) -> Self {
        let mut owners = vec![NOBODY; usize::from(SLOTS)].into_boxed_slice();
        let mut by_epoch: Vec<_> = nodes.iter().enumerate().collect();
        by_epoch.sort_by_key(|(_, node)| node.epoch);
        for (number, node) in by_epoch {
            let number = u16::try_from(number).unwrap_or(NOBODY);
            for slots in &node.slots {
                let slots = usize::from(*slots.start())..=usize::from(*slots.end());
                if let Some(owners) = owners.get_mut(slots) {
                    owners.fill(number);
                }
            }
        }
        Self { nodes, owners, trouble }
    }

    /// Whether every slot has an owner.
    pub(super) fn is_whole(&self) -> bool {
        !self.owners.contains(&NOBODY)
    }

    /// The number of the node that has the slot.
    pub(super) fn owner(&self, slot: u16) -> Option<usize> {
        let owner = self.owners.get(usize::from(slot)).copied();
        owner.filter(|owner| *owner != NOBODY).map(usize::from)
    }

    /// The node at this place.
    pub(super) fn at(&self, endpoint: &Endpoint) -> Option<&Node> {
        self.nodes.iter().find(|node| node.endpoints.contains(endpoint))
    }

    /// Whether it says the same as another.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.trouble == other.trouble
            && self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(|(one, other)| one.is_as(other))
    }
}

impl Node {
    fn is_as(&self, other: &Self) -> bool {
        self.id == other.id
            && Arc::ptr_eq(&self.link, &other.link)
            && self.epoch == other.epoch
            && self.slots == other.slots
            && self.endpoints == other.endpoints
    }
}
