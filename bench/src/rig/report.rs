//! What is printed: Markdown rows for people, and one JSON object with every sample.

use serde_json::{Value, json};

use crate::measure::{Sample, median};

/// One line of the result.
pub(crate) struct Row {
    scenario: String,
    what: String,
    reference: Option<f64>,
    tessera: f64,
    /// Median, least and greatest of the pairs' ratios.
    ratio: Option<(f64, f64, f64)>,
    note: String,
    samples: Value,
}

impl Row {
    /// A figure with nothing to hold it against.
    pub(crate) fn plain(scenario: &str, what: &str, figure: f64) -> Self {
        Self {
            scenario: scenario.to_owned(),
            what: what.to_owned(),
            reference: None,
            tessera: figure,
            ratio: None,
            note: String::new(),
            samples: Value::Null,
        }
    }

    /// With a remark.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// With what it was taken from.
    pub(crate) fn samples(self, samples: Value) -> Self {
        Self { samples, ..self }
    }

    /// One figure of pairs (reference, Tessera): medians, and the median of the ratios.
    pub(crate) fn pairs(scenario: &str, what: &str, pairs: &[(f64, f64)]) -> Self {
        let ratios: Vec<f64> =
            pairs.iter().map(|(reference, tessera)| tessera / reference).collect();
        let side =
            |pick: fn(&(f64, f64)) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>()).0;
        Self {
            reference: Some(side(|pair| pair.0)),
            ratio: Some(median(&ratios)),
            samples: json!(pairs),
            ..Self::plain(scenario, what, side(|pair| pair.1))
        }
    }

    /// A row of a Markdown table with [`HEAD`].
    pub(crate) fn markdown(&self) -> String {
        let ratio = self.ratio.map_or_else(
            || "-".to_owned(),
            |(median, least, most)| format!("**{median:.3}** ({least:.3} to {most:.3})"),
        );
        let reference = self.reference.map_or_else(|| "-".to_owned(), figure);
        let Self { scenario, what, tessera, note, .. } = self;
        format!("| {scenario} | {what} | {reference} | {} | {ratio} | {note} |", figure(*tessera))
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let ratio = self
            .ratio
            .map(|(median, least, most)| json!({ "median": median, "least": least, "most": most }));
        json!({
            "scenario": self.scenario,
            "what": self.what,
            "reference": self.reference,
            "tessera": self.tessera,
            "ratio": ratio,
            "note": self.note,
            "samples": self.samples,
        })
    }
}

/// The head of the table.
pub(crate) const HEAD: &str = "\
| scenario | what | no-op server | Tessera | ratio: median (least to most) | note |
|---|---|---|---|---|---|";

/// The rows of pairs of samples (reference, Tessera), with a note of what spoils them.
pub(crate) fn rows_of(scenario: &str, pairs: &[(Sample, Sample)]) -> Vec<Row> {
    let take = |pick: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        pairs.iter().map(|(reference, tessera)| (pick(reference), pick(tessera))).collect()
    };
    let all = || pairs.iter().flat_map(|(reference, tessera)| [reference, tessera]);
    let mut notes = Vec::new();
    let least = all().map(|sample| sample.server_busy).fold(f64::INFINITY, f64::min);
    if least < 0.97 {
        notes.push(format!("server only {:.0} % busy in one window", least * 100.0));
    }
    let denials: u64 = all().map(|sample| sample.denials).sum();
    let errors: u64 = all().map(|sample| sample.errors).sum();
    if denials + errors > 0 {
        notes.push(format!("**{denials} denials, {errors} errors**"));
    }
    let busy = median(&all().map(|sample| sample.load_busy).collect::<Vec<_>>()).0;
    notes.push(format!("load core {:.0} % busy", busy * 100.0));
    vec![
        Row::pairs(scenario, "requests/s", &take(|sample| sample.rate)).note(notes.join("; ")),
        Row::pairs(scenario, "CPU µs a request", &take(|sample| sample.cpu_us)),
    ]
}

fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{value:.0}");
            let mut out = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place) % 3 == 0 {
                    out.push(',');
                }
                out.push(digit);
            }
            out
        }
        middle if middle >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}
