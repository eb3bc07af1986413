//! When certificates end (RFC 5280, section 4.1.2.5). Of a certificate nothing else is read.

use der::{
    AnyRef, Decode as _, Reader as _, Result, SliceReader, Tag, TagNumber, Tagged as _,
    asn1::{GeneralizedTime, UtcTime},
};
use rustls::pki_types::CertificateDer;

/// When the first of these ends, in seconds since 1970. One that can't be read counts for
/// nothing: whether it can be used is asked elsewhere.
pub(super) fn earliest(chain: &[CertificateDer<'_>]) -> Option<u64> {
    chain.iter().filter_map(|certificate| not_after(certificate).ok()).min()
}

fn not_after(certificate: &[u8]) -> Result<u64> {
    let mut certificate = inside(&mut SliceReader::new(certificate)?)?;
    let mut fields = inside(&mut certificate)?;
    let version = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    if fields.peek_tag()? == version {
        AnyRef::decode(&mut fields)?;
    }
    let (_serial, _signature) = (AnyRef::decode(&mut fields)?, AnyRef::decode(&mut fields)?);
    let _issuer = AnyRef::decode(&mut fields)?;
    let mut validity = inside(&mut fields)?;
    let _not_before = AnyRef::decode(&mut validity)?;
    let end = AnyRef::decode(&mut validity)?;
    let since_1970 = match end.tag() {
        Tag::UtcTime => end.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => end.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(since_1970.as_secs())
}

/// What is in the SEQUENCE that comes next.
fn inside<'a>(reader: &mut SliceReader<'a>) -> Result<SliceReader<'a>> {
    let sequence = AnyRef::decode(reader)?;
    sequence.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SEQUENCE, or what has this tag, of less than 128 bytes.
    fn of(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn certificate(version: &[u8], end: &[u8]) -> CertificateDer<'static> {
        let begin = of(0x17, b"260101000000Z");
        let validity = of(0x30, &[&begin, end].concat());
        let (serial, empty) = (of(0x02, &[7]), of(0x30, &[]));
        let more = of(0x30, b"");
        let fields = [version, &serial, &empty, &empty, &validity, &more].concat();
        of(0x30, &[of(0x30, &fields), empty].concat()).into()
    }

    #[test]
    fn the_end_is_read_in_both_forms_and_the_first_of_a_chain_counts() {
        let third = of(0xa0, &[2, 1, 2]);
        let soon = certificate(&third, &of(0x17, b"261128180000Z"));
        let first_version = certificate(&[], &of(0x17, b"491231235959Z"));
        let never = certificate(&third, &of(0x18, b"99991231235959Z"));
        let chain = [never, first_version, soon];
        assert_eq!(earliest(&chain[..1]), Some(253_402_300_799));
        assert_eq!(earliest(&chain[..2]), Some(2_524_607_999));
        assert_eq!(earliest(&chain), Some(1_795_888_800));
        let wrong = certificate(&third, &of(0x04, b"261128180000Z"));
        for other in [wrong, Vec::new().into(), b"0".to_vec().into(), vec![0xff; 40].into()] {
            assert_eq!(earliest(&[other]), None);
        }
    }
}
