//! Real applications, as their administrators run them: filled by their own interfaces, exported while they work, lost,
//! imported, looked at through the same interfaces, and rolled back after they have worked again.

use support::servers::program::{Program, find, leave_out};
use support::service::{Service, write};

use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::unistd::geteuid;

/// An application: how it starts, and how its data are written and read.
trait Application: Sync {
    /// Starts it, and waits until it answers.
    fn start(&self) -> Program;
    /// Stores the items with these numbers.
    fn fill(&self, running: &Program, numbers: std::ops::Range<usize>);
    /// Returns the names of all items, after looking at the content of each.
    fn items(&self, running: &Program) -> BTreeSet<String>;
    /// The folder with its data, which is lost.
    fn data(&self) -> &Path;
    /// Makes the folder as its package would, before an import on an empty machine.
    fn install(&self) {}
    /// The exit code of an import if the data are lost.
    fn code_if_lost(&self) -> i32 {
        0
    }
}

/// Says that a test is left out because its application takes minutes to install.
fn only_slow(what: &str) {
    eprintln!("left out: {what} is not installed; `tests/run slow` installs it");
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{text}");
    text
}

/// A program named `systemctl` that says a unit is active if the file of its name is in the returned folder.
fn systemctl(service: &mut Service) -> PathBuf {
    let bin = service.machine.path("bin");
    fs::create_dir_all(&bin).expect("a folder");
    let script = bin.join("systemctl");
    let text = format!(
        "#!/bin/sh\nfor unit; do :; done\nif [ -e '{}'/\"$unit\" ]; then echo active; exit 0; fi\necho inactive; exit 3\n",
        bin.display()
    );
    write(&script, &text);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("set");
    let path = std::env::var("PATH").unwrap_or_default();
    service.set("PATH", format!("{}:{path}", bin.display()));
    bin
}

/// Ends a thread that goes on, also if an assertion fails meanwhile.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The story of every application; `unit` is how systemd would call it.
fn story(app: &dyn Application, service: &Service, units: &Path, unit: &str) {
    let active = units.join(unit);
    let start = || {
        write(&active, "");
        app.start()
    };
    let stop = |program: Program| {
        drop(program);
        fs::remove_file(&active).expect("it is active");
    };
    let running = start();
    app.fill(&running, 0..20);
    let before = app.items(&running);
    assert_eq!(before.len(), 20);
    // It goes on while it is exported.
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| {
            let mut number = 20;
            while !end.load(Ordering::SeqCst) {
                app.fill(&running, number..number + 1);
                number += 1;
            }
        });
        let ending = End(&end);
        service.run(&["export", "a.tar.gz"], 0);
        service.run(&["export", "b.tar.gz"], 0);
        drop(ending);
        filling.join().expect("filled");
    });
    let after = app.items(&running);
    service.run(&["import", "a.tar.gz"], 11).says(unit);
    stop(running);
    // Lost, and brought back.
    fs::remove_dir_all(app.data()).expect("lost");
    app.install();
    let code = app.code_if_lost();
    service.run(&["import", "a.tar.gz", "--dry-run"], code);
    service.run(&["import", "a.tar.gz"], code);
    let running = start();
    let restored = app.items(&running);
    assert!(restored.is_superset(&before), "{before:?} {restored:?}");
    assert!(restored.is_subset(&after), "{restored:?}");
    // It works with what was restored, an earlier state comes back, it works with that, and that was a mistake.
    app.fill(&running, 9000..9004);
    let worked = app.items(&running);
    stop(running);
    service.run(&["import", "b.tar.gz"], 0);
    let running = start();
    let second = app.items(&running);
    assert!(second.is_superset(&restored) && second.is_subset(&after));
    app.fill(&running, 9500..9503);
    stop(running);
    service.run(&["rollback", "--dry-run"], 0);
    service.run(&["rollback"], 0);
    let running = start();
    assert_eq!(app.items(&running), worked);
    app.fill(&running, 9990..9991);
    stop(running);
}

