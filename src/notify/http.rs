//! Webhooks, Slack and pings. A URL is a secret: whoever has it can write there. No message holds more of it than
//! its host.

use super::message::Message;
use super::timing::Try;
use crate::config::{Occasion, SecretSource};
use crate::keys::hmac_sha256;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error};

/// Header with the code of the body, in the form that GitHub gave it: `sha256=` and hexadecimal digits.
const SIGNATURE: &str = "x-backup-signature";

/// The message as it is, signed where there is a key.
pub fn webhook(url: &SecretSource, secret: Option<&SecretSource>, message: &Message, limit: Duration) -> Try {
    let Ok(body) = serde_json::to_string(message) else { return Try::Never("the message is no JSON".into()) };
    let signature = match secret.map(SecretSource::read).transpose() {
        Ok(secret) => {
            secret.map(|secret| format!("sha256={}", hmac_sha256(secret.reveal().as_bytes(), body.as_bytes())))
        }
        Err(why) => return Try::Never(format!("its `secret`: {why}")),
    };
    post(url, "", "application/json", signature.as_deref(), &body, limit)
}

/// As text, in the document that Slack reads, with its three special characters escaped.
pub fn slack(url: &SecretSource, message: &Message, limit: Duration) -> Try {
    let text = format!("*{}*\n{}", message.subject(), message.text());
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    post(url, "", "application/json", None, &json!({ "text": text }).to_string(), limit)
}

/// A ping, by what Healthchecks has made usual: `/start`, nothing, `/fail`. A test is `/log`, which changes no state: a
/// success that was none would hide a backup that is missing.
pub fn ping(url: &SecretSource, message: &Message, limit: Duration) -> Try {
    let end = match message.event {
        Occasion::Started => "/start",
        Occasion::Partial | Occasion::Failed | Occasion::VerificationFailed => "/fail",
        Occasion::Test => "/log",
        Occasion::Success | Occasion::Recovered | Occasion::Deleted | Occasion::Restored => "",
    };
    post(url, end, "text/plain; charset=utf-8", None, &message.text(), limit)
}

fn post(url: &SecretSource, end: &str, kind: &str, signature: Option<&str>, body: &str, limit: Duration) -> Try {
    let url = match url.read() {
        Ok(url) => extended(url.reveal().trim(), end),
        Err(why) => return Try::Never(format!("its URL: {why}")),
    };
    let host = host(&url);
    let agent = match agent(limit, url.starts_with("https:")) {
        Ok(agent) => agent,
        Err(why) => return Try::Never(why),
    };
    let mut request = agent.post(&url).header("content-type", kind);
    if let Some(signature) = signature {
        request = request.header(SIGNATURE, signature);
    }
    match request.send(body) {
        Ok(answer) => match answer.status().as_u16() {
            200..=299 => Try::Done,
            code @ (408 | 425 | 429 | 500..=599) => Try::Again(format!("{host} answered {}", named(code))),
            code @ 300..=399 => Try::Never(format!("{host} answered {}, and redirects are not followed", named(code))),
            code => Try::Never(format!("{host} answered {}: check the URL", named(code))),
        },
        Err(error) => failed(&host, &error, limit),
    }
}

/// Redirects are not followed: they could lead the message, and the way in, to somebody else, or into the clear.
fn agent(limit: Duration, encrypted: bool) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("backup/", env!("CARGO_PKG_VERSION")));
    if encrypted {
        let authorities = rustls_native_certs::load_native_certs().certs;
        if authorities.is_empty() {
            return Err(
                "this machine knows no authority to check the server's certificate by; install ca-certificates".into(),
            );
        }
        let authorities: Vec<_> = authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::new_with_certs(&authorities));
        config = config.tls_config(tls.build());
    }
    Ok(config.build().new_agent())
}

/// What went wrong, in words that hold nothing of the URL.
fn failed(host: &str, error: &Error, limit: Duration) -> Try {
    use crate::config::show_duration;
    match error {
        Error::Timeout(_) => Try::Again(format!("{host} did not answer within {}", show_duration(limit))),
        Error::HostNotFound => Try::Again(format!("there is no address for {host}")),
        Error::Rustls(why) => Try::Never(format!("{host} is not who it should be: {why}")),
        Error::Io(why) if why.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Try::Never(format!("{host} is not who it should be: {why}"))
        }
        Error::Io(why) => Try::Again(format!("{host}: {why}")),
        Error::ConnectionFailed => Try::Again(format!("{host} cannot be reached")),
        Error::Protocol(_) => Try::Again(format!("what {host} answers is no HTTP")),
        Error::BadUri(_) | Error::Http(_) => Try::Never("its URL is none".into()),
        _ => Try::Again(format!("{host} cannot be told")),
    }
}

/// `url` with `end` behind its path.
fn extended(url: &str, end: &str) -> String {
    match url.split_once('?') {
        Some((path, query)) => format!("{}{end}?{query}", path.trim_end_matches('/')),
        None if end.is_empty() => url.to_owned(),
        None => format!("{}{end}", url.trim_end_matches('/')),
    }
}

/// The host of a URL, with its port: all of it that is no secret.
fn host(url: &str) -> String {
    let authority = url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = authority.map(|authority| authority.rsplit_once('@').map_or(authority, |(_, host)| host));
    host.filter(|host| !host.is_empty()).unwrap_or("the server").to_owned()
}

/// `404 Not Found`.
fn named(code: u16) -> String {
    ureq::http::StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |code| code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_extended_before_the_query() {
        assert_eq!(extended("https://h/ping/1", "/fail"), "https://h/ping/1/fail");
        assert_eq!(extended("https://h/ping/1/", "/start"), "https://h/ping/1/start");
        assert_eq!(extended("https://h/p?key=1", "/fail"), "https://h/p/fail?key=1");
        assert_eq!(extended("https://h/p/", ""), "https://h/p/");
    }

    #[test]
    fn of_a_url_the_host_alone_is_shown() {
        for url in ["https://u:s3cret@h:1/s3cret?s3cret#s3cret", "http://h:1", "https://h:1?s3cret"] {
            assert_eq!(host(url), "h:1");
        }
        assert_eq!(host("s3cret"), "the server");
    }
}
