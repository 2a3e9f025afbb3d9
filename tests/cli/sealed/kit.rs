//! The recovery kit: its page alone, with the stored archives and the programs, brings the state back.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use hookshot::crypt::ExposeSecret as _;
use support::{finish, program};

use super::Sealing;

/// The columns of a page.
const COLUMNS: usize = 80;

/// A machine with an archive in a folder elsewhere.
fn with_archive() -> (Sealing, String) {
    let sealing = Sealing::new();
    fs::create_dir(sealing.machine.path("offsite")).expect("a folder");
    let url = sealing.path("offsite");
    let (token, phrase) = (sealing.path("token"), sealing.path("phrase"));
    sealing.configure(&format!(
        "[backup.destinations.offsite]\nurl = \"{url}\"\n\
        [backup.destinations.phrase]\nurl = \"{url}-phrase\"\nencryption = {{ passphrase = \"file:{phrase}\" }}\n\
        [[backup.notify]]\nname = \"ops\"\nkind = \"ntfy\"\nurl = \"https://ntfy.sh/x\"\ntoken = \"file:{token}\"\n"
    ));
    sealing
        .machine
        .write("phrase", "correct horse battery", 0o600);
    sealing.machine.run(&["export", "@offsite"]).exits(0);
    let mut names = fs::read_dir(&url).expect("a folder").flatten();
    let name = names.next().expect("an archive").file_name();
    (sealing, name.into_string().expect("a name"))
}

fn kit(sealing: &Sealing, more: &[&str]) -> String {
    let verb = ["key", "export", "--paper"].iter().chain(more);
    let verb: Vec<&str> = verb.copied().collect();
    sealing.run(&verb).exits(0).text()
}

/// Returns the lines below a title.
fn section<'a>(kit: &'a str, title: &str) -> Vec<&'a str> {
    let lines = kit.lines().skip_while(|line| !line.starts_with(title));
    let lines = lines.skip(2);
    let is_title = |line: &str| line.starts_with(|first: char| first.is_ascii_digit());
    lines.take_while(|line| !is_title(line)).collect()
}

/// Returns the commands of a section, as a shell takes them, for the archive of a name.
fn commands(kit: &str, title: &str, archive: &str) -> String {
    let lines = section(kit, title).into_iter();
    // One destination is enough.
    let lines = lines.take_while(|line| !line.starts_with("@phrase"));
    let lines = lines.filter(|line| line.starts_with("    "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let stem = archive.split(".tar").next().expect("a stem");
    text.replace("hookshot-state-YYYYMMDD-HHMMSS", stem)
}

/// Runs commands of the page in a folder, with `programs` before the system's.
pub fn typed(commands: &str, folder: &Path, programs: &Path) -> Output {
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let output = Command::new("/bin/sh")
        .args(["-e", "-c", commands])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .output()
        .expect("a shell");
    let (said, errors) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{commands}\n{}\n{}",
        String::from_utf8_lossy(said),
        String::from_utf8_lossy(errors)
    );
    output
}

#[test]
fn the_kit_alone_restores_the_state_with_hookshot_and_without() {
    let (sealing, archive) = with_archive();
    let kit = kit(&sealing, &["--with-secret"]);
    let before = sealing.machine.targets();
    // Everything is lost but the archives and the page.
    for lost in ["etc", "data", "out", "tmp"] {
        fs::remove_dir_all(sealing.machine.path(lost)).expect("lost");
    }
    for lost in ["key.txt", "phrase"] {
        fs::remove_file(sealing.machine.path(lost)).expect("lost");
    }
    for folder in ["programs", "with", "without", "tmp", "out"] {
        fs::create_dir(sealing.machine.path(folder)).expect("a folder");
    }
    let programs = sealing.machine.path("programs");
    std::os::unix::fs::symlink(program(), programs.join("hookshot")).expect("a link");
    let secret = section(&kit, "6. PRIVATE KEY")
        .into_iter()
        .find(|line| line.starts_with("AGE-SECRET-KEY-1"))
        .expect("a private key");
    for folder in ["with", "without"] {
        sealing
            .machine
            .write(&format!("{folder}/key.txt"), format!("{secret}\n"), 0o600);
        let fetch = commands(&kit, "1. ARCHIVES", &archive);
        typed(&fetch, &sealing.machine.path(folder), &programs);
    }
    let without = sealing.machine.path("without");
    fs::remove_file(programs.join("hookshot")).expect("removed");
    let open = commands(&kit, "4. RESTORE WITHOUT", &archive);
    let said = typed(&open, &without, &programs).stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("state.redb: OK"), "{said}");
    let place = format!(" {}", sealing.path("data/state.redb"));
    assert!(said.contains(&place), "{said}");
    let opened = without.join(archive.split(".tar").next().expect("a stem"));
    for (target, content) in &before {
        let (_, content) = content.as_ref().expect("a file");
        let name = Path::new(target).file_name().expect("a name");
        let taken = fs::read(opened.join(name)).expect("an entry");
        assert!(taken == content.0, "{target}");
    }
    std::os::unix::fs::symlink(program(), programs.join("hookshot")).expect("a link");
    let restore = commands(&kit, "3. RESTORE WITH HOOKSHOT", &archive);
    let with = sealing.machine.path("with");
    let ran = typed(&restore, &with, &programs);
    assert!(sealing.machine.targets() == before, "the state is back");
    // The key opens the archive, although a passphrase of the configuration is missing still.
    let [key, place] =
        ["with/key.txt", &format!("offsite/{archive}")].map(|name| sealing.path(name));
    let verify = ["verify", &place, "--identity", &key];
    sealing.machine.run(&verify).exits(0);
    // What no archive holds is named.
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("`token` of the notification ops"), "{said}");
    assert!(
        section(&kit, "5. SECRETS")
            .iter()
            .any(|line| line.contains("`token` of the notification ops"))
    );
}