/// Returns what curl gets, with these arguments before the address.
fn curl(program: &Program, arguments: &[&str], path: &str) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--max-time",
        "60",
    ]);
    run(command
        .args(arguments)
        .arg(format!("{}{path}", program.endpoint())))
}

/// The ready-made configuration of `app`, its places on this test's machine.
fn configured(app: &str, places: &[(&str, &Path)]) -> String {
    let path = format!("{}/examples/apps/{app}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut text = fs::read_to_string(path).expect("the configuration");
    for (from, to) in places {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to.to_str().expect("UTF-8"));
    }
    text
}

struct Radicale {
    program: PathBuf,
    service: PathBuf,
    collections: PathBuf,
    config: PathBuf,
}

const RADICALE_USER: [&str; 2] = ["--user", "ann:not-a-real-password"];

impl Radicale {
    fn item(number: usize) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:event{number}\r\nDTSTAMP:20261128T000000Z\r\n\
             DTSTART:20261128T100000Z\r\nSUMMARY:Event {number}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }
}

impl Application for Radicale {
    fn start(&self) -> Program {
        let program = Program::start(
            &self.service,
            |port| {
                let mut command = Command::new(&self.program);
                command.arg("--config").arg(&self.config);
                command.arg(format!("--server-hosts=127.0.0.1:{port}"));
                command
            },
            |address| TcpStream::connect(address).is_ok(),
        );
        if !self.collections.join("collection-root/ann/home").exists() {
            let make = [&RADICALE_USER[..], &["--request", "MKCALENDAR"]].concat();
            curl(&program, &make, "/ann/home/");
        }
        program
    }

    fn fill(&self, running: &Program, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let item = Radicale::item(number);
            let put = [
                &RADICALE_USER[..],
                &[
                    "--request",
                    "PUT",
                    "--header",
                    "Content-Type: text/calendar",
                ],
                &["--data-binary", &item],
            ];
            curl(
                running,
                &put.concat(),
                &format!("/ann/home/event{number}.ics"),
            );
        }
    }

    fn items(&self, running: &Program) -> BTreeSet<String> {
        let all = curl(running, &RADICALE_USER, "/ann/home/");
        let events = all.lines().filter_map(|line| line.strip_prefix("SUMMARY:"));
        events.map(|event| event.trim().to_owned()).collect()
    }

    fn data(&self) -> &Path {
        &self.collections
    }
}

#[test]
fn radicale_comes_back_as_it_was() {
    let Some(program) = find("radicale") else {
        return leave_out("Radicale").unwrap_or_default();
    };
    let mut service = Service::with_config("radicale", "");
    let etc = service.machine.path("real/etc/radicale");
    let collections = service.folder.join("collections");
    let text = configured(
        "radicale",
        &[
            ("/var/lib/radicale/collections", &collections),
            ("/etc/radicale", &etc),
        ],
    );
    fs::write(&service.config, text).expect("written");
    let users = etc.join("users");
    write(&users, "ann:not-a-real-password\n");
    // As its package has it: the group of the service may read it.
    fs::set_permissions(&users, fs::Permissions::from_mode(0o640)).expect("set");
    let config = etc.join("config");
    let text = format!(
        "[auth]\ntype = htpasswd\nhtpasswd_filename = {}\nhtpasswd_encryption = plain\ndelay = 0\n\
         [storage]\nfilesystem_folder = {}\n",
        users.display(),
        collections.display()
    );
    write(&config, &text);
    let units = systemctl(&mut service);
    let app = Radicale {
        program,
        service: service.machine.path("out"),
        collections,
        config,
    };
    story(&app, &service, &units, "radicale.service");
    let mode = fs::metadata(&users).expect("it").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

struct Roundup {
    programs: PathBuf,
    service: PathBuf,
    tracker: PathBuf,
}

const TRACKER: [&str; 12] = [
    "--user",
    "admin:not-a-real-password",
    "--header",
    "X-Requested-With: rest",
    "--header",
    "Host: tracker.example",
    "--header",
    "Origin: http://tracker.example",
    "--header",
    "Referer: http://tracker.example/t/",
    "--header",
    "Content-Type: application/json",
];

impl Roundup {
    /// A program that refuses to be root's is another user's, in a namespace in which root has that user's number.
    fn as_user(program: &Path) -> Command {
        if !geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=1000", "--map-group=1000"]);
        command.arg(program);
        command
    }

    fn admin(&self, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join("roundup-admin"));
        run(command.arg("-i").arg(&self.tracker).args(arguments));
    }
}

