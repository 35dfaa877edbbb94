//! Files beside tar and restic; and what it takes to verify them.

use crate::measure::size;
use crate::programs::{Ours, peer};
use crate::table::row;
use crate::{Options, data};
use std::fs;
use std::path::Path;

/// Its rows.
pub fn rows(options: &Options) {
    let folder = options.folder.join("uploads");
    fs::create_dir_all(&folder).expect("a folder");
    let bytes = data::files::uploads(&folder, options.size);
    let config = |compression: &str| {
        format!(
            "compression: {compression}\n\
             uploads: [{{root: {}, layout: \"{{directory}}\"}}]\nmodules: {{all: {{required: true, fileUploads: [documents]}}}}\n",
            folder.display()
        )
    };
    let (plain, fast) =
        (Ours::new(options, "files", &config("default")), Ours::new(options, "files-fast", &config("fast")));
    let zstd = Ours::new(options, "files-zstd", &config("{algorithm: zstd}"));
    let out = options.folder.join("archive");
    let tar = |through: &str| {
        format!("tar -C {} -cf - documents | {through} > {1} && sync {1}", folder.display(), out.display())
    };
    let restic = options.folder.join("restic");
    let restic_run = format!(
        "RESTIC_PASSWORD=x restic -q -r {0} init && RESTIC_PASSWORD=x restic -q -r {0} --no-cache backup {1}",
        restic.display(),
        folder.display()
    );
    row(
        options,
        "create uploads",
        bytes,
        vec![
            peer("tar pigz", "tar, pigz", tar("pigz"), out.clone()),
            peer("tar pigz", "tar, pigz -1", tar("pigz -1"), out.clone()),
            peer("tar igzip", "tar, igzip -1", tar("igzip -1"), out.clone()),
            peer("restic", "restic", restic_run, restic),
            zstd.tool("create, zstd", || zstd.create("")),
            fast.tool("create, fast", || fast.create("")),
            plain.tool("create", || plain.create("")),
        ],
    );
    plain.create("");
    let stored = size(Path::new(&plain.repository()));
    let verify = |level: &str| plain.run(&format!("verify latest --level {level}"));
    row(options, "verify stored", stored, vec![plain.tool("verify --level stored", || verify("stored"))]);
    row(options, "verify decoded", bytes, vec![plain.tool("verify --level decoded", || verify("decoded"))]);
}
