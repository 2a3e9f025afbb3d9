//! Well-known services by their ready-made configurations: exported while they work, broken, imported, compared.
//!
//! Each has the files and the tables, as far as they matter here, that the real one has; a process writes its database
//! all the while. PostgreSQL is in `databases.rs`.

use support::service::{Service, write};
use support::{self, Tree, tree};

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rusqlite::Connection;

/// A service, as far as a test knows it.
struct App {
    name: &'static str,
    /// Its database below its folder, and how that is made.
    database: &'static str,
    schema: &'static str,
    /// Other files below its folder that belong to the state.
    files: &'static [&'static str],
    /// Files that do not.
    excluded: &'static [&'static str],
    /// Files of its configuration, absolute, as the ready-made one names them.
    elsewhere: &'static [&'static str],
}

const APPS: [App; 5] = [
    App {
        name: "vaultwarden",
        database: "db.sqlite3",
        schema: "CREATE TABLE users (uuid TEXT PRIMARY KEY, email TEXT UNIQUE, akey TEXT);
                 CREATE TABLE ciphers (uuid TEXT PRIMARY KEY, user_uuid TEXT REFERENCES users(uuid), data TEXT);
                 INSERT INTO users VALUES ('u1', 'a@example.org', 'k'); INSERT INTO ciphers VALUES ('c1', 'u1', '2.x|y|z');",
        files: &["rsa_key.pem", "config.json", "attachments/c1/0f3a", "sends/s1/file"],
        excluded: &["icon_cache/example.org.png", "vaultwarden.log"],
        elsewhere: &[],
    },
    App {
        name: "gitea",
        database: "data/gitea.db",
        schema: "CREATE TABLE repository (id INTEGER PRIMARY KEY AUTOINCREMENT, owner_name TEXT, lower_name TEXT);
                 CREATE UNIQUE INDEX UQE_repository_s ON repository (owner_name, lower_name);
                 INSERT INTO repository (owner_name, lower_name) VALUES ('a', 'tool');",
        files: &[
            "data/gitea-repositories/a/tool.git/HEAD",
            "data/gitea-repositories/a/tool.git/objects/pack/pack-1.pack",
            "data/attachments/1/2/12",
            "custom/templates/home.tmpl",
        ],
        excluded: &["data/indexers/issues.bleve/store", "data/sessions/1", "log/gitea.log"],
        elsewhere: &["/etc/gitea/app.ini"],
    },
    App {
        name: "grafana",
        database: "grafana.db",
        schema: "CREATE TABLE dashboard (id INTEGER PRIMARY KEY, uid TEXT, title TEXT, data BLOB);
                 INSERT INTO dashboard VALUES (1, 'abc', 'Load', x'7b7d');",
        files: &["plugins/panel/plugin.json", "alerting/1/notification.tmpl"],
        excluded: &["png/render.png", "csv/a.csv"],
        elsewhere: &["/etc/grafana/grafana.ini", "/etc/grafana/provisioning/datasources/a.yaml"],
    },
    App {
        name: "uptime-kuma",
        database: "kuma.db",
        schema: "CREATE TABLE monitor (id INTEGER PRIMARY KEY, name VARCHAR(150), url TEXT, active BOOLEAN);
                 CREATE TABLE heartbeat (id INTEGER PRIMARY KEY, monitor_id INTEGER, status SMALLINT, time DATETIME);
                 INSERT INTO monitor VALUES (1, 'site', 'https://example.org', 1); INSERT INTO heartbeat VALUES (1, 1, 1, '2026-11-21');",
        files: &["db-config.json", "upload/logo1.png", "docker-tls/ca.pem"],
        excluded: &["screenshots/1.png", "kuma.db.bak0"],
        elsewhere: &[],
    },
    App {
        name: "home-assistant",
        database: "home-assistant_v2.db",
        schema: "CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255));
                 CREATE TABLE states (state_id INTEGER PRIMARY KEY, metadata_id INTEGER, state VARCHAR(255), last_updated_ts FLOAT);
                 INSERT INTO states_meta VALUES (1, 'light.desk'); INSERT INTO states VALUES (1, 1, 'on', 1795277650.5);",
        files: &[
            "configuration.yaml",
            "secrets.yaml",
            ".storage/core.entity_registry",
            ".HA_VERSION",
            "custom_components/tool/manifest.json",
        ],
        excluded: &["backups/a.tar", "home-assistant.log.1", "custom_components/tool/__pycache__/a.pyc"],
        elsewhere: &[],
    },
];

