//! What is asked about a token, whichever it is.

use std::{net::IpAddr, time::Duration};

use clap::Args;
use tessera_proto::v1::VerifyRequest;

use crate::{secret::Secret, when};

#[derive(Debug, Args)]
pub(crate) struct QuestionArgs {
    /// The service that asks; without it a token's audiences are not checked
    #[arg(long, default_value = "", hide_default_value = true)]
    audience: String,

    /// A scope that the token must hold, service:action; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// The address that the token came from
    #[arg(long, value_name = "IP")]
    client_address: Option<IpAddr>,

    /// How old the verifier's view may be; 0: read the store [default: its staleness bound]
    #[arg(long, value_name = "DURATION", value_parser = when::duration)]
    max_staleness: Option<Duration>,
}

impl QuestionArgs {
    /// The question about `token`.
    pub(crate) fn about(&self, token: &Secret) -> VerifyRequest {
        VerifyRequest {
            token: token.expose().to_owned(),
            audience: self.audience.clone(),
            required_scopes: self.scopes.clone(),
            client_address: self.client_address.map(|ip| ip.to_string()).unwrap_or_default(),
            max_staleness: self.max_staleness.map(when::span_to_wire),
        }
    }
}