#[test]
fn a_kit_fits_a_page_and_has_no_private_key_unless_it_is_asked_for() {
    let (sealing, _) = with_archive();
    let page = kit(&sealing, &[]);
    let secret = sealing.pair.secret.expose_secret();
    assert!(!page.contains("AGE-SECRET-KEY-"), "{page}");
    let json = sealing
        .run(&["key", "export", "--paper", "--json"])
        .exits(0);
    assert!(!json.text().contains("AGE-SECRET-KEY-"));
    assert_eq!(json.json()["destinations"][0]["seal"], "keys");
    let full = kit(&sealing, &["--with-secret"]);
    assert!(
        full.contains(secret) && full.contains("of key 1, in "),
        "{full}"
    );
    let refused = sealing.run(&["key", "export", "--paper", "--with-secret", "--json"]);
    assert!(!refused.exits(2).text().contains(secret));
    // The folder of a test has a name of any length.
    let folder = sealing.path("");
    for line in full.lines().filter(|line| !line.contains(&folder)) {
        assert!(line.chars().count() <= COLUMNS, "{line}");
    }
    // A command of the configuration may hold a secret.
    let token = "token = \"command:pass show --password=hunter2\"\n";
    sealing.configure(&format!(
        "[[backup.notify]]\nname = \"ops\"\nkind = \"ntfy\"\nurl = \"https://ntfy.sh/x\"\n{token}"
    ));
    let page = kit(&sealing, &[]);
    assert!(
        page.contains("command:") && !page.contains("hunter2"),
        "{page}"
    );
    let none = sealing
        .machine
        .run(&["key", "export", "--paper", "--with-secret"]);
    none.exits(12).says("no private key is given");
}

