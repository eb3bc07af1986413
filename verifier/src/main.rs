//! `tessera-verifier`: wires, and nothing else.

use std::{error::Error, io::Write as _, process::ExitCode};

use tessera_serve::{Listeners, asked_to_stop};
use tessera_shared::{config::VerifierConfig, store, telemetry};

/// Small pieces that come and go: several percent quicker than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// What answers has threads of its own, or, where there is one core, this one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let env = |name: &str| std::env::var_os(name);
    let config = match VerifierConfig::from_process_like(std::env::args_os(), env) {
        Ok(config) => config,
        Err(exit) => return exit.report(),
    };
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(code)
        }
    }
}

async fn serve(config: VerifierConfig) -> Result<(), (u8, String)> {
    let bad_setting = |error: &dyn Error| (64, error.to_string());
    let failed = |error: &dyn Error| (1, error.to_string());
    telemetry::init(&config.log).map_err(|error| bad_setting(&error))?;
    let url = store::StoreUrl::parse(&config.store).map_err(|e| (64, format!("--store: {e}")))?;
    let store =
        store::open_reader(&url, config.store_options.clone()).map_err(|error| match error {
            store::OpenError::Embedded(_) => failed(&error),
            _ => (64, format!("--store: {error}")),
        })?;
    let health = config.operation.health_listen;
    let listeners = Listeners::bind(config.listen, config.http_listen, health).await;
    let listeners = listeners.map_err(|error| failed(&error))?;
    let served = tessera_verifier::run(&config, store, listeners, asked_to_stop()).await;
    served.map_err(|error| (error.exit_code(), error.to_string()))
}