/// Returns the content of a folder, except the database and its companions.
fn state(folder: &Path, database: &str) -> Tree {
    let mut state = tree(folder);
    state.retain(|name, _| !name.to_string_lossy().starts_with(database));
    state
}

fn dump(path: &Path, schema: &str) -> Vec<String> {
    let connection = Connection::open(path).expect("a database");
    let tables = schema.split("CREATE TABLE ").skip(1);
    let tables = tables.filter_map(|text| text.split(' ').next());
    let mut lines = Vec::new();
    for table in tables {
        let mut query = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .expect("a table");
        let columns = query.column_count();
        let mut rows = query.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let values = (0..columns).map(|at| format!("{:?}", row.get_ref(at).expect("a value")));
            lines.push(format!("{table}: {}", values.collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

#[test]
fn services_with_sqlite_come_back_as_they_were() {
    for app in &APPS {
        let service = Service::new(app.name);
        let folder = &service.folder;
        for file in app.files.iter().chain(app.excluded) {
            write(&folder.join(file), &format!("{} of {}", file, app.name));
        }
        let first = app.files[0];
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join(first), private).expect("set");
        symlink(first, folder.join("a link")).expect("a link");
        fs::create_dir(folder.join("an empty folder")).expect("a folder");
        let elsewhere: Vec<PathBuf> = app
            .elsewhere
            .iter()
            .map(|path| service.machine.path(&format!("real{path}")))
            .collect();
        for path in &elsewhere {
            write(path, "configured");
        }
        let database = folder.join(app.database);
        let connection = Connection::open(&database).expect("a database");
        connection
            .execute_batch(&format!("PRAGMA journal_mode = WAL; {}", app.schema))
            .expect(app.name);
        drop(connection);
        let rows = dump(&database, app.schema);
        let mut writer = Command::new(support::example("sqlite_holder"))
            .args(["wal".as_ref(), database.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer");
        let mut line = String::new();
        let stdout = writer.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        service.run(&["export", "a.tar.gz"], 0);
        let before = state(folder, app.database);
        service.run(&["import", "a.tar.gz"], 11);
        writer.kill().expect("killed");
        writer.wait().expect("gone");
        // The worst of nights.
        for file in app.files {
            fs::write(folder.join(file), "garbage").expect("written");
        }
        fs::remove_file(folder.join(app.files[1])).expect("removed");
        fs::remove_dir(folder.join("an empty folder")).expect("removed");
        write(&folder.join("stray"), "left by an upgrade");
        fs::write(&database, b"SQLite format 3\0 and nothing else").expect("written");
        for path in &elsewhere {
            fs::write(path, "lost").expect("written");
        }
        service.run(&["import", "a.tar.gz"], 0);
        assert_eq!(state(folder, app.database), before, "{}", app.name);
        assert_eq!(dump(&database, app.schema), rows, "{}", app.name);
        for path in &elsewhere {
            assert_eq!(
                fs::read(path).expect("it"),
                b"configured",
                "{}",
                path.display()
            );
        }
        service.run(&["diff", "a.tar.gz"], 0);
        service.run(&["rollback"], 0);
        assert!(folder.join("stray").exists(), "{}", app.name);
    }
}

#[test]
fn a_configuration_that_is_there_is_not_overwritten() {
    let service = Service::new("grafana");
    let before = fs::read(&service.config).expect("it");
    service.run(&["init", "--app", "grafana"], 2);
    service.run(&["init", "--app", "no-such-app"], 2);
    assert_eq!(fs::read(&service.config).expect("it"), before);
}
