//! `RESTORE.txt`: its commands alone, with tar and psql, make the database again.

use super::laboratory::Shop;
use crate::support::postgres::{Database, Version};
use std::process::Command;

/// What the text says to type, line by line.
fn commands(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("     "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Rows that are more than one part.
const LARGE: &str = "CREATE TABLE large (id int PRIMARY KEY, t text);
    INSERT INTO large SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 80000) i;
    CREATE TABLE \"odd'%large\" AS SELECT * FROM large;";

#[test]
fn the_commands_of_restore_txt_make_the_database_again_on_every_version() {
    for version in Version::ALL {
        let shop = Shop::rich_with(version, LARGE, ", large, \"odd'%large\"");
        shop.run(&["create"]).expect(0);
        let folder = shop.app.path("by-hand");
        std::fs::create_dir(&folder).unwrap();
        let archive = shop.app.backup(&shop.app.ids()[0]).join("core/shop.tar.gz");
        assert!(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&folder).status().unwrap().success());
        let text = std::fs::read_to_string(folder.join("RESTORE.txt")).unwrap();
        let name = format!("{}_by_hand", shop.database.name);
        let commands = commands(&text).replace("TARGET", &name);
        assert!(commands.contains(&name) && commands.contains("psql"), "{text}");
        let mut sh = Command::new("bash");
        sh.args(["-e", "-c", &commands]).current_dir(&folder).env_clear();
        sh.env("PATH", format!("{}:/usr/bin:/bin", version.programs().display()));
        sh.env("PGHOST", &shop.database.server.folder).env("PGPORT", shop.database.server.port.to_string());
        let done = sh.env("PGUSER", "postgres").output().unwrap();
        assert!(done.status.success(), "{commands}\n{}", String::from_utf8_lossy(&done.stderr));
        let back = Database { server: shop.database.server, name };
        assert_eq!(back.run("SELECT count(*) FROM large"), "80000");
        shop.assert_same(&back);
    }
}
