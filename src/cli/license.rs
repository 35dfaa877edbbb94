//! `backup license`: what is granted, from where, until when, and which modules that enables.

use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::config::{Config, License, LicenseOrigin, SecretSource};
use crate::error::Result;
use crate::license;
use crate::modules::{self, Grant, GrantState, ListedModule, State};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Show what is licensed, until when, and which modules that enables
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup license\nbackup license --tenant acme\nbackup --json license | jq '.licenses[].daysLeft'", &[Exit::NotFound]))]
#[command(long_about = "Show what is licensed, until when, and which modules that enables\n\n\
    Ends with 2 when a licence is not valid, also while its features are kept on grace.")]
pub struct Args {
    /// Also this tenant's own licence, and the modules it has
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

/// Field names are a contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    tenant_id: Option<&'a str>,
    valid: bool,
    licenses: Vec<Listed<'a>>,
    modules: Vec<Module<'a>>,
}

/// One licence.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    /// `installation`, or `tenant`.
    of: &'a str,
    grant: &'a Grant,
    /// File or program it comes from; none: the configuration.
    location: Option<String>,
    /// A signature vouches for it; else it is believed as it is written.
    signed: bool,
    days_left: Option<i64>,
    grace_days_left: Option<i64>,
}

/// One module, as far as licences matter.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Module<'a> {
    name: &'a str,
    license_feature: Option<&'a str>,
    state: State,
    reason: &'a str,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let scope = settings::scope(args.tenant.as_deref())?;
    let cancel = settings.cancel()?;
    let config = settings.load_for(&scope, &cancel)?;
    let now = time::now();
    let grants = license::grants(&config, &scope, now);
    let modules = modules::list(&config, &grants, scope.tenant())?;
    let own = grants.tenant.as_ref().zip(scope.tenant()).and_then(|(grant, id)| {
        let license = config.tenancy.tenants.get(id)?.license.as_ref()?;
        Some(listed("tenant", grant, license, now))
    });
    let installation = listed("installation", &grants.installation, &config.license, now);
    let document = Document {
        tenant_id: args.tenant.as_deref(),
        valid: grants.are_valid(),
        licenses: std::iter::once(installation).chain(own).collect(),
        modules: modules.iter().map(module).collect(),
    };
    let exit = if document.valid { Exit::Success } else { Exit::Usage };
    Ok(Report::new(render(&document, &config, output::width()), &document)?.exit(exit))
}

fn module(module: &ListedModule) -> Module<'_> {
    Module {
        name: &module.name,
        license_feature: module.license_feature.as_deref(),
        state: module.state,
        reason: &module.reason,
    }
}

fn listed<'a>(of: &'a str, grant: &'a Grant, license: &License, now: DateTime<Utc>) -> Listed<'a> {
    let location = match &license.origin {
        LicenseOrigin::File(path) | LicenseOrigin::Token(SecretSource::File(path)) => Some(path.display().to_string()),
        LicenseOrigin::Token(SecretSource::Command { line, .. }) => line.first().cloned(),
        LicenseOrigin::Features(_) | LicenseOrigin::Token(SecretSource::Text(_)) => None,
    };
    let days_to = |at: DateTime<Utc>| (at - now).num_days().max(0);
    Listed {
        of,
        grant,
        location,
        signed: matches!(license.origin, LicenseOrigin::Token(_)),
        days_left: grant.expires.map(days_to),
        grace_days_left: grant.grace_until.map(days_to),
    }
}

fn render(document: &Document<'_>, config: &Config, width: Option<u16>) -> String {
    let mut out = String::new();
    for listed in &document.licenses {
        out.push_str(&one(listed, document, config));
        out.push('\n');
    }
    let rows = document.modules.iter().map(|module| {
        let state = match module.state {
            State::Required => "required",
            State::Enabled => "enabled",
            State::Excluded => "excluded",
        };
        let feature = module.license_feature.unwrap_or("-").to_owned();
        vec![module.name.to_owned(), feature, state.to_owned(), module.reason.to_owned()]
    });
    out.push_str(&text::table(&["MODULE", "FEATURE", "STATE", "REASON"], &[], rows.collect(), width));
    out
}

fn one(listed: &Listed<'_>, document: &Document<'_>, config: &Config) -> String {
    let grant = listed.grant;
    let whose = match document.tenant_id.filter(|_| listed.of == "tenant") {
        Some(tenant) => format!("tenant {tenant}"),
        None => config.installation.clone(),
    };
    let state = match grant.state {
        GrantState::Valid => "valid",
        GrantState::Grace => "NOT VALID, kept on grace",
        GrantState::Invalid => "NOT VALID",
    };
    let left = |at: DateTime<Utc>, days: Option<i64>| {
        let left = text::count(days.unwrap_or_default().unsigned_abs(), "day", "days");
        format!("{} ({left} left)", text::time(at))
    };
    let source = format!(
        "{}{}{}",
        grant.source.as_deref().unwrap_or_default(),
        listed.location.as_ref().map_or(", in the configuration".to_owned(), |location| format!(", {location}")),
        if listed.signed { "" } else { " (not signed)" }
    );
    let granted = if grant.features.is_empty() { "nothing".to_owned() } else { grant.features.join(", ") };
    let facts = [
        ("Source", Some(source)),
        ("Issuer", grant.issuer.clone()),
        ("Grants", Some(granted)),
        ("Ends", grant.expires.map(|at| left(at, listed.days_left))),
        ("Grace until", grant.grace_until.map(|at| left(at, listed.grace_days_left))),
        ("Problem", grant.problem.clone()),
        ("To do", grant.remedy.clone()),
    ];
    let mut out = format!("Licence of {}: {state}\n", text::printable(&whose));
    for (label, value) in facts {
        if let Some(value) = value {
            out.push_str(&format!("{:<14}{}\n", format!("{label}:"), text::printable(&value)));
        }
    }
    out
}
