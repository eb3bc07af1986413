//! `tessera-issuer`: wires, and nothing else.

use std::process::ExitCode;

use tessera_issuer::{FirstAdministrator, run};
use tessera_serve::{Listeners, asked_to_stop};
use tessera_shared::{
    config::IssuerConfig,
    store::{self, StoreUrl},
    telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    let config = match IssuerConfig::from_process_like(std::env::args_os(), |name: &str| {
        std::env::var_os(name)
    }) {
        Ok(config) => config,
        Err(exit) => return exit.report(),
    };
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            let mut stderr = std::io::stderr().lock();
            let _ =
                std::io::Write::write_fmt(&mut stderr, format_args!("tessera-issuer: {error}\n"));
            ExitCode::from(code)
        }
    }
}

async fn serve(config: IssuerConfig) -> Result<(), (u8, String)> {
    let bad_setting = |error: &dyn std::error::Error| (64, error.to_string());
    let failed = |error: &dyn std::error::Error| (1, error.to_string());
    telemetry::init(&config.log).map_err(|e| bad_setting(&e))?;
    let url = StoreUrl::parse(&config.store).map_err(|e| (64, format!("--store: {e}")))?;
    let store = store::open(&url, config.store_options.clone()).map_err(|error| match error {
        store::OpenError::Embedded(_) => failed(&error),
        _ => (64, format!("--store: {error}")),
    })?;
    let health = config.operation.health_listen;
    let listeners = Listeners::bind(config.listen, config.http_listen, health).await;
    let listeners = listeners.map_err(|e| failed(&e))?;
    let ready = |first: Option<FirstAdministrator>| first.iter().for_each(FirstAdministrator::show);
    let served = run(&config, store, listeners, ready, asked_to_stop()).await;
    served.map_err(|error| (error.exit_code(), error.to_string()))
}
