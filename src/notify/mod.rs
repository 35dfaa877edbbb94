//! Tells people and machines how runs went: webhooks, Slack, pings, mail. Nothing here can change how a run went: who
//! cannot be told is a line in the log and in the audit log.

mod alerts;
mod http;
mod mail;
mod message;
mod timing;

pub use alerts::{History, Space, low_space};
pub use message::{Message, Operation, RunStatus, TenantLine};

use crate::config::{Channel, Notifier};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use timing::Try;

/// How telling one of them went.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The notifier's name.
    pub name: String,
    /// `webhook`, `slack`, `healthcheck` or `email`.
    pub kind: &'static str,
    /// Why it did not arrive. No more is known of a URL than its host.
    pub error: Option<String>,
}

/// Longer than its own limit nobody is waited for, whatever a resolver or a server does.
const GRACE: Duration = Duration::from_millis(500);

/// Tells each of `notifiers` of its messages, all at once, and waits for each no longer than its limit.
pub fn deliver(notifiers: Vec<(Notifier, Vec<Message>)>) -> Vec<Delivery> {
    let begun = notifiers.into_iter().map(|(notifier, messages)| {
        let (name, kind, limit) = (notifier.name.clone(), notifier.channel.word(), notifier.limit);
        let (sender, receiver) = channel();
        let deadline = Instant::now() + limit;
        // It may hang in a resolver that knows no limit; the process ends without it then.
        let started = thread::Builder::new().name(format!("notify-{kind}")).spawn(move || {
            let told = messages.iter().try_for_each(|message| tell(&notifier.channel, message, deadline, limit));
            // Nobody waits any more when the send fails.
            let _ = sender.send(told);
        });
        (name, kind, limit, deadline, receiver, started.is_ok())
    });
    let begun: Vec<_> = begun.collect();
    let ended = begun.into_iter().map(|(name, kind, limit, deadline, receiver, started)| {
        let left = deadline.saturating_duration_since(Instant::now()) + GRACE;
        let told = match receiver.recv_timeout(left) {
            Ok(told) => told,
            Err(_) if started => Err(timing::late(limit)),
            Err(_) => Err("no thread could be started for it".to_owned()),
        };
        Delivery { name, kind, error: told.err() }
    });
    ended.collect()
}

fn tell(channel: &Channel, message: &Message, deadline: Instant, limit: Duration) -> Result<(), String> {
    timing::repeat(deadline, limit, |each| match channel {
        Channel::Webhook { url, secret } => http::webhook(url, secret.as_ref(), message, each),
        Channel::Slack(url) => http::slack(url, message, each),
        Channel::Healthcheck(url) => http::ping(url, message, each),
        Channel::Email(email) => match mail::send(email, message, each) {
            Ok(()) => Try::Done,
            Err(failed) => failed,
        },
    })
}
