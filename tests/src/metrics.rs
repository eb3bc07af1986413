//! What a service tells Prometheus, as text and as numbers.

use std::net::SocketAddr;

use crate::http;

/// One scrape of a service.
pub struct Scrape(pub String);

impl Scrape {
    /// Reads `GET /metrics` at `address`.
    ///
    /// # Panics
    /// When that fails.
    pub async fn of(address: SocketAddr) -> Self {
        let answer = http::fetch(address, "/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self(answer.body)
    }

    /// The value of the sample with this name and exactly these labels, written as in the
    /// text: `name{a="b"}`.
    pub fn value(&self, sample: &str) -> Option<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap_or_else(|_| panic!("{sample} {value}")))
    }

    /// The same, of one that must be there.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect(&self, sample: &str) -> f64 {
        self.value(sample).unwrap_or_else(|| panic!("no {sample} in:\n{}", self.0))
    }

    /// The sum of all samples with this name.
    pub fn sum(&self, name: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' '))??.1.parse::<f64>().ok()
        });
        values.sum()
    }
}
