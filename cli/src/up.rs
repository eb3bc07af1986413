//! `tessera up`: issuer, verifier and HTTP in one process, on an embedded store.

mod demonstration;

use std::{ffi::OsString, net::SocketAddr, process::ExitCode, sync::Arc};

use tessera_issuer::FirstAdministrator;
use tessera_serve::{Listeners, asked_to_stop};
use tessera_shared::{
    config::{USAGE, UpConfig},
    store::{self, OpenStore, StoreOptions, StoreReader, StoreUrl},
    telemetry,
};
use tokio::sync::{oneshot, watch};

use crate::{output, secret::Secret};

/// How it ends early: the exit code, and the line.
type Ended = (u8, String);

/// Runs the whole system with the arguments after `up`.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let config = match UpConfig::from_args(args, |name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(exit) => return exit.report(),
    };
    let ended = tokio::runtime::Runtime::new()
        .map_err(|error| (1, error.to_string()))
        .and_then(|runtime| runtime.block_on(serve(config)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            output::complain(&format!("error: {error}"));
            ExitCode::from(code)
        }
    }
}

async fn serve(config: UpConfig) -> Result<(), Ended> {
    let failed = |error: &dyn std::error::Error| (1, error.to_string());
    telemetry::init(&config.issuer.log).map_err(|error| (USAGE, error.to_string()))?;
    let store: OpenStore =
        store::open(&StoreUrl::Embedded(config.data.clone()), StoreOptions::default())
            .map_err(|error| failed(&error))?;
    let reader: Arc<dyn StoreReader> = store.clone();
    let (issuer, verifier) = (&config.issuer, &config.verifier);
    let health = issuer.operation.health_listen;
    let bound = Listeners::bind(issuer.listen, issuer.http_listen, health).await;
    let issuer_listeners = bound.map_err(|error| failed(&error))?;
    let health = verifier.operation.health_listen;
    let bound = Listeners::bind(verifier.listen, verifier.http_listen, health).await;
    let verifier_listeners = bound.map_err(|error| failed(&error))?;

    let (stop, stopped) = watch::channel(false);
    let asked = stop.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        let _ = asked.send(true);
    });
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let (announce, announced) = oneshot::channel();
    let ready = move |first: Option<FirstAdministrator>| {
        first.iter().for_each(FirstAdministrator::show);
        drop(announce.send(first));
    };
    let issuing = async {
        let until = until(stopped.clone());
        let issued = tessera_issuer::run(issuer, store, issuer_listeners, ready, until).await;
        // An issuer that can't go on takes the verifier with it.
        let _ = stop.send(true);
        issued
    };
    let verifying =
        tessera_verifier::run(verifier, reader, verifier_listeners, until(stopped.clone()));
    let (issued, verified, ()) =
        Box::pin(async { tokio::join!(issuing, verifying, greet(&config, announced)) }).await;
    issued.map_err(|error| (error.exit_code(), error.to_string()))?;
    verified.map_err(|error| (error.exit_code(), error.to_string()))
}

/// Shows the first steps after a first start, and where the data is after a later one.
async fn greet(config: &UpConfig, announced: oneshot::Receiver<Option<FirstAdministrator>>) {
    let Ok(first) = announced.await else { return };
    let issuer = url(config.issuer.tls.is_some(), config.issuer.listen);
    let verifier = url(config.verifier.tls.is_some(), config.verifier.listen);
    let data = config.data.display().to_string();
    let Some(first) = first else {
        let shown = demonstration::welcome_back(&issuer, &data, &config.issuer.admin_username);
        return complain_of(shown);
    };
    let given = config.issuer.admin_password.as_ref().map(|given| given.expose().to_owned());
    let made = first.made_password.as_ref().map(|made| made.as_str().to_owned());
    let printed = made.is_some();
    let password = Secret::new(made.or(given).unwrap_or_default());
    complain_of(
        demonstration::demonstrate(&issuer, &verifier, &first.username, &password, printed).await,
    );
}

/// The services go on though the demonstration failed.
fn complain_of(shown: Result<(), crate::failure::Failure>) {
    if let Err(failure) = shown {
        output::complain(&format!("the first steps could not be shown: {failure}"));
    }
}

/// Where a client on this machine finds a listener.
fn url(tls: bool, address: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    if address.ip().is_unspecified() {
        return format!("{scheme}://127.0.0.1:{}", address.port());
    }
    format!("{scheme}://{address}")
}
