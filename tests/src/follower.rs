//! Foreign programs that check access tokens by the JWKS, as services use them: the
//! libraries PyJWT and jose, Envoy's `jwt_authn` and Apache's mod_auth_openidc.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    gateway::Gateway,
    reader::Reader,
    tools::{node, venv},
};

/// What the README tells to set where the publication delay is the usual one.
const ENVOY_CACHE: Duration = Duration::from_secs(30);

/// A running program that takes the tokens of one issuer.
pub struct Follower {
    /// What it is called in messages.
    pub name: &'static str,
    algorithms: &'static [&'static str],
    program: Program,
}

enum Program {
    Library(Box<Mutex<Reader>>),
    Gateway(Gateway),
}

impl Follower {
    /// Each of them that reads tokens of `algorithm`.
    pub async fn all_of(algorithm: &str, issuer: SocketAddr) -> Vec<Self> {
        let url = format!("http://{issuer}");
        let (mut python, mut jose) = (venv("python"), node("reader.mjs"));
        python.arg("reader.py").args([url.as_str(), "cdn"]);
        jose.args([url.as_str(), "cdn"]);
        let library = |command| Program::Library(Box::new(Mutex::new(Reader::start(command))));
        let mut all = vec![
            Self::new("PyJWT", library(python)),
            Self::new("jose", library(jose)),
            Self::new("Envoy", Program::Gateway(Gateway::envoy_by_keys(issuer, ENVOY_CACHE).await)),
        ];
        if algorithm != "EdDSA" {
            all.push(Self::apache(issuer).await);
        }
        all
    }

    /// Apache, which reads no EdDSA.
    pub async fn apache(issuer: SocketAddr) -> Self {
        let algorithms = &["ES256", "RS256"];
        Self { algorithms, ..Self::new("Apache", Program::Gateway(Gateway::apache(issuer).await)) }
    }

    fn new(name: &'static str, program: Program) -> Self {
        Self { name, algorithms: &["ES256", "EdDSA", "RS256"], program }
    }

    /// Whether it knows the algorithm of this token.
    pub fn reads(&self, token: &str) -> bool {
        let header = token.split('.').next().and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
        let header: Value = serde_json::from_slice(&header.unwrap()).unwrap();
        self.algorithms.contains(&header["alg"].as_str().unwrap())
    }

    /// Whether it takes this token.
    ///
    /// # Errors
    /// What it says instead, and its log.
    pub async fn takes(&self, token: &str) -> Result<(), String> {
        match &self.program {
            Program::Library(reader) => match reader.lock().await.says_of(token).await.as_str() {
                "good" => Ok(()),
                other => Err(format!("{}: {other}", self.name)),
            },
            Program::Gateway(gateway) => match gateway.status_of(token).await {
                200 => Ok(()),
                status => Err(format!("{}: {status}\n{}", self.name, gateway.log())),
            },
        }
    }
}