impl Application for Roundup {
    fn start(&self) -> Program {
        Program::start(
            &self.service,
            |port| {
                let mut command = Roundup::as_user(&self.programs.join("roundup-server"));
                let port = port.to_string();
                command.args(["-n", "127.0.0.1", "-p", &port]);
                command.arg(format!("t={}", self.tracker.display()));
                command.env("HOME", "/").current_dir(&self.tracker);
                command
            },
            |address| TcpStream::connect(address).is_ok(),
        )
    }

    fn fill(&self, running: &Program, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let issue = format!("{{\"title\":\"Issue {number}\"}}");
            let post = [&TRACKER[..], &["--data", &issue]].concat();
            curl(running, &post, "/t/rest/data/issue");
            let file = format!(
                "{{\"name\":\"{number}.txt\",\"content\":\"attached to {number}\",\"type\":\"text/plain\"}}"
            );
            let post = [&TRACKER[..], &["--data", &file]].concat();
            curl(running, &post, "/t/rest/data/file");
        }
    }

    fn items(&self, running: &Program) -> BTreeSet<String> {
        let ask = |path: &str| -> serde_json::Value {
            let text = curl(running, &TRACKER, path);
            serde_json::from_str(&text).expect("JSON")
        };
        let titles = ask("/t/rest/data/issue?@fields=title&@page_size=5000");
        let titles = titles["data"]["collection"].as_array().expect("a list");
        let titles = titles.iter().filter_map(|issue| issue["title"].as_str());
        let files = ask("/t/rest/data/file?@fields=name&@page_size=5000");
        let files = files["data"]["collection"].as_array().expect("a list");
        // Each attachment that a row names is there, whole.
        for file in files {
            let (id, name) = (&file["id"], file["name"].as_str().expect("a name"));
            let id = id.as_str().expect("a number");
            let thousand = id.parse::<usize>().expect("a number") / 1000;
            let path = self
                .tracker
                .join(format!("db/files/file/{thousand}/file{id}"));
            let content = fs::read_to_string(&path).unwrap_or_default();
            let number = name.trim_end_matches(".txt");
            assert_eq!(
                content,
                format!("attached to {number}"),
                "{}",
                path.display()
            );
        }
        titles.map(str::to_owned).collect()
    }

    fn data(&self) -> &Path {
        &self.tracker
    }
}

#[test]
fn roundup_comes_back_as_it_was() {
    let Some(server) = find("roundup-server") else {
        return leave_out("Roundup").unwrap_or_default();
    };
    let mut service = Service::with_config("roundup", "");
    let tracker = service.folder.join("tracker");
    // Its databases lie in the folder of the tracker, and are copied as such.
    let text = format!(
        "[backup]\napp = \"roundup\"\nprefix = \"roundup\"\n[[backup.sources]]\nname = \"tracker\"\nkind = \"directory\"\n\
         path = \"{}\"\nservice = \"roundup.service\"\nexclude = [\"__pycache__/\"]\n",
        tracker.display()
    );
    fs::write(&service.config, text).expect("written");
    let units = systemctl(&mut service);
    let app = Roundup {
        programs: fs::canonicalize(server)
            .expect("it")
            .parent()
            .expect("a folder")
            .to_owned(),
        service: service.machine.path("out"),
        tracker,
    };
    app.admin(&["install", "classic", "sqlite"]);
    let config = app.tracker.join("config.ini");
    let text = fs::read_to_string(&config).expect("it");
    let text = text
        .replace("#web = NO DEFAULT", "web = http://tracker.example/t/")
        .replace("#domain = NO DEFAULT", "domain = example.org")
        .replace("#host = NO DEFAULT", "host = localhost")
        // Each request says the password.
        .replace(
            "password_pbkdf2_default_rounds = 250000",
            "password_pbkdf2_default_rounds = 1000",
        );
    assert!(text.contains("_rounds = 1000"), "{text}");
    fs::write(&config, text).expect("written");
    app.admin(&["initialise", "not-a-real-password"]);
    story(&app, &service, &units, "roundup.service");
}

