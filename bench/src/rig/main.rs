//! The measuring rig behind `BENCHMARKS.md`: starts what it measures, pins the servers
//! to one core and itself to another, and alternates the no-op server with Tessera.
//!
//! - `scenario`: what can be measured, one function each
//! - `system`, `process`: Redis, issuer, verifiers, the no-op server
//! - `tokens`: tokens by the million, straight to the store
//! - `load`: the load generator; `measure`: one window of it
//! - `machine`: what the kernel says; `report`: what is printed
//! - `failure`: why a measurement can't go on; it exits 1, and 2 on an unknown scenario
//!
//! To add a scenario: a function in `scenario/` that answers rows, and a line in [`scenario::ALL`].

mod failure;
mod load;
mod machine;
mod measure;
mod process;
mod report;
mod scenario;
mod system;
mod tokens;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use serde_json::json;

use crate::failure::{Failure, OrFail as _};

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
    #[arg(long, default_value = "4", value_parser = seconds)]
    seconds: Duration,

    /// Load before each window, in seconds
    #[arg(long, default_value = "1", value_parser = seconds)]
    warm_up: Duration,

    /// Connections [default of most scenarios]
    #[arg(long, default_value_t = 8)]
    connections: usize,

    /// Streams in flight on each connection [default: 100, and 10 where all wait for the store]
    #[arg(long)]
    streams: Option<usize>,

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

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

impl Options {
    /// All cores that are given to something.
    fn all_cores(&self) -> String {
        [&*self.server_cores, &*self.load_cores, &*self.store_cores].join(",")
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

    fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        let own = std::env::current_exe().or_fail("find out where this program is")?;
        let beside = own.parent().unwrap_or(Path::new("."));
        let found = match (name, &self.verifier, &self.programs) {
            ("tessera-verifier", Some(given), _) => given.clone(),
            // The reference is this build's, whatever it is held against.
            ("tessera-verifier" | "tessera-issuer", _, Some(dir)) => dir.join(name),
            _ => beside.join(name),
        };
        let found = std::path::absolute(&found).unwrap_or(found);
        if found.is_file() {
            return Ok(found);
        }
        let remedy = "build it as BENCHMARKS.md says, or give --programs or --verifier";
        Err(Failure::NoProgram { program: found.display().to_string(), remedy })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let chosen = scenario::chosen(&options.scenarios)?;
    print(report::HEAD)?;
    let mut rows = Vec::new();
    for scenario in chosen {
        let (busy, total) = machine::busy()?;
        system::unpin(options)?;
        let new = (scenario.run)(options.clone()).await?;
        new.iter().try_for_each(|row| print(&row.markdown()))?;
        rows.extend(new);
        let after = machine::busy()?;
        let share = (after.0 - busy) / (after.1 - total);
        eprintln!("{}: the machine was {:.0} % busy in all", scenario.name, share * 100.0);
    }
    let Some(file) = &options.json else { return Ok(()) };
    let all = json!({
        "rows": rows.iter().map(report::Row::json).collect::<Vec<_>>(),
        "pairs": options.pairs,
        "seconds": options.seconds.as_secs_f64(),
        "connections": options.connections,
        "streams": options.streams,
        "verifier_flags": options.verifier_flag,
    });
    let text = format!("{all:#}");
    if file.as_os_str() == "-" {
        return print(&text);
    }
    std::fs::write(file, text).or_fail(format_args!("write {}, given by --json", file.display()))
}

fn print(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").or_fail("write to standard output")
}
