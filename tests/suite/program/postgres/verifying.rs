//! Verification by restoring, beside encryption and signatures.

use super::laboratory::{Shop, assert_nothing_staged};
use crate::support::app::ended;
use crate::support::postgres::{Postgres as Server, Version};

/// Scratch databases of the server.
fn scratch(shop: &Shop) -> String {
    shop.database.run("SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE 'backup-verify-%'")
}

#[test]
fn everything_is_restored_beside_compared_and_dropped_also_after_a_kill() {
    // A server of its own, for others verify too.
    let server = Box::leak(Box::new(Server::start(Version::V15, &[])));
    let shop = Shop::rich_on(
        server,
        "CREATE EXTENSION citext; CREATE TABLE extended (id int PRIMARY KEY, v citext)",
        ", extended",
    );
    shop.run(&["-q", "create"]).expect(0);
    let verify = ["verify", "latest", "--level", "restored"];
    let done = shop.run(&verify).expect(0);
    assert!(done.stdout.contains("valid (restored)"), "{}", done.stdout);
    assert_eq!(scratch(&shop), "");
    assert_nothing_staged(&shop.database);
    // A kill that came too late is tried again.
    let killed = (0..20).any(|_| {
        let mut child = shop.spawn(&verify);
        while scratch(&shop).is_empty() && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        ended(child.wait_with_output().unwrap()).code == 137 && !scratch(&shop).is_empty()
    });
    assert!(killed, "no kill hit the moment");
    shop.run(&verify).expect(0);
    assert_eq!(scratch(&shop), "");
    // A user that may make none is told what it lacks, and the verdict of before stays.
    let role = shop.database.role("reader");
    shop.database.run(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    shop.app.reconfigure(&shop.database.uri(), &shop.database.uri_as(&role));
    let refused = shop.run(&verify).expect(1);
    assert!(refused.stderr.contains("CREATEDB"), "{}", refused.stderr);
    shop.database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn what_cannot_be_loaded_again_is_damage_though_every_byte_is_there() {
    let server = Box::leak(Box::new(Server::start(Version::V15, &[])));
    // A check that the rows of the live table pass no longer.
    let sql = "CREATE FUNCTION allowed(v int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN v < 10; END$$;
        CREATE TABLE t (id int PRIMARY KEY, v int CHECK (allowed(v))); INSERT INTO t VALUES (1, 5);
        CREATE OR REPLACE FUNCTION allowed(v int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN v < 5; END$$";
    let shop = Shop::on(server, Version::V15, sql, "t");
    shop.run(&["-q", "create"]).expect(0);
    let bad = shop.run(&["verify", "latest", "--level", "restored"]).expect(4);
    assert!(bad.stdout.contains("t_v_check") || bad.stderr.contains("t_v_check"), "{} {}", bad.stdout, bad.stderr);
    assert_eq!(scratch(&shop), "");
}

#[test]
fn an_encrypted_and_signed_backup_is_verified_and_restored() {
    let shop = Shop::rich_with(Version::V15, "INSERT INTO audit (what) VALUES ('canary-canary')", "");
    shop.run(&["key", "generate", "own.key", "--recipients", "recipients.txt"]).expect(0);
    let public =
        shop.run(&["key", "generate", "--signing", "signing.key"]).expect(0).stdout.lines().next().unwrap().to_owned();
    shop.app.reconfigure(
        "{location: ./backups}",
        &format!("{{location: ./backups, encryption: {{recipientsFile: recipients.txt, identities: [own.key]}}, signing: {{privateKey: signing.key, publicKeys: [\"{public}\"]}}}}"),
    );
    shop.run(&["-q", "create"]).expect(0);
    let stored = std::fs::read(shop.app.backup(&shop.app.ids()[0]).join("core/shop.tar.gz.age")).unwrap();
    assert!(stored.starts_with(b"age-encryption.org/v1"));
    shop.run(&["verify", "latest"]).expect(0);
    shop.assert_same(&shop.copy());
}
