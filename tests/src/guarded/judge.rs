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
    /// A gRPC method has no query, and a path of its own.
    fn is_asked(&self, wire: Wire) -> bool {
        let is_http = self.path.contains('?') || matches!(self.outcome, Outcome::Public);
        wire != Wire::Grpc || !is_http
    }
}
