//! `tessera doctor`.

use clap::{Args, ValueEnum};
use tessera_shared::{
    clock::SystemClock,
    survey::{self, Facts, Finding, Survey, User, Weight},
};

use crate::{
    context::Context,
    failure::Failure,
    record::{Field, Fields, Record, fields},
    store::StoreArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Connects as the service would, with the same settings: TESSERA_STORE, TESSERA_STORE_CA_FILE, and
the password in TESSERA_STORE_PASSWORD or the file that TESSERA_STORE_PASSWORD_FILE names. It
changes nothing. A verifier's user may ask Redis for little, so look as the issuer too: then the
replicas are looked at as well, and those out of reach are named.

  breaks   a promise of Tessera does not hold: an issuer without --dev may refuse to start
  unknown  what should be known is not
  risk     all is well now, and may not stay so

Exits with 0 if nothing breaks a promise, with 1 if something does, with 64 for a bad setting
and with 69 if the store gives no answer.

Examples:
  tessera doctor --store embedded:./tessera-data
  tessera doctor --store redis://issuer@redis:6379/0 --as issuer
  tessera doctor --store redis://verifier@redis:6379/0 --as verifier --format json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// As whom to look
    #[arg(long = "as", value_enum, default_value_t)]
    user: As,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum As {
    /// It writes
    #[default]
    Issuer,
    /// It reads, and notes uses
    Verifier,
}

/// Answers whether no promise is broken.
pub(crate) async fn run(args: DoctorArgs, context: &Context) -> Result<bool, Failure> {
    let (url, options) = args.store.resolve(context)?;
    let user = match args.user {
        As::Issuer => User::Issuer,
        As::Verifier => User::Verifier,
    };
    let survey = survey::survey(&url, options, user, &SystemClock).await?;
    let is_good = survey.findings.iter().all(|finding| finding.weight != Weight::Breaks);
    context.output.record(&Report { store: url.to_string(), user, survey: &survey })?;
    if survey.places.len() > 1 {
        context.output.table(&survey.places)?;
    }
    context.output.table(&survey.findings)?;
    Ok(is_good)
}

struct Report<'a> {
    store: String,
    user: User,
    survey: &'a Survey,
}

impl Record for Report<'_> {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        let mut all = vec![
            ("store", Field::Text(self.store.clone())),
            ("as", Field::Name(if self.user == User::Issuer { "issuer" } else { "verifier" })),
        ];
        match &self.survey.places[..] {
            [one] => all.extend(one.iter().map(|(name, seen)| (*name, Field::Text(seen.clone())))),
            several => {
                let servers = several.iter().map(Record::fields).collect();
                all.push(("servers", Field::Records(servers)));
            }
        }
        let findings = self.survey.findings.iter().map(Record::fields).collect();
        all.push(("findings", Field::Records(findings)));
        fields(all)
    }
}

impl Record for Facts {
    const COLUMNS: &'static [&'static str] =
        &["address", "server", "topology", "replicas", "memory", "clock"];

    fn fields(&self) -> Fields {
        let all = self.iter().map(|(name, seen)| (*name, Field::Text(seen.clone())));
        fields(all.collect::<Vec<_>>())
    }
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["weight", "what", "remedy"];

    fn fields(&self) -> Fields {
        fields([
            ("weight", Field::Name(name(self.weight))),
            ("what", Field::Text(self.what.clone())),
            ("remedy", Field::Text(self.remedy.clone())),
        ])
    }
}

const fn name(weight: Weight) -> &'static str {
    match weight {
        Weight::Breaks => "breaks",
        Weight::Unknown => "unknown",
        Weight::Risk => "risk",
    }
}
