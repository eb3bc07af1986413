//! The example tokens of the RFCs, as they stand there.

use serde::Deserialize;
use tessera_proto::v1::DenialReason;

use super::Case;

const PUBLISHED: &str = include_str!("published.json");

#[derive(Deserialize)]
struct Published {
    name: &'static str,
    source: &'static str,
    denial: String,
    token: String,
}

pub(super) fn cases() -> Vec<Case> {
    let published: Vec<Published> = serde_json::from_str(PUBLISHED).unwrap();
    let case = |one: Published| {
        let reason = format!("DENIAL_REASON_{}", one.denial);
        let denial = DenialReason::from_str_name(&reason).expect("a reason of the contract");
        Case::new(format!("{}: {}", one.source, one.name), one.source, denial, one.token)
    };
    published.into_iter().map(case).collect()
}
