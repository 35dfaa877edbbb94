//! Takes the data of a COPY out of the stream of messages before the driver sees it: as bytes, and not message by
//! message, which is row by row. The driver sees the messages around it; the tag that ends it is noted on the way,
//! because the driver keeps it to itself.
//!
//! A message of the server is a type byte, a big-endian u32 length that counts itself, and a body
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Bytes of a piece, which are worth handing on. None is longer, however long a row is: pieces of one size leave no holes
/// in memory, and what is too long for it waits at the server.
const PIECE: usize = 1 << 20;

/// Whole pieces that may wait; the server is then left to wait too.
const MOST: usize = 2;

/// Bytes read at once.
const READ: usize = 256 << 10;

/// Messages that are no data are short: what claims more is no message.
const LONGEST_MESSAGE: u32 = 64 << 20;

/// Where the data of a COPY comes out.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// Whole pieces, the oldest first.
    pieces: VecDeque<Vec<u8>>,
    /// The piece that grows.
    last: Vec<u8>,
    tag: Option<String>,
    /// Waits for room.
    reader: Option<Waker>,
    /// Waits for data.
    taker: Option<Waker>,
}

impl Tap {
    /// Opens the tap, on a connection at rest: the next message is the answer to a COPY. It closes by itself when the
    /// server is ready for the next query.
    pub fn open(&self) {
        let mut state = self.lock();
        *state = State { open: true, ..State::default() };
    }