struct Redis {
    server: PathBuf,
    cli: PathBuf,
    service: PathBuf,
    folder: PathBuf,
    config: PathBuf,
    socket: PathBuf,
}

impl Redis {
    fn ask(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.cli);
        run(command.arg("-s").arg(&self.socket).args(words))
    }
}

impl Application for Redis {
    fn start(&self) -> Program {
        Program::start(
            &self.service,
            |_| {
                let mut command = Command::new(&self.server);
                command.arg(&self.config);
                command
            },
            |_| {
                let mut command = Command::new(&self.cli);
                command.arg("-s").arg(&self.socket).arg("PING");
                let output = command.output().expect("redis-cli");
                String::from_utf8_lossy(&output.stdout).contains("PONG")
            },
        )
    }

    fn fill(&self, _running: &Program, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let (key, value) = (format!("key{number}"), format!("value {number}"));
            self.ask(&["SET", &key, &value]);
        }
    }

    fn items(&self, _running: &Program) -> BTreeSet<String> {
        let keys = self.ask(&["KEYS", "key*"]);
        let keys: BTreeSet<String> = keys.lines().map(str::to_owned).collect();
        for key in &keys {
            let value = self.ask(&["GET", key]);
            assert_eq!(value.trim(), key.replace("key", "value "), "{key}");
        }
        keys
    }

    fn data(&self) -> &Path {
        &self.folder
    }

    fn install(&self) {
        fs::create_dir(&self.folder).expect("a folder");
    }
}

#[test]
fn redis_comes_back_as_it_was() {
    let (Some(server), Some(cli)) = (find("redis-server"), find("redis-cli")) else {
        return leave_out("Redis").unwrap_or_default();
    };
    let mut service = Service::with_config("redis", "");
    let folder = service.folder.join("redis");
    fs::create_dir(&folder).expect("a folder");
    let etc = service.machine.path("real/etc/redis");
    let socket = service.machine.path("redis.sock");
    let text = configured(
        "redis",
        &[("/var/lib/redis", &folder), ("/etc/redis", &etc)],
    );
    let text = text.replace(
        "redis-cli \"$@\"",
        &format!("redis-cli -s {} \"$@\"", socket.display()),
    );
    fs::write(&service.config, text).expect("written");
    let config = etc.join("redis.conf");
    // It rewrites its append-only file every moment.
    let text = format!(
        "port 0\nunixsocket {}\ndir {}\nappendonly yes\nappendfsync everysec\nauto-aof-rewrite-min-size 1kb\n\
         auto-aof-rewrite-percentage 1\nrepl-diskless-sync-delay 0\ndaemonize no\n",
        socket.display(),
        folder.display()
    );
    write(&config, &text);
    let units = systemctl(&mut service);
    let app = Redis {
        server,
        cli,
        service: service.machine.path("out"),
        folder,
        config,
        socket,
    };
    story(&app, &service, &units, "redis-server.service");
}

struct Slapd {
    server: PathBuf,
    service: PathBuf,
    data: PathBuf,
    settings: PathBuf,
    socket: PathBuf,
}

impl Slapd {
    fn url(&self) -> String {
        let path = self.socket.display().to_string();
        format!("ldapi://{}", path.replace('/', "%2F"))
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-x", "-H", &self.url()]);
        command.args(["-D", "cn=admin,dc=example", "-w", "not-a-real-password"]);
        command
    }

    fn add(&self, ldif: &str) {
        let file = self.service.join("add.ldif");
        fs::write(&file, ldif).expect("written");
        run(self.client("ldapadd").arg("-f").arg(&file));
    }
}

