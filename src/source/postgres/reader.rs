//! A session that reads tables as bytes: a connection with a tap in it, opened by hand because the driver takes no
//! other stream than its own unless it is given one.

use super::Postgres;
use super::connect::Settings;
use super::copy::Rows;
use super::errors::{self, Failure};
use super::session::Session;
use super::tap::{Tap, TapTls, Tapped};
use crate::error::{Error, Kind, Result};
use crate::pipeline::RecordBlock;
use crate::source::waiting::Patience;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls};

/// A session, and where the data of its COPY comes out.
#[derive(Debug)]
pub struct Reader {
    /// The session.
    pub session: Session,
    /// The tap.
    pub tap: Tap,
}

impl Reader {
    /// Opens one.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open(settings: &Settings, patience: &Arc<Patience>, doing: &str) -> Result<Self> {
        let tap = Tap::default();
        let session = Session::pin(settings.tapped(&tap).await, settings, patience, doing).await?;
        Ok(Self { session, tap })
    }

    /// Runs a COPY … TO STDOUT: shows each row to `keep` (see [`Rows::cut`]), and gives blocks of whole rows to `take`. Returns the rows that
    /// the server says it sent. `place` is what is read, for people. A reader that failed may be anywhere in its answer,
    /// and is not to be asked again.
    ///
    /// # Errors
    /// When the server fails or breaks off, or `keep` or `take` do.
    pub fn copy(
        &self,
        source: &Postgres,
        sql: &str,
        place: &str,
        mut keep: impl FnMut(&[u8]) -> Result<usize>,
        mut take: impl FnMut(RecordBlock) -> Result<()>,
    ) -> Result<u64> {
        let failed = |e: &Failure| errors::relation(e, "read table", place);
        let begun = source.block(async {
            let answer = async {
                // Prepared first: that has an answer of its own, which is no COPY's. The driver hands it over before it has
                // read its end, and a part of that must not come through the tap: when an empty question is answered, all
                // that came before is read.
                let statement = self.session.client.prepare(sql).await?;
                self.session.client.batch_execute("").await?;
                self.tap.open();
                Ok(self.session.client.copy_out(&statement).await?)
            };
            self.session.patience.answer(answer).await.map_err(|e| failed(&e))
        })?;
        // The driver sees the end of it, or an error; the rows do not pass there.
        let end = source.runtime.spawn(async move {
            let mut begun = Box::pin(begun);
            while let Some(piece) = futures_util::StreamExt::next(&mut begun).await {
                piece?;
            }
            Ok::<(), tokio_postgres::Error>(())
        });
        let mut rows = Rows::default();
        loop {
            let next = source.block(async {
                let next = async { Ok::<_, Failure>(self.tap.next().await) };
                self.session.patience.answer(next).await.map_err(|e| failed(&e))
            })?;
            let Some(bytes) = next else { break };
            let block = rows.cut(bytes, &mut keep)?;
            // Of a long row many pieces bring no end.
            if block.records > 0 {
                take(block)?;
            }
        }
        let ended = source
            .block(async { end.await.map_err(|e| Error::new(Kind::Internal, "the driver's task died").cause(e)) })?;
        ended.map_err(|e| failed(&e.into()))?;
        rows.finish()?;
        let told = self.tap.tag().and_then(|tag| tag.strip_prefix("COPY ")?.parse().ok());
        told.ok_or_else(|| {
            Error::new(Kind::Source, format!("the server did not end its answer with the rows of {place}"))
        })
    }
}

impl Settings {
    /// The first of the hosts that lets us in.
    async fn tapped(&self, tap: &Tap) -> Result<Client, Failure> {
        let config = self.config();
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        let mut refused = None;
        for index in 0..hosts.len().max(addresses.len()) {
            let port = config.get_ports().get(index).or(config.get_ports().first()).copied().unwrap_or(5432);
            let client = match (hosts.get(index), addresses.get(index)) {
                (Some(Host::Unix(folder)), _) => {
                    let path = folder.join(format!(".s.PGSQL.{port}"));
                    match UnixStream::connect(path).await {
                        Ok(stream) => started(config, Tapped::new(stream, tap.clone()), NoTls).await,
                        Err(e) => Err(e.into()),
                    }
                }
                (Some(Host::Tcp(name)), address) => self.over_tcp(tap, name, address.copied(), port).await,
                (None, Some(address)) => self.over_tcp(tap, &address.to_string(), Some(*address), port).await,
                (None, None) => continue,
            };
            match client {
                Ok(client) => return Ok(client),
                Err(failure) => refused = Some(failure),
            }
        }
        Err(refused.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into()))
    }

    async fn over_tcp(&self, tap: &Tap, name: &str, address: Option<IpAddr>, port: u16) -> Result<Client, Failure> {
        let stream = match address {
            Some(address) => TcpStream::connect((address, port)).await?,
            None => TcpStream::connect((name, port)).await?,
        };
        stream.set_nodelay(true)?;
        let stream = Tapped::new(stream, tap.clone());
        match self.connector() {
            Some(mut connector) => {
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, name);
                let tls = tls.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
                started(self.config(), stream, TapTls { tls, tap: tap.clone() }).await
            }
            None => started(self.config(), stream, NoTls).await,
        }
    }
}

/// Lets the driver have the stream. What it does in the background ends with the runtime, or with the client.
async fn started<S, T>(config: &Config, stream: Tapped<S>, tls: T) -> Result<Client, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<Tapped<S>>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await?;
    tokio::spawn(connection);
    Ok(client)
}