    /// The next piece, a whole one but for the last; none at the end.
    pub async fn next(&self) -> Option<Vec<u8>> {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(piece) = state.pieces.pop_front() {
                state.reader.take().into_iter().for_each(Waker::wake);
                return Poll::Ready(Some(piece));
            }
            if !state.open {
                let last = std::mem::take(&mut state.last);
                return Poll::Ready((!last.is_empty()).then_some(last));
            }
            state.taker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// What the server said at the end (`COPY 42`); none when it did not come to its end.
    pub fn tag(&self) -> Option<String> {
        self.lock().tag.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.last.capacity() == 0 {
                self.last = Vec::with_capacity(PIECE);
            }
            let n = data.len().min(PIECE - self.last.len());
            self.last.extend_from_slice(&data[..n]);
            data = &data[n..];
            if self.last.len() == PIECE {
                self.pieces.push_back(std::mem::take(&mut self.last));
                self.taker.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    fn close(&mut self) {
        self.open = false;
        self.taker.take().into_iter().for_each(Waker::wake);
    }
}

/// A connection with a tap.
#[derive(Debug)]
pub struct Tapped<S> {
    inner: S,
    tap: Tap,
    /// The message that is being read.
    head: Vec<u8>,
    left: usize,
    /// The body of a message whose words are wanted.
    tag: Vec<u8>,
    /// Read, and for the driver.
    pass: Vec<u8>,
    buffer: Vec<u8>,
}

impl<S> Tapped<S> {
    /// A connection whose data comes out of `tap` while that is open.
    pub fn new(inner: S, tap: Tap) -> Self {
        Self { inner, tap, head: Vec::new(), left: 0, tag: Vec::new(), pass: Vec::new(), buffer: Vec::new() }
    }

    /// The connection without it.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Sorts what was read into data and what is the driver's.
    fn sort(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.tap.lock();
        let mut rest = bytes;
        while !rest.is_empty() {
            if !state.open {
                self.pass.extend_from_slice(rest);
                return Ok(());
            }
            if self.head.len() < 5 {
                let n = rest.len().min(5 - self.head.len());
                self.head.extend_from_slice(&rest[..n]);
                rest = &rest[n..];
                if self.head.len() < 5 {
                    break;
                }
                let length = u32::from_be_bytes([self.head[1], self.head[2], self.head[3], self.head[4]]);
                let body = length.checked_sub(4).filter(|body| self.head[0] == b'd' || *body <= LONGEST_MESSAGE);
                let odd = || io::Error::new(io::ErrorKind::InvalidData, "the server sent what is no message");
                self.left = body.and_then(|body| usize::try_from(body).ok()).ok_or_else(odd)?;
                if self.head[0] != b'd' {
                    self.pass.extend_from_slice(&self.head);
                }
            }
            let n = rest.len().min(self.left);
            let (body, behind) = rest.split_at(n);
            match self.head[0] {
                b'd' => state.push(body),
                kind => {
                    self.pass.extend_from_slice(body);
                    if kind == b'C' {
                        self.tag.extend_from_slice(body);
                    }
                }
            }
            rest = behind;
            self.left -= n;
            if self.left == 0 {
                match self.head[0] {
                    b'C' => {
                        let words = std::mem::take(&mut self.tag);
                        let words = words.strip_suffix(b"\0").unwrap_or(&words);
                        state.tag = Some(String::from_utf8_lossy(words).into_owned());
                    }
                    // Ready for the next query.
                    b'Z' => state.close(),
                    _ => {}
                }
                self.head.clear();
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.pass.is_empty() {
                let n = this.pass.len().min(out.remaining());
                out.put_slice(&this.pass[..n]);
                this.pass.drain(..n);
                return Poll::Ready(Ok(()));
            }
            {
                let mut state = this.tap.lock();
                if !state.open {
                    drop(state);
                    return Pin::new(&mut this.inner).poll_read(cx, out);
                }
                if state.pieces.len() >= MOST {
                    state.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
            let mut buffer = std::mem::take(&mut this.buffer);
            buffer.resize(READ, 0);
            let mut read = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut this.inner).poll_read(cx, &mut read);
            let n = read.filled().len();
            let Poll::Ready(done) = polled else {
                this.buffer = buffer;
                return Poll::Pending;
            };
            if done.is_err() || n == 0 {
                this.tap.lock().close();
                return Poll::Ready(done);
            }
            let sorted = this.sort(&buffer[..n]);
            this.buffer = buffer;
            sorted?;
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tapped<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Negotiates TLS below the tap: what comes out of it are messages, not records of TLS.
#[derive(Debug)]
pub struct TapTls<T> {
    /// What negotiates.
    pub tls: T,
    /// The tap of the connection.
    pub tap: Tap,
}

impl<S, T> TlsConnect<Tapped<S>> for TapTls<T>
where
    S: Send + 'static,
    T: TlsConnect<S>,
    T::Stream: Unpin,
    T::Future: Send + 'static,
{
    type Stream = Tapped<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: Tapped<S>) -> Self::Future {
        let Self { tls, tap } = self;
        let connecting = tls.connect(stream.into_inner());
        Box::pin(async move { Ok(Tapped::new(connecting.await?, tap)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    /// What the driver and what the taker see of `wire`, which arrives in pieces of `piece` bytes.
    fn read(wire: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>, Option<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut script = tokio_test_io(wire, piece);
            let tap = Tap::default();
            tap.open();
            let mut stream = Tapped::new(&mut script, tap.clone());
            let mut driver = Vec::new();
            stream.read_to_end(&mut driver).await.unwrap();
            let mut data = Vec::new();
            while let Some(block) = tap.next().await {
                data.extend(block);
            }
            (driver, data, tap.tag())
        })
    }

    /// A reader that hands out a few bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    fn tokio_test_io(wire: &[u8], piece: usize) -> Pieces<'_> {
        Pieces(wire, piece)
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let n = self.0.len().min(self.1).min(out.remaining());
            let (now, later) = self.0.split_at(n);
            out.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn data_goes_one_way_and_everything_else_the_other_however_it_arrives() {
        let around =
            [message(b'H', b"\0\0\x02\0\0\0\0"), message(b'c', b""), message(b'C', b"COPY 2\0"), message(b'Z', b"I")];
        let behind = message(b'd', b"not ours any more");
        let (one, two, notice) = (message(b'd', b"one\n"), message(b'd', b"two\n"), message(b'N', b"a notice"));
        let wire = [&around[0][..], &one, &notice, &two, &around[1], &around[2], &around[3], &behind].concat();
        let driver = [&around[0][..], &notice, &around[1], &around[2], &around[3], &behind].concat();
        for piece in [1, 2, 3, 7, 1000] {
            let (seen, data, tag) = read(&wire, piece);
            assert!(seen == driver, "{piece}");
            assert_eq!((data.as_slice(), tag.as_deref()), (&b"one\ntwo\n"[..], Some("COPY 2")), "{piece}");
        }
    }

    #[test]
    fn a_stream_that_breaks_has_no_tag() {
        let wire = [message(b'H', b"\0\0\x01\0\0"), message(b'd', b"one\n")].concat();
        assert_eq!(read(&wire, 5).2, None);
    }

    #[test]
    fn of_a_long_row_no_more_waits_than_a_few_pieces() {
        let row: Vec<u8> = (0..10 * PIECE + 7).map(|at| at as u8).collect();
        let wire = [message(b'd', &row), message(b'Z', b"I")].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut script = tokio_test_io(&wire, usize::MAX);
            let tap = Tap::default();
            tap.open();
            let mut stream = Tapped::new(&mut script, tap.clone());
            let mut data = Vec::new();
            loop {
                // As far as it goes: nobody takes what has come.
                let mut out = [0; 64];
                let read = std::future::poll_fn(|cx| {
                    Poll::Ready(Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut out)))
                });
                let waits = read.await.is_pending();
                {
                    let state = tap.lock();
                    assert!(state.pieces.len() <= MOST && state.pieces.iter().all(|piece| piece.len() == PIECE));
                    assert!(state.last.capacity() <= PIECE);
                    assert_eq!(waits, state.open);
                }
                let Some(piece) = tap.next().await else { break };
                data.extend(piece);
            }
            assert!(data == row);
        });
    }
}
