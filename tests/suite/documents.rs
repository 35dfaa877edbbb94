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
