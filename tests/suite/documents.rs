//! What the documents say of the tests is true: each that they name is there.

use std::collections::BTreeSet;
use std::path::Path;

/// Names of all test functions of this crate.
pub fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for folder in ["src", "tests/suite"] {
        let files = walkdir::WalkDir::new(root.join(folder)).into_iter().map(Result::unwrap);
        for file in files.filter(|file| file.path().extension().is_some_and(|extension| extension == "rs")) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                is_test |= line == "#[test]";
                if let (true, Some(rest)) = (is_test, line.strip_prefix("fn ")) {
                    names.insert(rest.split('(').next().unwrap().to_owned());
                    is_test = false;
                }
            }
        }
    }
    names
}

/// What stands between backticks and reads like a test's name.
fn named(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let last = quoted.map(|name| name.rsplit("::").next().unwrap());
    let is_name = |name: &&str| name.matches('_').count() > 3 && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    last.filter(is_name).map(ToOwned::to_owned).collect()
}

#[test]
fn every_test_that_the_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let architecture = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let invariants = architecture.split("\n## Invariants").nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let faults = std::fs::read_to_string(root.join("tests/faults.md")).unwrap();
    let tests = tests();
    for (document, text, least) in [("ARCHITECTURE.md", invariants, 30), ("tests/faults.md", faults, 60)] {
        let names = named(&text);
        assert!(names.len() >= least, "{document} names {} tests", names.len());
        let lost: Vec<_> = names.iter().filter(|name| !tests.contains(*name)).collect();
        assert!(lost.is_empty(), "{document} names tests that are not there: {lost:?}");
    }
}

/// Where the links of a document lead that stay in this folder.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut followed = 0;
    for path in docs
        .chain(["README.md", "ARCHITECTURE.md", "benches/RESULTS.md", "tests/faults.md"].map(|name| root.join(name)))
    {
        for link in links(&std::fs::read_to_string(&path).unwrap()) {
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            let word = |c: char| if c == ' ' { Some('-') } else { (c.is_alphanumeric() || c == '-').then_some(c) };
            let anchor = |title: &str| title.to_lowercase().chars().filter_map(word).collect::<String>();
            let is_there = |text: String| text.lines().any(|line| anchor(line.trim_start_matches('#').trim()) == part);
            assert!(
                part.is_empty() || is_there(std::fs::read_to_string(&target).unwrap()),
                "{}: {link}",
                path.display()
            );
            followed += 1;
        }
    }
    assert!(followed >= 15, "{followed}");
}