impl Application for Slapd {
    fn start(&self) -> Program {
        let running = Program::start(
            &self.service,
            |_| {
                let mut command = Command::new(&self.server);
                command.args(["-d", "0", "-h", &self.url(), "-F"]);
                command.arg(&self.settings);
                command
            },
            |_| {
                let mut search = self.client("ldapsearch");
                let output = search.args(["-s", "base", "-b", ""]).output();
                output.expect("ldapsearch").status.success()
            },
        );
        let top = self
            .client("ldapsearch")
            .args(["-LLL", "-b", "dc=example", "-s", "base"])
            .output();
        if !top.expect("ldapsearch").status.success() {
            self.add("dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n");
        }
        running
    }

    fn fill(&self, _running: &Program, numbers: std::ops::Range<usize>) {
        let person = |number| {
            format!(
                "dn: cn=person{number},dc=example\nobjectClass: person\ncn: person{number}\nsn: {number}\n\n"
            )
        };
        self.add(&numbers.map(person).collect::<String>());
    }

    fn items(&self, _running: &Program) -> BTreeSet<String> {
        let mut search = self.client("ldapsearch");
        let found = run(search.args(["-LLL", "-b", "dc=example", "(objectClass=person)", "cn"]));
        let names = found.lines().filter_map(|line| line.strip_prefix("cn: "));
        names.map(str::to_owned).collect()
    }

    fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the exit code of an import over a lost database, which cannot be kept for a rollback.
    fn code_if_lost(&self) -> i32 {
        3
    }
}

#[test]
fn slapd_comes_back_as_it_was() {
    let (Some(server), Some(_)) = (find("slapd"), find("ldapsearch")) else {
        return leave_out("slapd").unwrap_or_default();
    };
    if !geteuid().is_root() {
        eprintln!("left out: slapd's files are given to its user, which only root can do");
        return;
    }
    let mut service = Service::with_config("slapd", "");
    let (data, settings) = (service.folder.join("ldap"), service.folder.join("slapd.d"));
    let text = configured(
        "slapd",
        &[("/var/lib/ldap", &data), ("/etc/ldap/slapd.d", &settings)],
    );
    let text = text
        .replace(
            "slapcat -n",
            &format!("slapcat -F {} -n", settings.display()),
        )
        .replace(
            "slapadd -q -n 1",
            &format!("slapadd -q -F {} -n 1", settings.display()),
        );
    fs::write(&service.config, text).expect("written");
    for folder in [&data, &settings] {
        fs::create_dir(folder).expect("a folder");
    }
    let ldif = service.machine.path("out/config.ldif");
    let text = format!(
        "dn: cn=config\nobjectClass: olcGlobal\ncn: config\n\n\
         dn: cn=module,cn=config\nobjectClass: olcModuleList\ncn: module\nolcModulePath: /usr/lib/ldap\nolcModuleLoad: back_mdb\n\n\
         dn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n\
         include: file:///etc/ldap/schema/core.ldif\n\n\
         dn: olcDatabase=mdb,cn=config\nobjectClass: olcDatabaseConfig\nobjectClass: olcMdbConfig\nolcDatabase: mdb\n\
         olcSuffix: dc=example\nolcRootDN: cn=admin,dc=example\nolcRootPW: not-a-real-password\nolcDbDirectory: {}\n",
        data.display()
    );
    write(&ldif, &text);
    let slapadd = find("slapadd").expect("beside slapd");
    run(Command::new(&slapadd)
        .args(["-n", "0", "-F"])
        .arg(&settings)
        .arg("-l")
        .arg(&ldif));
    let path = std::env::var("PATH").unwrap_or_default();
    service.set("PATH", format!("{path}:/usr/sbin"));
    let units = systemctl(&mut service);
    let app = Slapd {
        server,
        service: service.machine.path("out"),
        data,
        settings,
        socket: service.machine.path("ldapi"),
    };
    story(&app, &service, &units, "slapd.service");
}

struct NodeRed {
    program: PathBuf,
    service: PathBuf,
    folder: PathBuf,
}

