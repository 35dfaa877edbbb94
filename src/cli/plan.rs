//! How a plan reads: what `create --dry-run` prints.

use crate::cli::{show, text};
use crate::plan::{Plan, PlannedItem};

/// The plan as text.
pub fn render(plan: &Plan, width: Option<u16>) -> String {
    let mut out = format!("Plan of a {} backup\n\n", plan.scope);
    out.push_str(&format!("Modules: {}\n", plan.modules.join(", ")));
    out.push_str(&show::excluded(&plan.excluded));
    let mut rows = Vec::new();
    for component in &plan.components {
        if component.items.is_empty() {
            let files = text::count(component.files, "file", "files");
            rows.push(vec![
                component.archive.clone(),
                component.name.clone(),
                String::new(),
                files,
                text::size(component.bytes),
            ]);
        }
        for item in &component.items {
            rows.push(vec![
                component.archive.clone(),
                item.name.clone(),
                if item.exists { item.records.describe() } else { missing(item).into() },
                if item.exists { text::number(item.documents) } else { String::new() },
                if item.exists { text::size(item.bytes) } else { String::new() },
            ]);
        }
    }
    out.push('\n');
    out.push_str(&text::table(&["ARCHIVE", "COLLECTION", "RECORDS", "COUNT", "SIZE"], &[3, 4], rows, width));
    out.push_str(&format!("\nAbout {} before compression", text::size(plan.bytes)));
    if let Some(free) = plan.free_space {
        out.push_str(&format!(", {} free in the repository", text::size(free)));
    }
    out.push('\n');
    out.push_str(&text::list("Warnings", &plan.warnings));
    out.push_str("\nNothing was backed up (--dry-run)\n");
    out
}

fn missing(item: &PlannedItem) -> &'static str {
    if item.optional { "absent (optional)" } else { "MISSING" }
}
