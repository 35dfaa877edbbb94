//! The page of `stats --html`, and the figures of `stats`.

use super::invented::{backup, clinic, repository, sql, write};
use crate::support::app::App;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// All that a page may be made of.
const TAGS: &[&str] = &[
    "!DOCTYPE",
    "body",
    "dd",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "head",
    "header",
    "html",
    "li",
    "main",
    "meta",
    "p",
    "path",
    "rect",
    "section",
    "span",
    "strong",
    "style",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];

/// Tags that stand open, as a browser would have them; a page that is not well formed ends the test.
#[track_caller]
fn well_formed(page: &str) {
    let mut open: Vec<String> = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("a tag does not end: {part}"));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        assert!(TAGS.contains(&name), "<{tag}>");
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains(" on") && !outside.contains("src=") && !outside.contains("href="), "<{tag}>");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !matches!(name, "!DOCTYPE" | "meta") {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?} stand open");
    for word in ["http://", "https://", "url(", "@import", "<script", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
}

fn page(app: &App, now: &str, args: &[&str]) -> String {
    app.run_at(now, &[&["stats", "--html", "page.html"], args].concat()).expect(0);
    std::fs::read_to_string(app.path("page.html")).unwrap()
}

const NOW: &str = "2026-01-10T05:00:00Z";

#[test]
fn the_page_says_what_is_there_and_is_the_owners_alone() {
    let app = clinic();
    for day in ["2026-01-08", "2026-01-09"] {
        app.run_at(&format!("{day}T02:00:00Z"), &["create"]).expect(0);
    }
    app.run_at("2026-01-09T03:00:00Z", &["create", "--tenant", "acme"]).expect(0);
    sql(&app, "DROP TABLE invoices");
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(3);
    let all = page(&app, NOW, &[]);
    well_formed(&all);
    for part in [
        "<title>Backups of clinic</title>",
        "2026-01-10: 0 complete, 1 partial",
        "2026-01-09: 2 complete",
        "4 runs: 1 partial, 0 failed",
        "archive settings",
        "<th scope=\"row\">acme</th>",
        "<td class=\"late\" title=\"system-backup-2026-01-09T02-00-00-000Z\">27 h !</td>",
        "wanted until 2026-01-23",
        "prefers-color-scheme: dark",
    ] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
    let own = page(&app, NOW, &["--tenant", "acme"]);
    well_formed(&own);
    assert!(
        own.contains("tenant acme") && !own.contains("archive settings") && own.contains("1 run: 0 partial"),
        "{own}"
    );
    let file = std::fs::metadata(app.path("page.html")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let failed = app.run_at(NOW, &["stats", "--html", "absent/page.html"]).expect(1);
    assert!(failed.stderr.contains("absent/page.html"), "{}", failed.stderr);
    well_formed(&page(&app, "2020-01-01T00:00:00Z", &[]));
}

#[test]
fn no_name_of_an_installation_a_module_or_an_archive_can_change_the_page() {
    let odd = "<script>alert(1)</script>";
    let app = App::new(&format!("installation: '{odd}'\nrepository: {{location: ./backups}}\n"));
    repository(&app);
    well_formed(&page(&app, NOW, &[]));
    let hostile = "\"'><img src=x onerror=alert(1)>&";
    backup(&app, "2026-01-10T02:00:00", "daily", None, &[(hostile, "complete", u64::MAX / 8), (odd, "failed", 0)]);
    backup(&app, "2026-01-10T02:00:00", "daily", Some("o.k@x-1"), &[(odd, "complete", 1)]);
    let made = page(&app, NOW, &[]);
    well_formed(&made);
    assert!(made.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{made}");
    assert!(made.contains("&quot;&#39;&gt;&lt;img src=x onerror=alert(1)&gt;&amp;"), "{made}");
}

#[test]
fn the_page_stays_small_with_thousands_of_tenants_years_and_modules() {
    let app = App::new("installation: large\nrepository: {location: ./backups}\n");
    repository(&app);
    for n in 0..2000 {
        let at = format!("20{:02}-{:02}-{:02}T02:{:02}:00", 16 + n % 10, 1 + n % 12, 1 + n % 28, n % 60);
        backup(&app, &at, "monthly", Some(&format!("t{n}")), &[("core", "complete", 100)]);
    }
    let modules: Vec<_> = (0..300).map(|n| format!("module-{n}")).collect();
    let states: Vec<_> = modules.iter().map(|name| (name.as_str(), "complete", 5)).collect();
    backup(&app, "2026-01-09T02:00:00", "daily", None, &states);
    let made = page(&app, NOW, &[]);
    well_formed(&made);
    assert!(made.len() < 250_000, "{} bytes", made.len());
    for part in ["1,960 tenants with newer copies are not listed", "277 modules are not listed", "287 others"] {
        assert!(made.contains(part), "{part} is not in {made}");
    }
}

#[test]
fn the_figures_have_each_modules_history_and_a_spark_line() {
    let app = App::new("installation: x\nrepository: {location: ./backups}\n");
    repository(&app);
    for (day, size) in [(1, 1000), (2, 1000), (3, 8000), (4, 4000)] {
        backup(&app, &format!("2026-01-{day:02}T02:00:00"), "daily", None, &[("core", "complete", size)]);
    }
    backup(&app, "2026-01-04T08:00:00", "daily", None, &[("core", "complete", 4500)]);
    backup(&app, "2026-01-04T09:00:00", "daily", Some("acme"), &[("core", "complete", 500)]);
    backup(&app, "2026-01-05T02:00:00", "daily", None, &[("core", "failed", 0)]);
    let run = json!({
        "id": "system-backup-2026-01-06T02-00-00-000Z", "type": "daily", "tenantId": null,
        "timestamp": "2026-01-06T02:00:00Z", "durationSeconds": 1.0, "errors": [],
    });
    write(&app, "metadata/failed/system-backup-2026-01-06T02-00-00-000Z.json", &run);
    let stats = app.run_at(NOW, &["--json", "stats"]).expect(0).json();
    let core = &stats["modules"]["core"];
    let history: Vec<_> = core["history"].as_array().unwrap().iter().map(|day| day["size"].as_u64().unwrap()).collect();
    assert_eq!(history, [1000, 1000, 8000, 5000]);
    assert_eq!((&core["history"][3]["day"], &core["records"]), (&"2026-01-04".into(), &50.into()));
    assert_eq!((&stats["failed"], &stats["partial"]), (&1.into(), &1.into()));
    let shown = app.run_at(NOW, &["stats"]).expect(0).stdout;
    assert!(shown.contains("▁▁█▅"), "{shown}");
    well_formed(&page(&app, NOW, &[]));
}
