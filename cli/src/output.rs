//! Where results go: stdout for what was asked for, stderr for remarks.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    failure::Failure,
    record::{Fields, Record, printable},
    secret::Secret,
};

/// For whom results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables, for people
    #[default]
    Table,
    /// JSON, for programs: the contract's field names, RFC 3339 times
    Json,
}

/// Writes results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    /// Writes in `format`.
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// One record: all its fields, or an object.
    pub(crate) fn record(self, record: &impl Record) -> Result<(), Failure> {
        match self.format {
            Format::Table => text(&details(&record.fields())),
            Format::Json => text(&pretty(&record.fields())?),
        }
    }

    /// Records: a line for each, or an array.
    pub(crate) fn list<R: Record>(self, records: &[R]) -> Result<(), Failure> {
        match self.format {
            Format::Table => text(&lines(records)),
            Format::Json => {
                let records: Vec<Fields> = records.iter().map(Record::fields).collect();
                text(&pretty(&records)?)
            }
        }
    }

    /// For programs, each record as an object on a line of its own, at once; for
    /// people nothing yet.
    pub(crate) fn json_line(self, record: &impl Record) -> Result<(), Failure> {
        match self.format {
            Format::Table => Ok(()),
            Format::Json => text(&json(&record.fields(), serde_json::to_string)?),
        }
    }

    /// For people only: what [`Output::json_line`] left out.
    pub(crate) fn table<R: Record>(self, records: &[R]) -> Result<(), Failure> {
        match (self.format, records) {
            (Format::Table, []) => Ok(()),
            (Format::Table, [one]) => text(&details(&one.fields())),
            (Format::Table, many) => text(&lines(many)),
            (Format::Json, _) => Ok(()),
        }
    }

    /// A secret, for the only time: alone on stdout with the note on stderr, or as
    /// `fields` in an object.
    pub(crate) fn secret(
        self,
        what: &str,
        secret: &Secret,
        note: &str,
        fields: Fields,
    ) -> Result<(), Failure> {
        let shown = match self.format {
            Format::Table => secret.expose().to_owned(),
            Format::Json => pretty(&fields)?,
        };
        // Here a broken pipe matters: the secret went nowhere.
        write(&shown).map_err(|source| Failure::Undelivered { what: what.to_owned(), source })?;
        self.note(note);
        Ok(())
    }

    /// That something is done which has no result: a remark, or an empty object.
    pub(crate) fn done(self, remark: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table => text(remark),
            Format::Json => text("{}"),
        }
    }

    /// A remark for people, on stderr.
    pub(crate) fn note(self, remark: &str) {
        if self.format == Format::Table {
            complain(remark);
        }
    }
}

/// Writes `text` and a line's end to stdout. A reader that has gone away, as in
/// `| head`, is not a failure.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// Writes `text` and a line's end to stderr. If even that fails, there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    json(value, serde_json::to_string_pretty)
}

fn json<V>(
    value: &V,
    render: impl Fn(&V) -> serde_json::Result<String>,
) -> Result<String, Failure> {
    render(value).map_err(|error| Failure::Output(error.into()))
}

fn details(fields: &Fields) -> String {
    let mut table = plain();
    for (name, field) in fields.flat() {
        table.add_row([title(name), printable(&field.for_people())]);
    }
    rendered(table)
}

fn lines<R: Record>(records: &[R]) -> String {
    let mut table = plain();
    table.set_header(R::COLUMNS.iter().map(|name| title(name).to_uppercase()));
    for record in records {
        let row = record.row();
        table.add_row(R::COLUMNS.iter().map(|name| {
            let field = row.field(name);
            field.map_or_else(|| "-".to_owned(), |field| printable(&field.for_people()))
        }));
    }
    rendered(table)
}

/// Columns stand two spaces apart, with nothing around them: easy on `grep` and `awk`.
fn rendered(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn title(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Field, fields};

    struct Sample(i64, &'static str);

    impl Record for Sample {
        const COLUMNS: &'static [&'static str] = &["id", "made_of"];

        fn fields(&self) -> Fields {
            fields([
                ("id", Field::Number(self.0)),
                ("made_of", Field::Text(self.1.into())),
                ("disabled", Field::Flag(false)),
            ])
        }
    }

    #[test]
    fn a_list_has_a_header_and_a_line_for_each_record() {
        let shown = lines(&[Sample(1, "clay"), Sample(20, "bone")]);
        let words: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(words, [vec!["ID", "MADE", "OF"], vec!["1", "clay"], vec!["20", "bone"]]);
    }

    #[test]
    fn details_show_every_field() {
        let shown = details(&Sample(1, "clay").fields());
        assert_eq!(shown.lines().count(), 3);
        assert!(shown.contains("disabled") && shown.contains("no"), "{shown}");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert!(!lines(&[Sample(1, "\u{1b}[2J")]).contains('\u{1b}'));
    }

    #[test]
    fn json_keeps_the_order_and_the_names_of_the_fields() {
        let shown = json(&Sample(7, "clay").fields(), serde_json::to_string).unwrap();
        assert_eq!(shown, r#"{"id":7,"made_of":"clay","disabled":false}"#);
    }
}
