//! `tessera-issuer`: wires, and nothing else.

use std::process::ExitCode;

use tessera_issuer::{IssuerError, run};
use tessera_serve::{Listeners, asked_to_stop};
use tessera_shared::{config::IssuerConfig, store, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let config = match IssuerConfig::from_process_like(std::env::args_os(), std::env::vars_os()) {
        Ok(config) => config,
        Err(exit) => return exit.report(),
    };
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            let mut stderr = std::io::stderr().lock();
            let _ = std::io::Write::write_fmt(&mut stderr, format_args!("tessera-issuer: {error}\n"));
            ExitCode::from(code)
        }
    }
}

async fn serve(config: IssuerConfig) -> Result<(), (u8, String)> {
    let failed = |error: &dyn std::error::Error| (1, error.to_string());
    telemetry::init(&config.log).map_err(|error| (64, error.to_string()))?;
    let store = store::open_for(&config.store, config.store_options()).map_err(|e| (64, e.to_string()))?;
    let listeners =
        Listeners::bind(config.listen, config.http_listen).await.map_err(|error| failed(&error))?;
    let announce = tessera_issuer::announce_on_stdout;
    run(&config, store, listeners, announce, asked_to_stop()).await.map_err(|error| match error {
        IssuerError::Setting { .. } => (64, error.to_string()),
        other => failed(&other),
    })
}