impl Application for NodeRed {
    fn start(&self) -> Program {
        Program::start(
            &self.service,
            |port| {
                let mut command = Command::new(&self.program);
                command.arg("--userDir").arg(&self.folder);
                command.args(["--port", &port.to_string()]);
                command.args(["-D", "uiHost=127.0.0.1"]);
                command
            },
            |address| {
                let mut asks = Command::new("curl");
                asks.args(["--silent", "--fail", "--output", "/dev/null"]);
                let status = asks.arg(format!("http://{address}/flows")).status();
                status.expect("curl").success()
            },
        )
    }

    fn fill(&self, running: &Program, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let flow = format!("{{\"label\":\"Own flow {number}\",\"nodes\":[],\"configs\":[]}}");
            let post = ["--header", "Content-Type: application/json", "--data"];
            curl(running, &[&post[..], &[&flow]].concat(), "/flow");
        }
    }

    fn items(&self, running: &Program) -> BTreeSet<String> {
        let flows: serde_json::Value =
            serde_json::from_str(&curl(running, &[], "/flows")).expect("JSON");
        let labels = flows.as_array().expect("a list").iter();
        let labels = labels.filter_map(|flow| flow["label"].as_str());
        let own = labels.filter(|label| label.starts_with("Own flow "));
        own.map(str::to_owned).collect()
    }

    fn data(&self) -> &Path {
        &self.folder
    }
}

#[test]
fn node_red_comes_back_as_it_was() {
    let Some(program) = find("node-red") else {
        return only_slow("Node-RED");
    };
    let mut service = Service::with_config("node-red", "");
    let folder = service.folder.join("node-red");
    fs::create_dir(&folder).expect("a folder");
    let text = configured("node-red", &[("/var/lib/node-red", &folder)]);
    fs::write(&service.config, text).expect("written");
    let units = systemctl(&mut service);
    let app = NodeRed {
        program,
        service: service.machine.path("out"),
        folder,
    };
    story(&app, &service, &units, "nodered.service");
}

struct Actual {
    program: PathBuf,
    service: PathBuf,
    folder: PathBuf,
}

/// A field of a Protocol Buffers message that holds bytes; all are shorter than 16 KiB.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let mut message = vec![number << 3 | 2];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => message.push(short),
        _ => message.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]),
    }
    message.extend_from_slice(bytes);
    message
}

impl Actual {
    /// The session of the only user, and the budget, which is made if it is not there.
    fn enter(&self, running: &Program) -> (String, String, String) {
        let post = ["--header", "Content-Type: application/json", "--data"];
        let password = "{\"password\":\"not-a-real-password\"}";
        let ask = |path: &str| -> serde_json::Value {
            let mut command = Command::new("curl");
            command.args(["--silent", "--max-time", "60"]);
            command.args(post).arg(password);
            let text = run(command.arg(format!("{}{path}", running.endpoint())));
            serde_json::from_str(&text).expect("JSON")
        };
        ask("/account/bootstrap");
        let login = ask("/account/login");
        let token = login["data"]["token"].as_str().expect("a token");
        let token = format!("X-ACTUAL-TOKEN: {token}");
        let list = curl(running, &["--header", &token], "/sync/list-user-files");
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        let group = |group: &serde_json::Value| group.as_str().expect("a group").to_owned();
        if let Some(budget) = list["data"].as_array().and_then(|list| list.first()) {
            return (token, "budget-1".to_owned(), group(&budget["groupId"]));
        }
        let upload = [
            "--header",
            &token,
            "--header",
            "X-ACTUAL-FILE-ID: budget-1",
            "--header",
            "X-ACTUAL-NAME: Home",
            "--header",
            "X-ACTUAL-FORMAT: 2",
            "--header",
            "Content-Type: application/encrypted-file",
            "--data-binary",
            "PK",
        ];
        let made = curl(running, &upload, "/sync/upload-user-file");
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        (token, "budget-1".to_owned(), group(&made["groupId"]))
    }

