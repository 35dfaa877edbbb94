//! A proxy before a server, which can hold its answers, or cut every connection, at a chosen byte or request: a run
//! behind it is then certainly midway.

use super::mongod::until;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A listening proxy.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What happens to the next connection over which the server sends this many bytes.
    bytes: Option<(usize, Fault)>,
    /// What happens at a request that holds this word, after so many others that did.
    word: Option<(&'static str, usize, Fault)>,
    /// The connections with these numbers are held.
    held: BTreeSet<usize>,
    /// Requests are held too.
    requests_held: bool,
    /// Every answer is held.
    all_held: bool,
    /// Every connection is cut, and new ones are.
    cut: bool,
    fired: bool,
    connections: Vec<TcpStream>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    HoldOne,
    /// Every connection over which it is asked.
    HoldEach,
    HoldAll,
    HoldRequest,
    Cut,
}

impl Proxy {
    /// Passes everything on to 127.0.0.1:`server`.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = proxy.shared.clone();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                if shared.state.lock().unwrap().cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                shared.state.lock().unwrap().connections.extend(ends);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let asking = shared.clone();
                std::thread::spawn(move || pass(from, to, |request| asking.asked(number, request)));
                let answering = shared.clone();
                let mut brought = 0;
                std::thread::spawn(move || {
                    pass(server, client, |answer| {
                        brought += answer.len();
                        answering.answered(number, brought)
                    });
                });
            }
        });
        proxy
    }

    /// Holds the next connection over which the server sends `bytes`; all others go on.
    pub fn hold_after(&self, bytes: usize) {
        self.arm().bytes = Some((bytes, Fault::HoldOne));
    }

    /// Cuts everything when the server has sent `bytes` over one connection.
    pub fn cut_after(&self, bytes: usize) {
        self.arm().bytes = Some((bytes, Fault::Cut));
    }

    /// Holds every answer from the next request on that holds `word`.
    pub fn hold_at(&self, word: &'static str) {
        self.arm().word = Some((word, 0, Fault::HoldAll));
    }

    /// Holds every connection over which the word is sent from now on; all others go on.
    pub fn hold_each(&self, word: &'static str) {
        self.arm().word = Some((word, 0, Fault::HoldEach));
    }

    /// Holds the next request that holds `word` before the server has it; all other connections go on.
    pub fn hold_request(&self, word: &'static str) {
        self.arm().word = Some((word, 0, Fault::HoldRequest));
    }

    /// Cuts everything before a request that holds `word` is passed on, after `others` that were.
    pub fn cut_at(&self, word: &'static str, others: usize) {
        self.arm().word = Some((word, others, Fault::Cut));
    }

    fn arm(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap();
        state.fired = false;
        state
    }

    /// Whether the fault has fired.
    pub fn has_fired(&self) -> bool {
        self.shared.state.lock().unwrap().fired
    }

    /// Waits until the fault has fired.
    pub fn await_held(&self) {
        until("a fault that fired", || self.has_fired());
    }

    /// Lets everything go on, as if nothing had been.
    pub fn release(&self) {
        let mut state = self.shared.state.lock().unwrap();
        (state.bytes, state.word, state.all_held, state.requests_held, state.cut) = (None, None, false, false, false);
        state.held.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Whether a request may be passed on.
    fn asked(&self, number: usize, request: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap();
        if let Some((word, others, fault)) = state.word
            && request.windows(word.len()).any(|part| part == word.as_bytes())
        {
            if fault != Fault::HoldEach {
                state.word = others.checked_sub(1).map(|others| (word, others, fault));
            }
            if others == 0 {
                state.fire(number, fault);
            }
        }
        let held = |state: &mut State| state.requests_held && state.held.contains(&number);
        !self.changed.wait_while(state, held).unwrap().cut
    }

    /// Whether an answer may be passed on; waits while it may not.
    fn answered(&self, number: usize, brought: usize) -> bool {
        let mut state = self.state.lock().unwrap();
        if let Some((bytes, fault)) = state.bytes
            && brought >= bytes
        {
            state.bytes = None;
            state.fire(number, fault);
        }
        let held = |state: &mut State| state.all_held || state.held.contains(&number);
        !self.changed.wait_while(state, held).unwrap().cut
    }
}

impl State {
    fn fire(&mut self, number: usize, fault: Fault) {
        self.fired = true;
        match fault {
            Fault::HoldOne | Fault::HoldEach => drop(self.held.insert(number)),
            Fault::HoldRequest => {
                self.requests_held = true;
                self.held.insert(number);
            }
            Fault::HoldAll => self.all_held = true,
            Fault::Cut => {
                self.cut = true;
                for connection in self.connections.drain(..) {
                    let _ = connection.shutdown(Shutdown::Both);
                }
            }
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut may_pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if !may_pass(&buffer[..bytes]) || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
