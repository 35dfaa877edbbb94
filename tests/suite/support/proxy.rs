//! A proxy before a server, which can hold one connection at a chosen byte: a run behind it is then certainly midway.

use super::mongod::until;
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
    /// The next connection that brings this many bytes is held.
    armed: Option<usize>,
    held: bool,
}

impl Proxy {
    /// Passes everything on to 127.0.0.1:`server`.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = proxy.shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, |_| {}));
                let shared = shared.clone();
                let mut brought = 0;
                std::thread::spawn(move || {
                    pass(server, client, |bytes| {
                        brought += bytes;
                        shared.hold(brought);
                    });
                });
            }
        });
        proxy
    }

    /// Holds the next connection over which the server sends `bytes`; all others go on.
    pub fn hold_after(&self, bytes: usize) {
        self.shared.state.lock().unwrap().armed = Some(bytes);
    }

    /// Waits until a connection is held.
    pub fn await_held(&self) {
        until("a held connection", || self.shared.state.lock().unwrap().held);
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.shared.state.lock().unwrap().held = false;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn hold(&self, brought: usize) {
        let mut state = self.state.lock().unwrap();
        if state.armed.is_none_or(|bytes| brought < bytes) {
            return;
        }
        state.armed = None;
        state.held = true;
        let _released = self.changed.wait_while(state, |state| state.held).unwrap();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut passed: impl FnMut(usize)) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        passed(bytes);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
