//! Small servers of HTTP and SMTP that note what they get, with and without TLS, and that misbehave when told to.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// An authority, and what it has certified: a server of that name.
pub struct Certified {
    folder: TempDir,
}

impl Certified {
    /// A certificate for `name` (`DNS:localhost`), made by openssl.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
            assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 {key} -days 2 -keyout ca.key -out ca.crt -subj /CN=ca"));
        openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=server"));
        std::fs::write(folder.path().join("names"), format!("subjectAltName={name}\n")).unwrap();
        openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
        );
        Self { folder }
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    fn config(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.folder.path().join("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.folder.path().join("server.key")).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn encrypted(stream: TcpStream, config: &Arc<ServerConfig>) -> Box<dyn Stream> {
    Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream))
}

/// How a web server answers one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    Status(u16),
    /// To another address.
    Redirect,
    /// What is no HTTP.
    Garbage,
    /// Not at all; the connection stays open.
    Never,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: String,
    pub body: String,
}

impl Request {
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let found =
            self.headers.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.to_lowercase() == name));
        found.map(|(_, value)| value.to_owned())
    }
}

/// A web server. It answers as it is told, and 200 when it was told nothing.
pub struct WebServer {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl WebServer {
    pub fn new() -> Self {
        Self::start(None)
    }

    pub fn encrypted(certified: &Certified) -> Self {
        Self::start(Some(certified.config()))
    }

    fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server =
            Self { port: listener.local_addr().unwrap().port(), requests: Arc::default(), answers: Arc::default() };
        let (requests, answers) = (server.requests.clone(), server.answers.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, answers, tls) = (requests.clone(), answers.clone(), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(stream),
                        Some(tls) => encrypted(stream, &tls),
                    };
                    // A client that does not like our certificate is none of ours.
                    let _ = serve(stream, &requests, &answers);
                });
            }
        });
        server
    }

    /// How the next requests are answered.
    pub fn answer(&self, answers: &[Answer]) {
        *self.answers.lock().unwrap() = answers.iter().copied().collect();
    }

    /// What has come since this was asked last.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// The paths of what has come since.
    pub fn paths(&self) -> Vec<String> {
        self.take().into_iter().map(|request| request.path).collect()
    }

    /// The `type` of each document that has come since.
    pub fn types(&self) -> Vec<String> {
        self.take().iter().map(|request| request.json()["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn serve(
    stream: Box<dyn Stream>,
    requests: &Mutex<Vec<Request>>,
    answers: &Mutex<VecDeque<Answer>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = String::new();
    while stream.read_line(&mut headers)? > 2 {}
    let mut request = Request { path, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.body = String::from_utf8(body).unwrap();
    let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
    requests.lock().unwrap().push(request);
    let text = match answer {
        Answer::Status(code) => format!("HTTP/1.1 {code} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
        Answer::Redirect => "HTTP/1.1 307 x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".into(),
        Answer::Garbage => "\u{1}\u{2}garbage\r\n\r\n".into(),
        Answer::Never => {
            // Until the client gives up.
            let _ = stream.read(&mut [0]);
            return Ok(());
        }
    };
    stream.get_mut().write_all(text.as_bytes())?;
    stream.get_mut().flush()
}

/// A mail server. It takes what comes; its only user is `backup`, its password `m4il-canary`.
pub struct MailServer {
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

/// How a mail server is encrypted.
pub enum Mail<'a> {
    Plain,
    Starttls(&'a Certified),
    Implicit(&'a Certified),
    /// It never says a word.
    Silent,
    /// Its first word never ends, and there is always a bit more of it.
    Endless,
}

impl MailServer {
    pub fn new(how: &Mail<'_>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), lines: Arc::default() };
        let lines = server.lines.clone();
        let (implicit, starttls) = match how {
            Mail::Implicit(certified) => (Some(certified.config()), None),
            Mail::Starttls(certified) => (None, Some(certified.config())),
            Mail::Plain | Mail::Silent | Mail::Endless => (None, None),
        };
        let (silent, endless) = (matches!(how, Mail::Silent), matches!(how, Mail::Endless));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (lines, implicit, starttls) = (lines.clone(), implicit.clone(), starttls.clone());
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    lines.lock().unwrap().push("(connected)".into());
                    if silent {
                        let _ = stream.read(&mut [0]);
                        return;
                    }
                    while endless && stream.write_all(b"2").is_ok() {
                        thread::sleep(Duration::from_millis(50));
                    }
                    // A client that goes away in the middle is what some tests are about.
                    let _ = match (implicit, starttls) {
                        (Some(tls), _) => greet(encrypted(stream, &tls), &lines, false).map(drop),
                        (None, None) => greet(Box::new(stream), &lines, false).map(drop),
                        (None, Some(tls)) => {
                            greet(Box::new(stream.try_clone().unwrap()), &lines, true).and_then(|upgrade| {
                                if upgrade { talk(encrypted(stream, &tls), &lines, false).map(drop) } else { Ok(()) }
                            })
                        }
                    };
                });
            }
        });
        server
    }

    /// Every line that came, and what the server noted of it.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

fn greet(mut stream: Box<dyn Stream>, lines: &Mutex<Vec<String>>, offers: bool) -> std::io::Result<bool> {
    stream.write_all(b"220 sink\r\n")?;
    stream.flush()?;
    talk(stream, lines, offers)
}

/// Whether the client wants the connection to be encrypted from here on.
fn talk(stream: Box<dyn Stream>, lines: &Mutex<Vec<String>>, offers: bool) -> std::io::Result<bool> {
    let mut stream = BufReader::new(stream);
    let mut data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let line = line.trim_end().to_owned();
        lines.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if data => {
                data = false;
                "250 taken"
            }
            _ if data => continue,
            "EHLO" if offers => "250-sink\r\n250 STARTTLS",
            "EHLO" => "250-sink\r\n250 AUTH PLAIN",
            "STARTTLS" if offers => "220 go on",
            // NUL, user, NUL, password, in base64.
            "AUTH" if line == "AUTH PLAIN AGJhY2t1cABtNGlsLWNhbmFyeQ==" => "235 welcome",
            "AUTH" => "535 wrong password",
            "DATA" => {
                data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
        stream.get_mut().flush()?;
        if line == "STARTTLS" && offers {
            return Ok(true);
        }
    }
}
