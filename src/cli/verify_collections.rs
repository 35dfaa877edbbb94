//! `backup verify-collections`: what the configuration expects against what the sources hold.

use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::config::Config;
use crate::error::Result;
use crate::license;
use crate::names::Scope;
use crate::notify::{Message, Operation, RunStatus};
use crate::pipeline::Cancel;
use crate::verify_collections::{self, VerificationStatus};

/// Compare expected with existing collections, and check their relationships
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = exit::help(
    "backup verify-collections\nbackup verify-collections --tenant acme --module life-insurance\nbackup verify-collections --strict -q",
    &[Exit::Partial, Exit::Damaged, Exit::NotFound]))]
pub struct Args {
    /// Only what this tenant's backup would cover
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only this module; may be repeated
    #[arg(short, long, value_name = "MODULE")]
    module: Vec<String>,
    /// End with code 3 where there are warnings
    #[arg(long)]
    strict: bool,
    /// The job of the configuration that this is
    #[arg(skip)]
    job: Option<String>,
}

impl Args {
    /// Those of a job.
    pub fn job(name: &str) -> Self {
        Self { job: Some(name.to_owned()), ..Self::default() }
    }
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let scope = settings::scope(args.tenant.as_deref())?;
    let cancel = settings.cancel()?;
    let written = settings.load()?;
    let around = Around::new(settings, &written, &cancel, Operation::VerifyCollections, args.job.as_deref())?;
    around.of(&scope).run(|message| work(args, settings, &written, &scope, &cancel, message))
}

fn work(
    args: &Args,
    settings: &Settings,
    written: &Config,
    scope: &Scope,
    cancel: &Cancel,
    mut message: Message,
) -> Result<Told> {
    let config = settings.known_to(written, scope, cancel)?;
    let grants = license::required(&config, scope, time::now())?;
    for warning in grants.warnings() {
        settings.events.warn(warning);
    }
    let report = verify_collections::run(&config, &grants, scope.tenant(), &args.module, cancel)?;
    (message.status, message.errors, message.warnings) = match report.verification_status {
        VerificationStatus::Failed => (RunStatus::Failed, report.findings.clone(), Vec::new()),
        VerificationStatus::Passed | VerificationStatus::Warning => {
            (RunStatus::Success, Vec::new(), report.findings.clone())
        }
    };
    let exit = match report.verification_status {
        VerificationStatus::Failed => Exit::Damaged,
        VerificationStatus::Warning if args.strict => Exit::Partial,
        VerificationStatus::Passed | VerificationStatus::Warning => Exit::Success,
    };
    let shown = Report::new(render(&report, output::width()), &report)?.exit(exit);
    // Of some modules alone the figures would not be those of the scope.
    if args.module.is_empty() {
        let _ = settings.found.set(report);
    }
    Ok(Told::plain(shown, message))
}

fn render(report: &verify_collections::Report, width: Option<u16>) -> String {
    let status = match report.verification_status {
        VerificationStatus::Passed => "passed",
        VerificationStatus::Warning => "passed with warnings",
        VerificationStatus::Failed => "failed",
    };
    let counts = [
        ("expected", &report.expected_collections),
        ("existing", &report.existing_collections),
        ("missing", &report.missing_collections),
        ("extra", &report.extra_collections),
    ]
    .map(|(word, names)| format!("{} {word}", text::number(names.len() as u64)));
    let mut out = format!("Collections: {}\n", counts.join(", "));
    out.push_str(&text::list("Missing", &report.missing_collections));
    out.push_str(&text::list("Extra (in no module, so in no backup)", &report.extra_collections));
    if !report.relationships.is_empty() {
        let rows = report.relationships.iter().map(|r| {
            vec![
                format!("{}.{}", r.child, r.foreign_key),
                r.parent.clone(),
                text::number(r.orphans),
                r.samples.join(", "),
            ]
        });
        out.push('\n');
        out.push_str(&text::table(&["RELATIONSHIP", "PARENT", "ORPHANS", "EXAMPLES"], &[2], rows.collect(), width));
    }
    let owners = report.owners.iter().filter(|owner| owner.without_owner > 0 || owner.missing_index.is_some());
    let rows: Vec<_> = owners
        .map(|owner| {
            let index = owner.missing_index.clone().unwrap_or_default();
            vec![
                owner.collection.clone(),
                owner.rule.clone().unwrap_or_default(),
                text::number(owner.without_owner),
                index,
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        let head = ["COLLECTION", "OWNER", "WITHOUT OWNER", "INDEX TO CREATE"];
        out.push_str(&text::table(&head, &[2], rows, width));
    }
    let rows: Vec<_> = report
        .file_references
        .iter()
        .flat_map(|uploads| uploads.references.iter().map(move |r| (uploads, r)))
        .map(|(uploads, r)| {
            let place = format!("{}.{}", r.collection, r.field);
            let counts = [r.names, r.absent.count, r.refused.count].map(text::number);
            [vec![place, uploads.uploads.clone()], counts.to_vec()].concat()
        })
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        let head = ["FILES NAMED IN", "UPLOADS", "NAMES", "ABSENT", "NO PATHS"];
        out.push_str(&text::table(&head, &[2, 3, 4], rows, width));
    }
    out.push_str(&text::list("Findings", &report.findings));
    out.push_str(&format!("\nVerification {status}\n"));
    out
}
