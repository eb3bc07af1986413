//! The measuring rig behind `BENCHMARKS.md`: starts what it measures, pins the servers
//! to one core and itself to another, and alternates the no-op server with Tessera.
//!
//! - `scenario`: what can be measured, one function each
//! - `system`, `process`: Redis, issuer, verifiers, the no-op server
//! - `tokens`: tokens by the million, straight to the store
//! - `load`: the load generator; `measure`: one window of it
//! - `machine`: what the kernel says; `report`: what is printed
//!
//! To add a scenario: a function in `scenario/` that answers rows, and a line in [`scenario::ALL`].

mod load;
mod machine;
mod measure;
mod process;
mod report;
mod scenario;
mod system;
mod tokens;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use serde_json::json;

/// Measures Tessera beside a no-op server
#[derive(Clone, Parser)]
#[command(after_help = scenario::list())]
struct Options {
    /// What to measure, by name; `all` for everything
    #[arg(value_name = "SCENARIO", required = true)]
    scenarios: Vec<String>,

    /// Pairs of windows, the no-op server and Tessera in turn
    #[arg(long, default_value_t = 5)]
    pairs: usize,

    /// The length of a window, in seconds
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,

    /// Load before each window, in seconds
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,

    /// Connections [default of most scenarios]
    #[arg(long, default_value_t = 8)]
    connections: usize,

    /// Streams in flight on each connection
    #[arg(long, default_value_t = 100)]
    streams: usize,

    /// Tokens, where a scenario lets one choose
    #[arg(long)]
    tokens: Option<usize>,

    /// Cores of the server under measurement
    #[arg(long, default_value = "0", value_name = "LIST")]
    server_cores: String,

    /// Cores of the load generator and the issuer
    #[arg(long, default_value = "1", value_name = "LIST")]
    load_cores: String,

    /// Cores of Redis
    #[arg(long, default_value = "1", value_name = "LIST")]
    store_cores: String,

    /// One more argument for the verifier, such as --verifier-flag=--log=warn; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    verifier_flag: Vec<String>,

    /// One more argument for the issuer; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    issuer_flag: Vec<String>,

    /// Where issuer and verifier are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,

    /// A verifier to measure in place of the one beside this program
    #[arg(long, value_name = "FILE")]
    verifier: Option<PathBuf>,

    /// A file for every sample, as JSON; `-`: standard output, after the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// With a verifier's cache that holds `tokens` for sure, unless the command line says
    /// how large it is.
    fn with_room_for(mut self, tokens: usize) -> Self {
        let usual = 256 * 1024 * 1024;
        let wanted = tokens * 600;
        if wanted > usual
            && !self.verifier_flag.iter().any(|flag| flag.starts_with("--cache-bytes"))
        {
            self.verifier_flag.push(format!("--cache-bytes={wanted}"));
        }
        self
    }

    fn program(&self, name: &str) -> PathBuf {
        let own = std::env::current_exe().expect("a path of this program");
        let beside = own.parent().unwrap_or(Path::new("."));
        let found = match (name, &self.verifier, &self.programs) {
            ("tessera-verifier", Some(given), _) => given.clone(),
            // The reference is this build's, whatever it is held against.
            ("tessera-verifier" | "tessera-issuer", _, Some(dir)) => dir.join(name),
            _ => beside.join(name),
        };
        let found = std::path::absolute(&found).unwrap_or(found);
        assert!(found.exists(), "{} is not built; see BENCHMARKS.md", found.display());
        found
    }
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let chosen = scenario::chosen(&options.scenarios);
    println!("{}", report::HEAD);
    let mut rows = Vec::new();
    for scenario in chosen {
        let (busy, total) = machine::busy();
        system::unpin(&options);
        let new = (scenario.run)(options.clone()).await;
        new.iter().for_each(|row| println!("{}", row.markdown()));
        rows.extend(new);
        let after = machine::busy();
        let share = (after.0 - busy) / (after.1 - total);
        eprintln!("{}: the machine was {:.0} % busy in all", scenario.name, share * 100.0);
    }
    let Some(file) = &options.json else { return };
    let all = json!({
        "rows": rows.iter().map(report::Row::json).collect::<Vec<_>>(),
        "pairs": options.pairs,
        "seconds": options.seconds,
        "connections": options.connections,
        "streams": options.streams,
        "verifier_flags": options.verifier_flag,
    });
    let text = serde_json::to_string_pretty(&all).expect("JSON");
    if file.as_os_str() == "-" {
        println!("{text}");
    } else {
        std::fs::write(file, text).expect("the file of --json");
    }
}
