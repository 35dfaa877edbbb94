//! A session that reads tables as bytes: a connection with a tap in it, opened by hand because the driver takes no
//! other stream than its own unless it is given one.

use super::connect::Settings;
use super::errors::Failure;
use super::session::Session;
use super::tap::{Tap, TapTls, Tapped};
use crate::error::Result;
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