    /// Sends these messages, and returns what the server has.
    fn sync(&self, running: &Program, numbers: std::ops::Range<usize>) -> String {
        let (token, file, group) = self.enter(running);
        let mut request = Vec::new();
        for number in numbers {
            let stamp = format!("2026-11-28T00:00:00.000Z-{number:04X}-0000000000000001");
            let content = format!("<item {number}>");
            let envelope = [field(1, stamp.as_bytes()), field(3, content.as_bytes())].concat();
            request.extend(field(1, &envelope));
        }
        request.extend(field(2, file.as_bytes()));
        request.extend(field(3, group.as_bytes()));
        request.extend(field(6, b"1970-01-01T00:00:00.000Z-0000-0000000000000000"));
        let body = self
            .service
            .join(format!("sync-{:?}", std::thread::current().id()));
        fs::write(&body, request).expect("written");
        let data = format!("@{}", body.display());
        let post = [
            "--header",
            &token,
            "--header",
            "Content-Type: application/actual-sync",
            "--data-binary",
            &data,
        ];
        curl(running, &post, "/sync/sync")
    }
}

impl Application for Actual {
    fn start(&self) -> Program {
        Program::start(
            &self.service,
            |port| {
                let mut command = Command::new(&self.program);
                command.env("ACTUAL_DATA_DIR", &self.folder);
                command.env("ACTUAL_PORT", port.to_string());
                command.env("ACTUAL_HOSTNAME", "127.0.0.1");
                command
            },
            |address| {
                let mut asks = Command::new("curl");
                asks.args(["--silent", "--output", "/dev/null"]);
                let status = asks.arg(format!("http://{address}/info")).status();
                status.expect("curl").success()
            },
        )
    }

    fn fill(&self, running: &Program, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.sync(running, number..number + 1);
        }
    }

    fn items(&self, running: &Program) -> BTreeSet<String> {
        let all = self.sync(running, 0..0);
        let items = all.split("<item ").skip(1);
        items
            .filter_map(|item| item.split('>').next())
            .map(str::to_owned)
            .collect()
    }

    fn data(&self) -> &Path {
        &self.folder
    }
}

#[test]
fn actual_comes_back_as_it_was() {
    let Some(program) = find("actual-server") else {
        return only_slow("Actual");
    };
    let mut service = Service::with_config("actual", "");
    let folder = service.folder.join("actual");
    fs::create_dir(&folder).expect("a folder");
    let text = configured("actual", &[("/var/lib/actual", &folder)]);
    fs::write(&service.config, text).expect("written");
    let units = systemctl(&mut service);
    let app = Actual {
        program: fs::canonicalize(program).expect("it"),
        service: service.machine.path("out"),
        folder,
    };
    story(&app, &service, &units, "actual.service");
}

/// Synapse with SQLite, as small homeservers run it.
struct Synapse {
    program: PathBuf,
    service: PathBuf,
    folder: PathBuf,
}

const SYNAPSE_SECRET: &str = "not-a-real-secret";

