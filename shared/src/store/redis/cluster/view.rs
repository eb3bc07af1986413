//! What one node says of the cluster: `CLUSTER NODES`.

use std::ops::RangeInclusive;

use super::super::settings::Endpoint;

/// The nodes that a node knows, itself included.
#[derive(Debug)]
pub(super) struct View {
    pub(super) nodes: Vec<NodeLine>,
}

/// What is said of one node.
#[derive(Debug)]
pub(super) struct NodeLine {
    pub(super) id: String,
    pub(super) address: Option<Endpoint>,
    pub(super) hostname: Option<String>,
    pub(super) is_myself: bool,
    pub(super) is_primary: bool,
    /// A primary of which nothing bad is known: not even that it may have failed.
    pub(super) is_well: bool,
    pub(super) epoch: u64,
    pub(super) slots: Vec<RangeInclusive<u16>>,
    /// Slots are on their way to it.
    pub(super) imports: bool,
}

impl View {
    /// `None`: it is no such answer.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let nodes: Option<Vec<_>> = text.lines().map(NodeLine::parse).collect();
        nodes.filter(|nodes| !nodes.is_empty()).map(|nodes| Self { nodes })
    }

    /// What the node says of itself.
    pub(super) fn myself(&self) -> Option<&NodeLine> {
        self.nodes.iter().find(|node| node.is_myself)
    }

    /// How many primaries take part in elections, those that failed included.
    pub(super) fn electorate(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_primary && node.owns_slots()).count()
    }

    /// What it says of another, or of itself.
    pub(super) fn of(&self, id: &str) -> Option<&NodeLine> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

impl NodeLine {
    /// `<id> <ip:port@cport[,hostname]> <flags> <primary> <ping> <pong> <epoch> <link> <slot> …`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next()?.to_owned();
        let mut places = words.next()?.split(',');
        let address = places.next()?.split('@').next().and_then(|address| {
            let (host, port) = address.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some(Endpoint { host: host.to_owned(), port })
        });
        let hostname = places.next().filter(|name| !name.is_empty() && !name.contains('='));
        let flags: Vec<&str> = words.next()?.split(',').collect();
        let bad = ["fail?", "fail", "handshake", "noaddr"];
        let is_primary = flags.contains(&"master");
        let epoch = words.nth(3)?.parse().ok()?;
        let (mut slots, mut imports) = (Vec::new(), false);
        for word in words.skip(1) {
            match word.strip_prefix('[') {
                Some(moving) => imports |= moving.contains("-<-"),
                None => slots.push(range(word)?),
            }
        }
        Some(Self {
            id,
            address: address.filter(|address| !address.host.is_empty()),
            hostname: hostname.map(str::to_owned),
            is_myself: flags.contains(&"myself"),
            is_primary,
            is_well: is_primary && !flags.iter().any(|flag| bad.contains(flag)),
            epoch,
            slots,
            imports,
        })
    }

    /// Where it can be reached: its address, and the host name that it announces.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let named = self.hostname.clone().zip(self.address.as_ref());
        let named = named.map(|(host, address)| Endpoint { host, port: address.port });
        self.address.iter().cloned().chain(named).collect()
    }

    /// Whether it takes part in elections.
    pub(super) fn owns_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The highest of its slots: tools move the lowest first, so that it stays longest.
    pub(super) fn highest_slot(&self) -> Option<u16> {
        self.slots.iter().map(|slots| *slots.end()).max()
    }
}

fn range(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis 7.0.15 answers, and one line with a host name.
    const NODES: &str = "\
07c37df 127.0.0.1:30004@31004 slave e7d1eec 0 1426238317239 4 connected
67ed2db 127.0.0.1:30002@31002,redis-1.local master - 0 1426238316232 2 connected 5461-10922
292f8b3 127.0.0.1:30003@31003 master,fail? - 0 1426238318243 3 connected 10923-16383
6ec2392 :0@0 master,noaddr - 0 1426238318243 3 disconnected
e7d1eec ::1:30001@31001 myself,master - 0 0 17 connected 0-5458 5460 [93-<-292f8b3] [77->-67ed2db]
";

    #[test]
    fn nodes_are_read_as_they_are_told() {
        let view = View::parse(NODES).unwrap();
        let myself = view.myself().unwrap();
        assert_eq!((myself.id.as_str(), myself.epoch), ("e7d1eec", 17));
        assert_eq!(myself.address, Some(Endpoint { host: "::1".into(), port: 30001 }));
        assert_eq!((&myself.slots[..], myself.imports), (&[0..=5458, 5460..=5460][..], true));
        assert_eq!(myself.highest_slot(), Some(5460));
        let other = view.of("67ed2db").unwrap();
        assert_eq!((other.hostname.as_deref(), other.is_well), (Some("redis-1.local"), true));
        assert_eq!(view.electorate(), 3);
        let well = view.nodes.iter().filter(|node| node.is_well);
        assert_eq!(well.map(|node| node.id.as_str()).collect::<Vec<_>>(), ["67ed2db", "e7d1eec"]);
        assert_eq!(view.of("6ec2392").unwrap().address, None);
    }

    #[test]
    fn what_is_no_such_answer_is_not_read_as_one() {
        for text in ["", "OK", "a b c", "id 1.2.3.4:1@2 master - 0 0 x connected"] {
            assert!(View::parse(text).is_none(), "{text}");
        }
    }
}
