//! One connection: fills it with requests, and counts what comes back.

use std::{
    io::ErrorKind,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use super::{
    Generator, Pace,
    frames::{self, Frame, kind},
    verdict,
};

/// Streams whose state is kept; more than are ever in flight.
const SLOTS: usize = 1 << 16;
/// Bytes received before the peer is given room for more.
const WINDOW_STEP: usize = 1 << 24;

/// Sends requests until the load ends; connects again where the server wants it.
pub(super) async fn keep_busy(generator: Rc<Generator>, number: usize) {
    let mut sent = 0;
    loop {
        let stream = TcpStream::connect(generator.plan.address).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut connection = Connection::new(&generator, number, sent);
        connection.run(&stream).await;
        sent = connection.sent;
        if generator.shared.stop.load(Relaxed) {
            return;
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
    fn new(of: &'a Generator, number: usize, sent: u64) -> Self {
        let plan = &of.plan;
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
            headers: frames::first_headers(&plan.address.to_string(), plan.bodies.path),
            credit: 65_535,
            received: 0,
            closing: false,
        }
    }

    async fn run(&mut self, stream: &TcpStream) {
        let mut buffer = vec![0; 1 << 18];
        loop {
            let ending = self.closing || self.of.shared.stop.load(Relaxed);
            if ending && self.in_flight == 0 {
                return;
            }
            if !ending {
                self.fill();
            }
            self.write(stream);
            self.wait(stream).await;
            loop {
                match stream.try_read(&mut buffer) {
                    Ok(0) => panic!("the server closed the connection"),
                    Ok(read) => self.take(&buffer[..read]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("the connection failed: {error}"),
                }
            }
        }
    }

    async fn wait(&self, stream: &TcpStream) {
        match self.of.plan.pace {
            Pace::Full if self.out.is_empty() => stream.readable().await.expect("a socket"),
            Pace::Full => {
                let both = tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE;
                stream.ready(both).await.map(drop).expect("a socket");
            }
            Pace::Exact(_) => tokio::task::yield_now().await,
            Pace::Coarse(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }

    fn write(&mut self, stream: &TcpStream) {
        while self.written < self.out.len() {
            match stream.try_write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the connection failed: {error}"),
            }
        }
        self.out.clear();
        self.written = 0;
    }

    fn fill(&mut self) {
        let now = self.now();
        while self.in_flight < self.of.plan.streams {
            let meant = self.meant(now);
            let number = self.of.shared.begun.load(Relaxed);
            let body = self.of.plan.bodies.at(number);
            let size = i64::try_from(body.len()).expect("a short body");
            if meant > now || size > self.credit {
                return;
            }
            frames::request(&mut self.out, &self.headers, self.next_stream, body);
            if self.next_stream == 1 {
                self.headers = frames::LATER_HEADERS.to_vec();
            }
            *self.slot(self.next_stream) = Slot { meant, answered: false };
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
        u64::try_from(Instant::now().duration_since(self.of.start).as_nanos()).expect("a while")
    }

    fn slot(&mut self, stream: u32) -> &mut Slot {
        &mut self.slots[stream as usize / 2 % SLOTS]
    }

    fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while let Some((frame, length)) = frames::frame(rest) {
            self.meet(&frame);
            rest = &rest[length..];
        }
        let left = rest.len();
        self.input = input;
        self.input.drain(..self.input.len() - left);
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
                let by = frame.payload.first_chunk::<4>().expect("four bytes");
                self.credit += i64::from(u32::from_be_bytes(*by));
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
            frames::window_update(&mut self.out, u32::try_from(self.received).expect("small"));
            self.received = 0;
        }
        if std::mem::replace(&mut self.slot(frame.stream).answered, true) {
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
        let slot = *self.slot(stream);
        self.in_flight -= 1;
        if !slot.answered {
            self.of.shared.errors.fetch_add(1, Relaxed);
        }
        if self.of.shared.recording.load(Relaxed) {
            let latency = now.saturating_sub(slot.meant).max(1);
            self.of.latencies.borrow_mut().saturating_record(latency);
        }
    }
}
