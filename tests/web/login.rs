//! Logging in: how often, how alike, how much memory, and what a thief of the state has.

use std::{
    fs,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use support::directories;

use crate::{
    client::{Answer, connect, exchange},
    site::{API, PASSWORD, Site, cookie},
};

/// Returns what tells answers apart: all but the time.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date");
    (answer.status, headers, answer.text())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn an_unknown_user_and_a_wrong_password_are_alike_in_bytes_and_time() {
    let site = Site::with_admin();
    site.user("olga", "operator");
    let serving = site.start(&[]);
    let timed = |name: &str| {
        let start = Instant::now();
        let answer = serving.try_login(name, "wrong-password");
        (told(&answer), start.elapsed())
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..8 {
        let (one, time) = timed(if round < 4 { "anna" } else { "olga" });
        known.push(time);
        let (other, time) = timed(&format!("eve{round}"));
        unknown.push(time);
        assert_eq!(one, other);
        assert_eq!(one.0, 403);
    }
    let (known, unknown) = (median(known), median(unknown));
    // Without stretching, an answer takes a hundredth of the time.
    assert!(
        known < 4 * unknown && unknown < 4 * known,
        "{known:?} and {unknown:?}"
    );
}

#[test]
fn a_sixth_try_within_a_minute_is_refused_and_audited_once() {
    let site = Site::with_admin();
    site.user("olga", "operator");
    let serving = site.start(&[]);
    for _ in 0..5 {
        serving.try_login("anna", "wrong-password").is(403);
    }
    for _ in 0..3 {
        serving.try_login("anna", "wrong-password").is(429);
    }
    // The right password helps no more, and others are not kept out.
    serving
        .try_login("anna", PASSWORD)
        .is(429)
        .says("Too many tries");
    serving.login("olga").get("/").is(200);
    let audit = site.audit();
    let outcomes: Vec<_> = audit
        .iter()
        .map(|(actor, .., outcome)| (actor.as_str(), outcome.as_str()))
        .collect();
    let mut wanted = vec![("anna", "forbidden"); 5];
    wanted.extend([("anna", "too_many"), ("olga", "done")]);
    assert_eq!(outcomes, wanted);
}

#[test]
fn a_password_that_is_typed_as_a_name_is_kept_nowhere() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    for _ in 0..5 {
        serving.try_login("my-typed-secret", "x").is(403);
    }
    serving.try_login("my-typed-secret", "x").is(429);
    serving.try_login("anna", "my-typed-secret").is(403);
    let actors = site.audit().into_iter().map(|(actor, ..)| actor);
    let mut wanted = vec!["unknown"; 6];
    wanted.push("anna");
    assert_eq!(actors.collect::<Vec<_>>(), wanted);
    let folder = site.state();
    let entries = fs::read_dir(folder.parent().expect("a folder")).expect("a folder");
    for path in entries.flatten().map(|entry| entry.path()) {
        let bytes = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("my-typed-secret"), "{}", path.display());
    }
    assert!(!serving.log().contains("my-typed-secret"));
}

#[test]
fn a_login_waits_for_no_verb_that_gets_no_answer() {
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    let program = serving.program(&token);
    serving.snapshots(&program);
    let answer = program.get(&format!("{API}/destinations")).is(200).json();
    let id = answer["destinations"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // From now on this destination takes requests, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let text =
        directories::DATA_AND_PAGE.replace("prefix = \"x\"\n", "prefix = \"x\"\nto = [\"d1\"]\n");
    let place = format!(
        "[backup.destinations.d1]\nurl = \"s3://b/x\"\nendpoint = \"http://127.0.0.1:{port}\"\nallow_http = true\n\
         access_key_id = \"AK\"\nsecret_access_key = \"SK\"\nregion = \"r\"\n"
    );
    site.machine.write("etc/config.toml", text + &place, 0o600);
    let request = anna.request("GET", &format!("/destinations/{id}"), "");
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(serving.address);
        stream.write_all(request.as_bytes()).expect("sent");
        held.push((stream, silent.accept().expect("a verb").0));
    }
    let start = Instant::now();
    serving.try_login("anna", PASSWORD).is(303);
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(8), "{taken:?}");
}