/// Registers users by the shared secret (docs/admin_api/register_api of Synapse), or names all of them after the newest has
/// logged in with its password.
const SYNAPSE_CLIENT: &str = r#"
import hashlib, hmac, json, sys, urllib.error, urllib.request
base, secret, verb, *numbers = sys.argv[1:]
def ask(path, body=None, token=None):
    request = urllib.request.Request(base + path, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token: request.add_header("Authorization", "Bearer " + token)
    return json.load(urllib.request.urlopen(request, timeout=60))
def register(user, admin):
    nonce = ask("/_synapse/admin/v1/register")["nonce"]
    said = "\0".join([nonce, user, "password of " + user, "admin" if admin else "notadmin"])
    mac = hmac.new(secret.encode(), said.encode(), hashlib.sha1).hexdigest()
    try:
        ask("/_synapse/admin/v1/register", {"nonce": nonce, "username": user, "password": "password of " + user, "admin": admin, "mac": mac})
    except urllib.error.HTTPError as error:
        if json.load(error)["errcode"] != "M_USER_IN_USE": raise
def login(user):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": "password of " + user, "device_id": "test"}
    return ask("/_matrix/client/v3/login", body)["access_token"]
if verb == "fill":
    register("keeper", True)
    for number in range(*map(int, numbers)): register(f"user{number}", False)
else:
    users = ask("/_synapse/admin/v2/users?limit=10000", token=login("keeper"))["users"]
    names = [user["name"].split(":")[0].lstrip("@") for user in users]
    names.remove("keeper")
    login(names[-1])
    print("\n".join(names))
"#;

impl Synapse {
    /// The folders of its configuration, its database and its media.
    fn parts(&self) -> [PathBuf; 3] {
        ["etc", "data", "media"].map(|part| self.folder.join(part))
    }

    fn client(&self, running: &Program, arguments: &[&str]) -> String {
        let mut command = Command::new("python3");
        command.args(["-c", SYNAPSE_CLIENT, &running.endpoint(), SYNAPSE_SECRET]);
        run(command.args(arguments))
    }

    /// Makes its configuration and its signing key.
    fn configure(&self) {
        for part in self.parts() {
            fs::create_dir_all(part).expect("a folder");
        }
        let [etc, data, media] = self.parts().map(|part| part.display().to_string());
        let often = "{per_second: 10000, burst_count: 10000}";
        let text = format!(
            "server_name: localhost\npid_file: {data}/homeserver.pid\nmedia_store_path: {media}\n\
             database: {{name: sqlite3, args: {{database: {data}/homeserver.db}}}}\n\
             signing_key_path: {etc}/signing.key\nregistration_shared_secret: {SYNAPSE_SECRET}\nmacaroon_secret_key: also-not-real\n\
             trusted_key_servers: []\nreport_stats: false\nbcrypt_rounds: 4\nrc_registration: {often}\n\
             rc_login: {{address: {often}, account: {often}, failed_attempts: {often}}}\n"
        );
        let config = self.folder.join("etc/homeserver.yaml");
        write(&config, &text);
        let mut command = Command::new(&self.program);
        run(command.arg("--generate-keys").arg("-c").arg(config));
    }
}

impl Application for Synapse {
    fn start(&self) -> Program {
        Program::start(
            &self.service,
            |port| {
                let listener = self.service.join("listener.yaml");
                let text = format!(
                    "listeners: [{{port: {port}, type: http, tls: false, bind_addresses: [127.0.0.1], resources: [{{names: [client]}}]}}]\n"
                );
                write(&listener, &text);
                let mut command = Command::new(&self.program);
                command
                    .arg("-c")
                    .arg(self.folder.join("etc/homeserver.yaml"));
                command.arg("-c").arg(listener);
                command
            },
            |address| TcpStream::connect(address).is_ok(),
        )
    }

    fn fill(&self, running: &Program, numbers: std::ops::Range<usize>) {
        let (start, end) = (numbers.start.to_string(), numbers.end.to_string());
        self.client(running, &["fill", &start, &end]);
    }

    fn items(&self, running: &Program) -> BTreeSet<String> {
        let names = self.client(running, &["items"]);
        names.lines().map(str::to_owned).collect()
    }

    fn data(&self) -> &Path {
        &self.folder
    }
}

#[test]
fn synapse_comes_back_as_it_was() {
    let Some(program) = find("synapse_homeserver") else {
        return only_slow("Synapse");
    };
    let mut service = Service::with_config("synapse", "");
    let app = Synapse {
        program: fs::canonicalize(program).expect("it"),
        service: service.machine.path("out"),
        folder: service.folder.join("synapse"),
    };
    app.configure();
    let [etc, data, media] = app.parts().map(|part| part.display().to_string());
    let text = format!(
        "[backup]\napp = \"synapse\"\nprefix = \"synapse\"\nservice = \"matrix-synapse.service\"\n\
         [[backup.sources]]\nname = \"homeserver.db\"\nkind = \"sqlite\"\npath = \"{data}/homeserver.db\"\n\
         [[backup.sources]]\nname = \"media\"\nkind = \"directory\"\npath = \"{media}\"\n\
         [[backup.sources]]\nname = \"homeserver\"\nkind = \"directory\"\npath = \"{etc}\"\nsecret = true\n"
    );
    fs::write(&service.config, text).expect("written");
    let units = systemctl(&mut service);
    story(&app, &service, &units, "matrix-synapse.service");
}
