//! The text format of old, for who does not ask for OpenMetrics: `promtool check metrics`, and
//! most that is no Prometheus.

use std::collections::HashSet;

/// What OpenMetrics 1.0 says in `text`, in version 0.0.4 of Prometheus's own format: a counter
/// is named there as its samples are, with `_total`, and nothing ends the text.
pub(super) fn of_openmetrics(text: &str) -> String {
    let counter = |line: &'_ str| -> Option<String> {
        Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned())
    };
    let counters: HashSet<_> = text.lines().filter_map(counter).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF") {
        let named = ["# HELP ", "# TYPE "].iter().find_map(|word| {
            let (name, rest) = line.strip_prefix(word)?.split_once(' ')?;
            counters.contains(name).then_some((*word, name, rest))
        });
        match named {
            Some((word, name, rest)) => {
                for part in [word, name, "_total ", rest] {
                    plain.push_str(part);
                }
            }
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_bears_the_name_of_its_samples() {
        let open = "# HELP calls Calls that ended.\n# TYPE calls counter\ncalls_total{a=\"b\"} 1\n\
                    # HELP held Held.\n# TYPE held gauge\nheld 2\n# EOF\n";
        let plain = "# HELP calls_total Calls that ended.\n# TYPE calls_total counter\n\
                     calls_total{a=\"b\"} 1\n# HELP held Held.\n# TYPE held gauge\nheld 2\n";
        assert_eq!(of_openmetrics(open), plain);
    }
}
