//! Writing families whose values are read at the scrape.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet},
    metrics::MetricType,
};

use super::times::Times;

/// The label set of a metric that has but one value.
pub const NO_LABELS: [(&str, &str); 0] = [];

type NoExemplar = [(&'static str, &'static str); 0];

/// What a collector writes to.
pub type Encoder<'a> = DescriptorEncoder<'a>;

/// Writes a counter for each label set. The name ends in `_total` by itself.
///
/// # Errors
/// When the writer fails.
pub fn counter<L: EncodeLabelSet>(
    encoder: &mut Encoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, impl EncodeCounterValue)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        if has_none::<L>() {
            family.encode_counter::<NoExemplar, _, u64>(&value, None)?;
        } else {
            family.encode_family(&labels)?.encode_counter::<NoExemplar, _, u64>(&value, None)?;
        }
    }
    Ok(())
}

/// Writes a gauge for each label set.
///
/// # Errors
/// When the writer fails.
pub fn gauge<L: EncodeLabelSet>(
    encoder: &mut Encoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, impl EncodeGaugeValue)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        if has_none::<L>() {
            family.encode_gauge(&value)?;
        } else {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

/// Writes a histogram, in seconds, for each label set; each the sum of these times.
///
/// # Errors
/// When the writer fails.
pub fn histogram<'t, L: EncodeLabelSet>(
    encoder: &mut Encoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, Vec<(&'t Times, u64)>)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, times) in values {
        let (sum, buckets) = Times::total(&times);
        let count = buckets.iter().map(|(_, count)| count).sum();
        if has_none::<L>() {
            family.encode_histogram::<NoExemplar>(sum, count, &buckets, None)?;
        } else {
            let mut family = family.encode_family(&labels)?;
            family.encode_histogram::<NoExemplar>(sum, count, &buckets, None)?;
        }
    }
    Ok(())
}

/// Whether a label set of this type never has a label. It would be written as `{}`.
const fn has_none<L>() -> bool {
    size_of::<L>() == 0
}