#[test]
fn a_decoder_reads_the_keys_from_the_codes_of_the_page() {
    let (sealing, _) = with_archive();
    let page = kit(&sealing, &["--with-secret"]);
    let mut wanted = vec![
        sealing.pair.public.clone(),
        sealing.pair.secret.expose_secret().to_owned(),
    ];
    let mut lines = page.lines().peekable();
    let mut number = 0;
    while let Some(line) = lines.next() {
        if !line.contains('\u{2588}') {
            continue;
        }
        let mut code = vec![line];
        while let Some(next) =
            lines.next_if(|next| next.contains(['\u{2588}', '\u{2580}', '\u{2584}']))
        {
            code.push(next);
        }
        let image = sealing.machine.path(&format!("out/code{number}.pgm"));
        fs::write(&image, pixels(&code)).expect("written");
        number += 1;
        let mut zbar = Command::new("zbarimg");
        zbar.args(["-q", "--raw"]).arg(&image);
        let decoded = finish(zbar, b"").exits(0).text();
        let at = wanted.iter().position(|one| *one == decoded.trim());
        wanted.remove(at.unwrap_or_else(|| panic!("{decoded} is none of the keys")));
    }
    assert!(wanted.is_empty(), "{} codes\n{page}", number);
}

/// Returns a code as a picture (pgm(5)), ink in black, with a white margin.
fn pixels(code: &[&str]) -> Vec<u8> {
    let (scale, margin) = (4, 4);
    let columns = code.iter().map(|line| line.chars().count()).max();
    let (width, height) = (
        columns.unwrap_or(0) + 2 * margin,
        2 * code.len() + 2 * margin,
    );
    let is_dark = |row: usize, column: usize| {
        let line = row.checked_sub(margin).and_then(|row| code.get(row / 2));
        let column = column.checked_sub(margin);
        let shown = line.zip(column).and_then(|(line, at)| line.chars().nth(at));
        match shown {
            Some('\u{2588}') => true,
            Some('\u{2580}') => row.is_multiple_of(2),
            Some('\u{2584}') => !row.is_multiple_of(2),
            _ => false,
        }
    };
    let mut bytes = format!("P5 {} {} 255\n", width * scale, height * scale).into_bytes();
    for row in 0..height * scale {
        for column in 0..width * scale {
            bytes.push(if is_dark(row / scale, column / scale) {
                0
            } else {
                255
            });
        }
    }
    bytes
}

#[test]
fn an_archive_with_a_number_opens_by_the_commands_as_they_stand() {
    let (sealing, archive) = with_archive();
    let kit = kit(&sealing, &[]);
    fs::create_dir_all(sealing.machine.path("programs")).expect("a folder");
    let folder = sealing.machine.path("without");
    fs::create_dir(&folder).expect("a folder");
    let numbered = archive.replace(".tar.gz", ".1.tar.gz");
    let stored = sealing.machine.path(&format!("offsite/{archive}"));
    fs::copy(stored, folder.join(&numbered)).expect("copied");
    fs::copy(sealing.machine.path("key.txt"), folder.join("key.txt")).expect("copied");
    let open = commands(&kit, "4. RESTORE WITHOUT", &numbered);
    let said = typed(&open, &folder, &sealing.machine.path("programs")).stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("state.redb: OK"), "{said}");
}

#[test]
fn a_kit_of_a_passphrase_speaks_of_it_and_every_place_counts_from_the_root() {
    let sealing = Sealing::new();
    let config = sealing.machine.config_text(
        "[backup.encryption]\npassphrase = \"file:phrase\"\n[backup.destinations.one]\nurl = \"../backups1\"\n",
    );
    sealing.machine.write("etc/config.toml", config, 0o600);
    let phrase = "correct horse battery";
    sealing.machine.write("etc/phrase", phrase, 0o600);
    let run = ["key", "export", "--paper", "--with-secret"];
    let page = sealing.machine.run(&run).exits(0).text();
    let secret = section(&page, "6. PASSPHRASE").join("\n");
    assert!(secret.contains(phrase), "{page}");
    assert!(
        !page.contains("PRIVATE KEY\n") && !page.contains("key.txt"),
        "{page}"
    );
    assert!(page.contains("IT HOLDS THE PASSPHRASE"), "{page}");
    let restore = section(&page, "3. RESTORE WITH HOOKSHOT").join(" ");
    assert!(
        restore.contains("hookshot asks for the passphrase"),
        "{page}"
    );
    for place in ["@one: {}/backups1", "file:{}/etc/phrase"] {
        let place = place.replace("{}", sealing.path("").trim_end_matches('/'));
        assert!(page.contains(&place), "{place}\n{page}");
    }
}
