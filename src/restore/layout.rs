//! Which directory of a module a stored file is of, and whether a folder is some tenant's, by the layout of its upload root.

use crate::config::UploadRoot;

/// The directory, of those that an archive holds, that a stored path lies in. By the layout of its root; where that has
/// changed since, or is not known, by the first folder of such a name.
pub fn directory_of<'d>(roots: &[UploadRoot], directories: &[&'d str], stored: &str) -> Option<&'d str> {
    let by_layout = directories.iter().find(|directory| lies_in(roots, directory, stored));
    by_layout.copied().or_else(|| {
        let mut folders = stored.split('/').skip(1);
        folders.find_map(|folder| directories.iter().find(|directory| **directory == folder).copied())
    })
}

/// Whether a stored path lies where the layout of its root has this directory, of whatever tenant.
pub fn lies_in(roots: &[UploadRoot], directory: &str, stored: &str) -> bool {
    let Some((name, below)) = stored.split_once('/') else { return false };
    let Some(root) = roots.iter().find(|root| root.name == name) else { return false };
    let mut folders = below.split('/').filter(|folder| !folder.is_empty());
    root.layout.replace("{directory}", directory).split('/').all(|pattern| {
        folders.next().is_some_and(|folder| match pattern.split_once("{tenant}") {
            None => pattern == folder,
            Some((before, after)) => {
                folder.len() > before.len() + after.len() && folder.starts_with(before) && folder.ends_with(after)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(layout: &str) -> UploadRoot {
        UploadRoot {
            name: "up".into(),
            root: "/up".into(),
            layout: layout.into(),
            exclude: Vec::new(),
            max_file_size: None,
            allowed_extensions: Vec::new(),
            references: Vec::new(),
            protected: false,
        }
    }

    #[test]
    fn a_directory_is_told_by_its_place_in_the_layout() {
        let names = ["papers", "scans"];
        let of = |layout: &str, path: &str| directory_of(&[root(layout)], &names, path);
        assert_eq!(of("{directory}", "up/papers/scans/a"), Some("papers"));
        assert_eq!(of("{tenant}/{directory}", "up/papers/scans/a"), Some("scans"));
        assert_eq!(of("t-{tenant}/x/{directory}", "up/t-1/x/scans"), Some("scans"));
        // What the layout does not have any more is found by name.
        assert_eq!(of("{directory}/{tenant}", "up/acme/papers/scans"), Some("papers"));
        assert_eq!(of("{directory}", "up/others/a"), None);
        assert_eq!(of("{directory}", "elsewhere/scans/a"), Some("scans"));
    }

    #[test]
    fn a_path_lies_in_the_folder_of_some_tenant_or_of_none() {
        let roots = [root("{directory}/t-{tenant}")];
        assert!(lies_in(&roots, "papers", "up/papers/t-1/a"));
        assert!(!lies_in(&roots, "papers", "up/papers/t-/a"));
        assert!(!lies_in(&roots, "papers", "up/papers"));
        assert!(!lies_in(&roots, "papers", "up/t-1/papers/a"));
    }
}
