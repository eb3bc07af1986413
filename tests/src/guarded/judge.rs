//! Asking a gateway for all that is in the table, and through an outage.

use tonic::Code;

use super::{Case, Cast, INVALID_REQUEST, NO_TOKEN, OUTAGE, Outcome, granted};
use crate::{gateway::Gateway, watch::eventually, wire::Wire};

impl Cast {
    /// What a proxy that tells the verifier of the path and its query can have judged.
    pub fn cases_of_paths(&self) -> Vec<Case> {
        let bearer = ("authorization", format!("Bearer {}", self.good.token));
        let query = "/?access_token=nonsense";
        vec![
            Case::new("a token in the query", query, vec![], INVALID_REQUEST),
            Case::new(
                "one in the query and one good",
                query,
                vec![bearer.clone()],
                INVALID_REQUEST,
            ),
            Case::new("another query", "/?a=1", vec![bearer], granted(&self.good)),
            Case::new("past a public path", "/static/../x", vec![], NO_TOKEN),
            Case::new("past a public path, encoded", "/static/%2e%2e/x", vec![], NO_TOKEN),
        ]
    }

    /// A client names headers in `Connection`, by which a proxy drops them (RFC 9110, section
    /// 7.6.1): those that say who it is must arrive all the same.
    pub(super) fn cases_of_connection(&self) -> Vec<Case> {
        let bearer = || ("authorization", format!("Bearer {}", self.good.token));
        let connection = |names: &str| ("connection", names.to_owned());
        let ours = "X-Tessera-Account,x-tessera-role , X-TESSERA-KIND";
        let more = "x-tessera-user, X-Tessera-Token-Id, x-tessera-scopes";
        let of = |name, mut headers: Vec<_>| {
            headers.push(bearer());
            Case::new(name, "/", headers, granted(&self.good))
        };
        vec![
            of("our names in Connection", vec![connection(more)]),
            of("more of them", vec![connection(ours)]),
            of("all of them, in two", vec![connection(ours), connection(more)]),
            of("beside keep-alive", vec![connection(&format!("keep-alive, {more}"))]),
        ]
    }

    /// The same with an upgrade, for a proxy that passes those on.
    pub fn cases_of_upgrade(&self) -> Vec<Case> {
        let mut cases = self.cases_of_connection();
        for case in &mut cases {
            case.name = "our names in Connection, with an upgrade";
            case.headers.push(("connection", "Upgrade".into()));
            case.headers.push(("upgrade", "websocket".into()));
        }
        cases
    }

    /// Asks for each case in each of these languages. No answer may hold a token.
    pub async fn judge(&self, gateway: &Gateway, wires: &[Wire], cases: &[Case]) {
        for &wire in wires {
            for case in cases.iter().filter(|case| case.is_asked(wire)) {
                let answer = gateway.ask(wire, case.path, &case.headers).await;
                let what = format!("{}, {wire:?}", case.name);
                case.outcome.assert(&answer, &what);
                for secret in self.secrets() {
                    assert!(!answer.all().contains(secret), "{what}: told");
                }
            }
        }
    }

    fn bearer(&self) -> [(&'static str, String); 1] {
        [("authorization", format!("Bearer {}", self.good.token))]
    }

    /// Asks until each says that there is an outage. Until then the verifier may grant from
    /// its memory; it may never deny. What needs no store is told all the while.
    pub async fn watch_the_outage(&self, gateway: &Gateway, wires: &[Wire]) {
        for &wire in wires {
            eventually("an outage", || async {
                let answer = gateway.ask(wire, "/", &self.bearer()).await;
                if answer.reached() {
                    granted(&self.good).assert(&answer, "from memory");
                    return None;
                }
                OUTAGE.assert(&answer, &format!("no store, {wire:?}"));
                Some(())
            })
            .await;
            NO_TOKEN.assert(&gateway.ask(wire, "/", &[]).await, "no token, in an outage");
        }
    }

    /// Asks until each grants again.
    pub async fn watch_the_recovery(&self, gateway: &Gateway, wires: &[Wire]) {
        for &wire in wires {
            eventually("a grant", || async {
                let answer = gateway.ask(wire, "/", &self.bearer()).await;
                if answer.reached() {
                    granted(&self.good).assert(&answer, "after the outage");
                    return Some(());
                }
                OUTAGE.assert(&answer, &format!("not yet, {wire:?}"));
                None
            })
            .await;
        }
    }

    /// Where no verifier is, the gateway says so itself, over HTTP with one of these.
    pub async fn assert_nobody_judges(&self, gateway: &Gateway, wires: &[Wire], statuses: &[u16]) {
        for &wire in wires {
            let answer = gateway.ask(wire, "/", &self.bearer()).await;
            assert!(!answer.reached());
            match answer.grpc {
                None => assert!(statuses.contains(&answer.status), "{answer:?}"),
                Some((code, _)) => assert_eq!(code, Code::Unavailable),
            }
        }
    }
}

impl Case {
    /// A gRPC method has no query, and a path of its own. Only HTTP/1.1 has `Connection`.
    fn is_asked(&self, wire: Wire) -> bool {
        if self.headers.iter().any(|(name, _)| *name == "connection") {
            return wire == Wire::Http1;
        }
        let is_http = self.path.contains('?') || matches!(self.outcome, Outcome::Public);
        wire != Wire::Grpc || !is_http
    }
}