#[test]
fn two_hundred_logins_at_once_take_bounded_memory() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let address = serving.address;
    let requests: Vec<String> = (0..200)
        .map(|number| {
            let client = serving.stranger().with("Sec-Fetch-Site: same-origin");
            let form = format!("name=user{number}&password={}", "long".repeat(250));
            client.request("POST", "/login", &form)
        })
        .collect();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .map(|request| scope.spawn(move || exchange(address, request.as_bytes())))
            .collect();
        let answers = threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends"));
        answers
            .map(|answer| answer.expect("an answer").status)
            .collect()
    });
    assert!(
        statuses.iter().all(|status| [403, 429].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&403), "{statuses:?}");
    let status = fs::read_to_string(format!("/proc/{}/status", serving.pid())).expect("a process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    let peak: u64 = peak.and_then(|peak| peak.parse().ok()).expect("a size");
    // Two passwords at once take 19 MiB each; all of them would take 3.7 GiB.
    println!("{peak} KiB at most");
    assert!(peak < 400 << 10, "{peak} KiB");
    serving.login("anna").get("/").is(200);
}

#[test]
fn the_content_of_the_state_logs_nobody_in() {
    let site = Site::with_admin();
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let answer = serving.try_login("anna", PASSWORD).is(303);
    let session = cookie(&answer);
    serving
        .program(&token)
        .get(&format!("{API}/health"))
        .is(200);
    let (_, session) = session.split_once('=').expect("a pair");
    let secret = token.rsplit('_').next().expect("a secret");
    let folder = site.state();
    let folder = folder.parent().expect("a folder");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        count += bytes.len();
        for text in [PASSWORD, session, secret] {
            let is_there = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!is_there, "{text} is in {}", entry.path().display());
        }
    }
    assert!(count > 10_000, "{count} bytes were read");
    // What is stored is of no use by itself.
    for query in ["SELECT digest FROM sessions", "SELECT password FROM users"] {
        let value = text_of(&site.rows(query)[0]);
        let client = serving.stranger().with(format!("Cookie: hookshot={value}"));
        client.get("/").is(303);
        serving
            .try_login("anna", &value.replace('+', "%2B"))
            .is(403);
    }
    let digest = text_of(&site.rows("SELECT digest FROM tokens")[0]);
    let id = text_of(&site.rows("SELECT id FROM tokens")[0]);
    let thief = serving.program(&format!("hs_{id}_{digest}"));
    thief.get(&format!("{API}/health")).is(401);
    assert!(!serving.log().contains(PASSWORD) && !serving.log().contains(secret));
}

/// Returns the text of a column as rusqlite shows its bytes.
fn text_of(column: &str) -> String {
    let inner = column.trim_start_matches("Text([").trim_end_matches("])");
    let bytes = inner.split(", ").map(|byte| byte.parse().expect("a byte"));
    String::from_utf8(bytes.collect()).expect("UTF-8")
}

#[test]
fn a_token_is_accepted_in_its_header_alone_and_a_cookie_on_pages_alone() {
    let site = Site::with_admin();
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let session = cookie(&serving.try_login("anna", PASSWORD).is(303));
    let health = format!("{API}/health");
    let stranger = serving.stranger();
    serving.program(&token).get(&health).is(200);
    for path in [
        format!("{health}?token={token}"),
        format!("{health}?access_token={token}"),
        format!("{health}?authorization=Bearer+{token}"),
    ] {
        stranger.get(&path).is(401);
    }
    let basic = "YW5uYTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=";
    for line in [
        format!("Cookie: hookshot={token}"),
        format!("Cookie: token={token}"),
        format!("Cookie: {session}"),
        format!("Authorization: Basic {basic}"),
        format!("Authorization: {token}"),
        format!("Authorization: Token {token}"),
        format!("X-Api-Key: {token}"),
        format!("Authorization: Bearer {}", session.replace('=', "_")),
        "Authorization: Bearer hs__".to_owned(),
        "Authorization: Bearer".to_owned(),
    ] {
        let answer = stranger.with(&line).get(&health);
        assert_eq!(answer.status, 401, "{line}");
        let challenge = answer.headers("www-authenticate").join(" ");
        assert!(!challenge.contains("Basic"), "{challenge}");
    }
    // Two values are none.
    let two = serving.program(&token).with("Authorization: Bearer hs_x_y");
    two.get(&health).is(401);
    for line in [
        format!("Authorization: Bearer {token}"),
        format!("Authorization: Basic {basic}"),
        format!("Cookie: __Host-{session}"),
        format!("Cookie: {session}; {session}"),
    ] {
        stranger.with(&line).get("/").is(303);
    }
    stranger
        .with(format!("Cookie: a=b; {session}"))
        .get("/")
        .is(200);
}
