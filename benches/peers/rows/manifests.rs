//! A repository of 60,000 backups: what it takes to list them, and to judge which of them to keep.

use crate::programs::Ours;
use crate::table::row;
use crate::{Options, data};

/// How many tenants have a backup of every day.
const TENANTS: u32 = 1_000;

/// For how many days.
const DAYS: u32 = 60;

/// Its row.
pub fn rows(options: &Options) {
    let collections = ["users", "departments", "attendances", "leaves", "policies", "claims", "familymembers", "tasks"];
    let config = format!(
        "sources: {{hr: {{engine: sqlite, path: hr.db}}}}\nuploads: [{{root: uploads, layout: \"{{tenant}}/{{directory}}\"}}]\n\
         tenancy: {{field: tenantId}}\nretention: {{standard: {{modules: [], daily: 30, weekly: 8, monthly: 6}}}}\n\
         modules:\n  core: {{required: true, collections: [{}]}}\n  insurance: {{collections: [{}], fileUploads: [claims]}}\n",
        collections[..4].join(", "),
        collections[4..].join(", ")
    );
    let ours = Ours::new(options, "manifests", &config);
    data::manifests::application(&ours.folder, &collections);
    ours.create("--tenant t0");
    let bytes = data::manifests::multiply(&ours.repository(), TENANTS, DAYS);
    row(
        options,
        &format!("manifests: {} of {TENANTS} tenants and {DAYS} days", TENANTS * DAYS),
        bytes,
        vec![
            ours.tool("list", || ours.ask("list")),
            ours.tool("list --json", || ours.ask("list --json")),
            ours.tool("stats", || ours.ask("stats")),
            ours.tool("prune --dry-run", || ours.ask("prune --dry-run")),
        ],
    );
}
