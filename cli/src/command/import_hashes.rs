//! `tessera admin import-hashes`: tokens of another system, by their SHA-256.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Seek as _},
    path::PathBuf,
};

use clap::Args;
use ring::rand::SystemRandom;
use serde::Deserialize;
use tessera_shared::{
    clock::{Clock as _, SystemClock},
    foreign::{ForeignError, ForeignToken, Imported, Importer},
    jwt, store,
};

use crate::{
    context::Context,
    failure::Failure,
    record::{Field, Fields, Record, fields},
    store::StoreArgs,
    when,
};

/// Wrong lines that are told: enough to see what is wrong.
const MOST_TOLD: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
The file is CSV with a line of column names, or JSON lines, with these fields:

  sha256      of the string that the holder presents, 64 hexadecimal digits
  name        what the token is called
  owner       a username of this installation
  role        the name of a role [or --role]
  expires_at  RFC 3339; empty: never
  audiences   with spaces between them [or --audience]

All of it is checked first; if a line is wrong, nothing is written. A hash that was imported before
is left as it is, and one that has expired is left out; the same command completes an import that was cut short. Holders go on with the
strings they have: 16 to 1024 visible characters, not of the form of a JWT. Only strings with as much chance in them
as a key may come this way: who reads the store could guess others from their hash.

Examples:
  tessera admin import-hashes --store redis://issuer@redis:6379/0 --role Engineers tokens.csv
  printf %s \"$TOKEN\" | sha256sum")]
pub(crate) struct ImportHashesArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// The role of tokens whose line names none
    #[arg(long, value_name = "NAME")]
    role: Option<String>,

    /// An audience of tokens whose line names none; more than once for several
    #[arg(long = "audience", value_name = "NAME", default_value = "cdn")]
    audiences: Vec<String>,

    /// Only check the file
    #[arg(long)]
    check: bool,

    /// The file
    file: PathBuf,
}

pub(crate) async fn run(args: ImportHashesArgs, context: &Context) -> Result<(), Failure> {
    let (url, options) = args.store.resolve(context)?;
    let (store, rng) = (store::open_existing(&url, options)?, SystemRandom::new());
    let away = |error: ForeignError| Failure::StoreAway(error.to_string());
    let importer = Importer::new(&*store, &rng).await;
    let mut importer = importer.map_err(|error| away(error.into()))?;
    let mut lines = Lines::open(&args)?;

    let (mut right, mut wrong) = (0, Vec::new());
    while let Some((place, token)) = lines.next()? {
        let checked = match token {
            Err(what) => Err(what),
            Ok(token) => match importer.check(&token).await {
                Err(error @ (ForeignError::Store(_) | ForeignError::NoRandomness(_))) => {
                    return Err(away(error));
                }
                checked => checked.map_err(|error| error.to_string()),
            },
        };
        match checked {
            Ok(()) => right += 1,
            Err(what) => wrong.push(format!("line {place}: {what}")),
        }
        if wrong.len() == MOST_TOLD {
            break;
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::WrongLines(args.file, wrong.join("\n")));
    }
    let mut done = Done { imported: 0, unchanged: 0, expired: 0, checked: right };
    if args.check {
        return context.output.record(&done);
    }
    let mut lines = Lines::open(&args)?;
    while let Some((place, token)) = lines.next()? {
        let changed =
            |what| Failure::WrongLines(args.file.clone(), format!("line {place}: {what}"));
        let token = token.map_err(changed)?;
        match importer.import(&token, SystemClock.now()).await.map_err(away)? {
            Imported::New => done.imported += 1,
            Imported::Before => done.unchanged += 1,
            Imported::Expired => done.expired += 1,
        }
    }
    context.output.record(&done)
}

struct Done {
    checked: i64,
    imported: i64,
    unchanged: i64,
    expired: i64,
}

impl Record for Done {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        fields([
            ("checked", Field::Number(self.checked)),
            ("imported", Field::Number(self.imported)),
            ("unchanged", Field::Number(self.unchanged)),
            ("expired", Field::Number(self.expired)),
        ])
    }
}

/// One line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sha256: String,
    name: String,
    owner: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    audiences: Option<String>,
}

enum Form {
    Csv(Box<csv::Reader<BufReader<File>>>),
    Json(std::io::Lines<BufReader<File>>),
}

/// The number of a line, and its token or what is wrong with it.
type Placed = (u64, Result<ForeignToken, String>);

/// The lines of a file, one at a time.
struct Lines<'a> {
    args: &'a ImportHashesArgs,
    form: Form,
    read: u64,
}

impl<'a> Lines<'a> {
    fn open(args: &'a ImportHashesArgs) -> Result<Self, Failure> {
        let failed = |source| Failure::File { path: args.file.clone(), source };
        let mut file = BufReader::new(File::open(&args.file).map_err(failed)?);
        let is_json = file.fill_buf().map_err(failed)?.trim_ascii_start().starts_with(b"{");
        file.rewind().map_err(failed)?;
        let form = match is_json {
            true => Form::Json(file.lines()),
            false => Form::Csv(Box::new(csv::Reader::from_reader(file))),
        };
        Ok(Self { args, form, read: 0 })
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<Placed>, Failure> {
        self.read += 1;
        let (place, line) = match &mut self.form {
            Form::Json(lines) => match lines.next() {
                None => return Ok(None),
                Some(Err(source)) => {
                    return Err(Failure::File { path: self.args.file.clone(), source });
                }
                Some(Ok(line)) => {
                    (self.read, serde_json::from_str(&line).map_err(|error| error.to_string()))
                }
            },
            Form::Csv(reader) => match reader.deserialize().next() {
                None => return Ok(None),
                // The first has the names.
                Some(line) => (self.read + 1, line.map_err(|error| error.to_string())),
            },
        };
        Ok(Some((place, line.and_then(|line| self.token(line)))))
    }

    fn token(&self, line: Line) -> Result<ForeignToken, String> {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let role = given(line.role).or_else(|| self.args.role.clone());
        let expires_at = given(line.expires_at).map(|text| when::instant(text.trim())).transpose();
        let audiences = match given(line.audiences) {
            Some(text) => text.split_whitespace().map(str::to_owned).collect(),
            None => self.args.audiences.clone(),
        };
        Ok(ForeignToken {
            hash: sha256(&line.sha256)?,
            name: line.name,
            owner: line.owner,
            role: role.ok_or("no role: name one in the line or by --role")?,
            audiences,
            expires_at: expires_at.map_err(|error| format!("expires_at: {error}"))?,
        })
    }
}

/// A verifier takes what looks like a JWT for an access token, and never looks it up.
fn sha256(text: &str) -> Result<[u8; 32], &'static str> {
    hash(text).ok_or_else(|| match jwt::looks_like_jwt(text.trim()) {
        true => "sha256 is a JWT, which can't be imported: give its holder a permanent token",
        false => "sha256 is not 64 hexadecimal digits",
    })
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (place, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
