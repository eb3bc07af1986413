//! `tessera health`.

use clap::Args;
use tonic::Request;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    context::Context,
    failure::Failure,
    output,
    record::{Field, Fields, Record, fields},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Asks grpc.health.v1.Health/Check. Exits with 0 if the answer is SERVING, and with 1 if it
is another, or if there is none.

Examples:
  tessera health 127.0.0.1:50051
  HEALTHCHECK CMD [\"tessera\", \"health\", \"127.0.0.1:50052\"]")]
pub(crate) struct HealthArgs {
    /// A host and port, or an http:// or https:// URL
    #[arg(value_name = "HOST:PORT|URL")]
    server: String,

    /// A service by its full name [default: the whole server]
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,
}

/// Answers whether the server is serving.
pub(crate) async fn run(args: HealthArgs, context: &Context) -> Result<bool, Failure> {
    let url =
        if args.server.contains("://") { args.server } else { format!("http://{}", args.server) };
    let server = context.server(&url, "the argument")?;
    let request = HealthCheckRequest { service: args.service };
    let answer = server
        .call(Request::new(request), async |channel, request| {
            HealthClient::new(channel).check(request).await
        })
        .await;
    match answer {
        Ok(answer) => {
            context.output.record(&Health(answer.status()))?;
            Ok(answer.status() == ServingStatus::Serving)
        }
        // No answer is not serving; but say what happened.
        Err(failure) => {
            output::complain(&format!("error: {failure}"));
            Ok(false)
        }
    }
}

struct Health(ServingStatus);

impl Record for Health {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        fields([("status", Field::Name(self.0.as_str_name()))])
    }
}
