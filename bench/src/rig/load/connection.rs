//! One connection: fills it with requests, and counts what comes back.

use std::{
    io::{self, ErrorKind},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use tokio::{io::Interest, net::TcpStream};

use super::{
    Generator, Pace,
    frames::{self, Frame, kind},
    verdict,
};
use crate::failure::{Failure, OrFail as _};

/// Streams whose state is kept; more than are ever in flight.
const SLOTS: usize = 1 << 16;
/// Bytes received before the peer is given room for more.
const WINDOW_STEP: usize = 1 << 24;

/// Sends requests until the load ends; connects again where the server wants it.
pub(super) async fn keep_busy(generator: Rc<Generator>, number: usize) -> Result<(), Failure> {
    let address = generator.plan.address;
    let mut sent = 0;
    loop {
        let stream = TcpStream::connect(address).await;
        let stream = stream.or_fail(format_args!("connect to the server at {address}"))?;
        stream.set_nodelay(true).or_fail("set TCP_NODELAY")?;
        let headers = frames::first_headers(&address.to_string(), generator.plan.bodies.path);
        let headers = headers.or_fail("request header that is short enough")?;
        let mut connection = Connection::new(&generator, number, sent, headers);
        let ran = connection.run(&stream).await;
        ran.or_fail(format_args!("load the server at {address}: the connection failed"))?;
        sent = connection.sent;
        if generator.shared.stop.load(Relaxed) {
            return Ok(());
        }
    }
}

/// A request in flight.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Nanoseconds after the start at which it was meant to be sent.
    meant: u64,
    answered: bool,
}

struct Connection<'a> {
    of: &'a Generator,
    number: usize,
    /// Requests sent on this connection and those before it.
    sent: u64,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    slots: Vec<Slot>,
    next_stream: u32,
    in_flight: usize,
    headers: Vec<u8>,
    credit: i64,
    received: usize,
    closing: bool,
}

impl<'a> Connection<'a> {
    fn new(of: &'a Generator, number: usize, sent: u64, headers: Vec<u8>) -> Self {
        Self {
            of,
            number,
            sent,
            out: frames::preface(),
            written: 0,
            input: Vec::with_capacity(1 << 18),
            slots: vec![Slot::default(); SLOTS],
            next_stream: 1,
            in_flight: 0,
            headers,
            credit: 65_535,
            received: 0,
            closing: false,
        }
    }

    async fn run(&mut self, stream: &TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            let ending = self.closing || self.of.shared.stop.load(Relaxed);
            if ending && self.in_flight == 0 {
                return Ok(());
            }
            if !ending {
                self.fill();
            }
            self.write(stream)?;
            self.wait(stream).await?;
            loop {
                match stream.try_read(&mut buffer) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(read) => self.take(buffer.get(..read).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn wait(&self, stream: &TcpStream) -> io::Result<()> {
        match self.of.plan.pace {
            Pace::Full if self.out.is_empty() => stream.readable().await?,
            Pace::Full => drop(stream.ready(Interest::READABLE | Interest::WRITABLE).await?),
            Pace::Exact(_) => tokio::task::yield_now().await,
            Pace::Coarse(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        Ok(())
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        while let Some(left @ [_, ..]) = self.out.get(self.written..) {
            match stream.try_write(left) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    fn fill(&mut self) {
        let now = self.now();
        while self.in_flight < self.of.plan.streams {
            let meant = self.meant(now);
            let number = self.of.shared.begun.load(Relaxed);
            let body = self.of.plan.bodies.at(number);
            let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
            if meant > now || size > self.credit {
                return;
            }
            frames::request(&mut self.out, &self.headers, self.next_stream, body);
            if self.next_stream == 1 {
                self.headers = frames::LATER_HEADERS.to_vec();
            }
            if let Some(slot) = self.slot(self.next_stream) {
                *slot = Slot { meant, answered: false };
            }
            self.of.shared.begun.store(number + 1, Relaxed);
            self.next_stream += 2;
            self.credit -= size;
            self.in_flight += 1;
            self.sent += 1;
        }
    }

    /// When the next request is meant to be sent.
    fn meant(&self, now: u64) -> u64 {
        let (Pace::Exact(rate) | Pace::Coarse(rate)) = self.of.plan.pace else { return now };
        let turn = self.sent as f64 * self.of.plan.connections as f64 + self.number as f64;
        (turn / rate * 1e9) as u64
    }

    fn now(&self) -> u64 {
        u64::try_from(self.of.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// There is one for every stream.
    fn slot(&mut self, stream: u32) -> Option<&mut Slot> {
        self.slots.get_mut(stream as usize / 2 % SLOTS)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let mut input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while let Some((frame, behind)) = frames::frame(rest) {
            self.meet(&frame);
            rest = behind;
        }
        let left = rest.len();
        input.drain(..input.len() - left);
        self.input = input;
    }

    fn meet(&mut self, frame: &Frame<'_>) {
        let acknowledged = frame.flags & frames::ACK != 0;
        match frame.kind {
            kind::DATA => self.answer(frame),
            kind::RST_STREAM => self.end(frame.stream),
            kind::SETTINGS | kind::PING if acknowledged => {}
            kind::SETTINGS => frames::acknowledge(&mut self.out, kind::SETTINGS, &[]),
            kind::PING => frames::acknowledge(&mut self.out, kind::PING, frame.payload),
            kind::GOAWAY => self.closing = true,
            kind::WINDOW_UPDATE if frame.stream == 0 => {
                let by = frame.payload.first_chunk().copied().map_or(0, u32::from_be_bytes);
                self.credit += i64::from(by);
            }
            _ => {}
        }
        if matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & frames::END_STREAM != 0
        {
            self.end(frame.stream);
        }
    }

    fn answer(&mut self, frame: &Frame<'_>) {
        self.received += frame.payload.len();
        if self.received > WINDOW_STEP {
            let received = std::mem::take(&mut self.received);
            frames::window_update(&mut self.out, u32::try_from(received).unwrap_or(u32::MAX));
        }
        let Some(slot) = self.slot(frame.stream) else { return };
        if std::mem::replace(&mut slot.answered, true) {
            return;
        }
        let each = self.of.plan.bodies.tokens_each;
        let message = frame.payload.get(5..).unwrap_or_default();
        let granted =
            if each == 1 { verdict::grants(message) } else { verdict::first_grants(message) };
        let count = if granted { &self.of.shared.grants } else { &self.of.shared.denials };
        // One thread writes, others only look.
        count.store(count.load(Relaxed) + 1, Relaxed);
    }

    fn end(&mut self, stream: u32) {
        let now = self.now();
        let slot = self.slot(stream).copied().unwrap_or_default();
        self.in_flight = self.in_flight.saturating_sub(1);
        if !slot.answered {
            self.of.shared.errors.fetch_add(1, Relaxed);
        }
        if self.of.shared.recording.load(Relaxed) {
            let latency = now.saturating_sub(slot.meant).max(1);
            self.of.latencies.borrow_mut().saturating_record(latency);
        }
    }
}
