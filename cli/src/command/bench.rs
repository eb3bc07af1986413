//! `tessera bench`.

mod job;
mod progress;
mod schedule;
mod summary;
mod tally;
mod threads;

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, value_parser};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{
    job::Job,
    progress::Progress,
    schedule::Schedule,
    summary::Summary,
    threads::{Crew, Threads},
};
use super::verify::{Outcome, QuestionArgs, input};
use crate::{context::Context, failure::Failure, secret::Secret, when};

/// How often the progress is shown.
const GLANCE: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
#[command(after_help = "\
The tokens are the lines of standard input or of --token-file, or one is asked for
without echo. They are sent in turn, over and over.

With --rate each request has its time, and its latency counts from then on, whether it
could be sent then or had to wait: a server that stalls is not spared the requests that
would have come meanwhile (no \"coordinated omission\"). A request still unsent at the end
counts with the time that it has waited. Without --rate each connection keeps its
requests in flight and sends the next one when one is answered: that finds the most that
the server does, and its latencies are those of a server that is full.

Every answer counts in the latencies, errors too: look at the statuses first. Ctrl-C ends
early and shows what was found; a second one waits for no answer.

Exits with 0 if every token is granted, with 1 if one is denied, and as a gRPC failure
(`tessera --help` lists those) with the most frequent status if some request failed.

Examples:
  tessera bench --token-file token.txt
  tessera bench --rate 5000 --duration 1m --connections 8 < tokens.txt
  tessera bench --batch 100 --token-file tokens.txt --max-staleness 0
  tessera --output json bench --rate 1000 --token-file token.txt | jq .latency.p99_us")]
pub(crate) struct BenchArgs {
    /// The file that holds the token, or tokens, one on each line
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Requests a second, all connections together [default: as many as are answered]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,

    /// How long to send
    #[arg(long, default_value = "10s", value_parser = when::duration)]
    duration: Duration,

    /// Connections
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    connections: u16,

    /// Requests in flight on each connection, at most
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// Tokens in each request: more than one goes to BatchVerify
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    batch: u16,

    /// Threads to send from [default: one for each core, and at most one for each connection]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    #[command(flatten)]
    question: QuestionArgs,
}

pub(crate) async fn run(args: BenchArgs, context: &Context) -> Result<Outcome, Failure> {
    let tokens = tokens(&args)?;
    let what = describe(&args, tokens.len());
    let duration = args.duration;
    let schedule = args.rate.map(|rate| Schedule::new(rate, duration));
    let crew = Crew {
        threads: threads(&args),
        connections: usize::from(args.connections),
        concurrency: usize::from(args.concurrency),
    };
    let job = Arc::new(Job::new(tokens, args.question, usize::from(args.batch), schedule));
    let mut threads = Threads::start(&job, crew, || context.verifier())?;
    threads.ready().await?;
    let mut interrupts = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    context.output.note(&what);
    let begun = job.begin();
    let progress = Progress::new(duration);
    watch(&job, &threads, &progress, begun + duration, &mut interrupts).await;
    job.end();
    tokio::select! {
        () = threads.done() => {}
        _ = interrupts.recv() => job.abandon(),
    }
    threads.done().await;
    progress.clear();
    threads.outcome()?;
    let summary = Summary::new(job.tally()?, job.took());
    context.output.record(&summary)?;
    Ok(summary.outcome())
}

/// Shows how it goes until the time is over, Ctrl-C is pressed, or nobody works any more.
async fn watch(
    job: &Job,
    threads: &Threads,
    progress: &Progress,
    end: Instant,
    interrupts: &mut Signal,
) {
    let mut glances = interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sleep_until(end) => return,
            _ = interrupts.recv() => return,
            () = threads.done() => return,
            _ = glances.tick() => progress.show(job),
        }
    }
}

fn tokens(args: &BenchArgs) -> Result<Vec<Secret>, Failure> {
    let mut input = input::Tokens::open(args.token_file.as_deref())?;
    let mut tokens = Vec::new();
    loop {
        let chunk = input.chunk()?;
        if chunk.is_empty() {
            break;
        }
        tokens.extend(chunk.into_iter().map(|line| line.token));
    }
    if tokens.is_empty() {
        Err(Failure::Empty("the list of tokens".to_owned()))
    } else {
        Ok(tokens)
    }
}

fn threads(args: &BenchArgs) -> usize {
    let cores = std::thread::available_parallelism();
    let wanted = args.threads.or(cores.ok()).map_or(1, NonZeroUsize::get);
    wanted.min(usize::from(args.connections))
}

fn describe(args: &BenchArgs, tokens: usize) -> String {
    let rate = match args.rate {
        Some(rate) => format!("{rate} requests a second"),
        None => "as many requests as are answered".to_owned(),
    };
    let each = match args.batch {
        1 => String::new(),
        batch => format!(" of {batch} tokens each"),
    };
    format!(
        "{rate}{each} for {:?}, over {} connections with up to {} in flight on each; tokens: {tokens}",
        args.duration, args.connections, args.concurrency
    )
}
