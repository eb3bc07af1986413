//! As much of HTTP/2 (RFC 9113) as one gRPC client needs that sends the same headers
//! with every request.

/// What a client says first: the preface, no push, streams and connection wide open.
pub(super) fn preface() -> Vec<u8> {
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let settings = [[0, 2, 0, 0, 0, 0], [0, 4, 0x7f, 0xff, 0xff, 0xff]].concat();
    head(&mut out, settings.len(), kind::SETTINGS, 0, 0);
    out.extend(settings);
    window_update(&mut out, 0x7fff_ffff - 65_535);
    out
}

pub(super) mod kind {
    pub(in crate::load) const DATA: u8 = 0;
    pub(in crate::load) const HEADERS: u8 = 1;
    pub(in crate::load) const RST_STREAM: u8 = 3;
    pub(in crate::load) const SETTINGS: u8 = 4;
    pub(in crate::load) const PING: u8 = 6;
    pub(in crate::load) const GOAWAY: u8 = 7;
    pub(in crate::load) const WINDOW_UPDATE: u8 = 8;
}

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The bytes of a frame's head.
pub(super) const HEAD: usize = 9;

/// A frame as it came.
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// The frame at the start of `bytes`, and what is behind it; `None`: not all of it is there.
pub(super) fn frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [high, middle, low, kind, flags, stream @ ..] = *head;
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    let (payload, rest) = rest.split_at_checked(length)?;
    let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
    Some((Frame { kind, flags, stream, payload }, rest))
}

/// No frame is sent that is longer than three bytes can say.
fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [.., high, middle, low] = length.to_be_bytes();
    out.extend_from_slice(&[high, middle, low, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

pub(super) fn window_update(out: &mut Vec<u8>, by: u32) {
    head(out, 4, kind::WINDOW_UPDATE, 0, 0);
    out.extend_from_slice(&by.to_be_bytes());
}

pub(super) fn acknowledge(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    head(out, payload.len(), kind, ACK, 0);
    out.extend_from_slice(payload);
}

/// A request on `stream`: headers and the whole of `message`, which is framed for gRPC.
pub(super) fn request(out: &mut Vec<u8>, headers: &[u8], stream: u32, message: &[u8]) {
    head(out, headers.len(), kind::HEADERS, END_HEADERS, stream);
    out.extend_from_slice(headers);
    head(out, message.len(), kind::DATA, END_STREAM, stream);
    out.extend_from_slice(message);
}

/// The headers of a connection's first request, as HPACK literals that enter the
/// dynamic table (RFC 7541, section 6.2.1). `None`: one is too long for a length in one byte.
pub(super) fn first_headers(authority: &str, path: &str) -> Option<Vec<u8>> {
    let mut out = vec![0x83, 0x86];
    let literals: [(&[u8], &str); 5] = [
        (&[0x44], path),
        (&[0x41], authority),
        (&[0x5f], "application/grpc"),
        (&[0x40, 2, b't', b'e'], "trailers"),
        (&[0x7a], "tessera-rig"),
    ];
    for (name, value) in literals {
        out.extend_from_slice(name);
        out.push(u8::try_from(value.len()).ok().filter(|length| *length < 0x7f)?);
        out.extend_from_slice(value.as_bytes());
    }
    Some(out)
}

/// The same headers from then on: each a reference into a table, as every client of
/// long-lived connections sends them.
pub(super) const LATER_HEADERS: [u8; 7] = [0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe];
