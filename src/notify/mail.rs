//! Mail, by SMTP.

use super::message::Message;
use super::timing::Try;
use crate::config::{Email, Smtp, SmtpTls, show_duration};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};
use std::error::Error as _;
use std::io;
use std::time::Duration;

/// Hands the message to the server. With `starttls` a server that does not offer it gets nothing.
///
/// # Errors
/// How the attempt ended otherwise, in words without the password.
pub fn send(email: &Email, message: &Message, limit: Duration) -> Result<(), Try> {
    let smtp = &email.smtp;
    let mail = mail(email, message)?;
    let tls = || {
        let made = TlsParameters::new_rustls(smtp.host.clone());
        made.map_err(|why| Try::Never(format!("TLS with {} cannot be set up: {why}", smtp.host)))
    };
    let tls = match smtp.tls {
        SmtpTls::Starttls => Tls::Required(tls()?),
        SmtpTls::Implicit => Tls::Wrapper(tls()?),
        SmtpTls::None => Tls::None,
    };
    let transport = SmtpTransport::builder_dangerous(&smtp.host).port(smtp.port).tls(tls).timeout(Some(limit));
    let transport = match &smtp.login {
        None => transport,
        Some((user, password)) => {
            let password = password.read().map_err(|why| Try::Never(format!("its `password`: {why}")))?;
            transport.credentials(Credentials::new(user.clone(), password.reveal().to_owned()))
        }
    };
    transport.build().send(&mail).map(drop).map_err(|error| failed(smtp, &error, limit))
}

fn failed(smtp: &Smtp, error: &smtp::Error, limit: Duration) -> Try {
    // What it says of itself is a word; the reason is below.
    let (mut why, mut late, mut below) = (error.to_string(), error.is_timeout(), error.source());
    while let Some(cause) = below {
        // The limit of a socket, as it reads on Linux.
        late |= cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::WouldBlock);
        let text = cause.to_string();
        if !why.contains(&text) {
            why.push_str(&format!(": {text}"));
        }
        below = cause.source();
    }
    let place = format!("{}:{}", smtp.host, smtp.port);
    if late {
        return Try::Again(format!("{place} did not answer within {}", show_duration(limit)));
    }
    let ends = error.is_permanent() || error.is_client() || error.is_tls();
    let why = format!("{place}: {why}");
    if ends { Try::Never(why) } else { Try::Again(why) }
}

fn mail(email: &Email, message: &Message) -> Result<lettre::Message, Try> {
    let mailbox = |address: &str| {
        address.parse::<Mailbox>().map_err(|_| Try::Never(format!("'{}' is no mail address", address.escape_debug())))
    };
    let mut mail = lettre::Message::builder().from(mailbox(&email.from)?).subject(message.subject());
    for address in &email.to {
        mail = mail.to(mailbox(address)?);
    }
    let made = mail.header(ContentType::TEXT_PLAIN).body(message.text());
    made.map_err(|why| Try::Never(format!("the mail cannot be written: {why}")))
}
