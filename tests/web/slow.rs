//! Requests that are too large, too slow, or never come.

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{connect, exchange, rest_of},
    site::{API, PASSWORD, Site},
};

#[test]
fn a_large_body_is_refused() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let own = serving.stranger().with("Sec-Fetch-Site: same-origin");
    // Its length alone is enough.
    for length in [1 << 20, 1_usize << 62] {
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {length}\r\n\r\n",
            serving.address
        );
        let answer = exchange(serving.address, request.as_bytes()).expect("an answer");
        answer.is(413);
    }
    // One without a length is refused as soon as it is too long.
    let head = own
        .with("Transfer-Encoding: chunked")
        .request("POST", "/login", "")
        .replace("Content-Length: 0\r\n", "");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let mut stream = connect(serving.address);
    stream.write_all(head.as_bytes()).expect("sent");
    for _ in 0..16 {
        // The server may close before all is sent.
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let answer = rest_of(&mut stream);
    let is_refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 413");
    assert!(is_refused, "{}", String::from_utf8_lossy(&answer));
    let audit = site.audit();
    assert_eq!(audit, [], "a login was tried");
    let form = format!("name=anna&password={PASSWORD}&more={}", "x".repeat(60_000));
    own.send("POST", "/login", &form).is(303);
}

/// Opens connections that send no more than this.
fn held(address: std::net::SocketAddr, count: usize, beginning: &str) -> Vec<TcpStream> {
    let opened = (0..count).map(|_| {
        let mut stream = connect(address);
        stream.write_all(beginning.as_bytes()).expect("sent");
        stream
    });
    opened.collect()
}

#[test]
fn a_client_that_never_reads_is_ended() {
    let site = Site::with_admin();
    fs::write(site.machine.path("srv/page"), vec![b'x'; 32 << 20]).expect("written");
    site.machine.run(&["export"]).exits(0);
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let archives = serving.snapshots(&program);
    let id = archives[0]["id"].as_str().expect("an id");
    let path = format!("{API}/snapshots/{id}/entries/page/content");
    let mut stream = connect(serving.address);
    let request = program.request("GET", &path, "");
    stream.write_all(request.as_bytes()).expect("sent");
    // The answer has begun, and its rest waits for this client.
    stream.peek(&mut [0; 12]).expect("an answer");
    let own = stream.local_addr().expect("an address").port();
    let port = format!(":{own:04X}");
    // State 01 is an open connection (proc_net_tcp(5)), seen from the server.
    let is_open = || {
        let table = fs::read_to_string("/proc/net/tcp").expect("a table");
        let mut lines = table.lines();
        lines.any(|line| {
            let mut fields = line.split_whitespace().skip(2);
            let remote = fields.next().unwrap_or_default();
            remote.ends_with(&port) && fields.next() == Some("01")
        })
    };
    assert!(is_open());
    let end = Instant::now() + Duration::from_secs(100);
    while is_open() {
        assert!(Instant::now() < end, "it is held");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(rest_of(&mut stream).len() < 32 << 20);
}

#[test]
fn slow_requests_are_ended_and_six_hundred_idle_connections_keep_no_other_waiting() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let address = serving.address;
    let half =
        format!("POST /login HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\n");
    let no_body = format!("{half}Content-Length: 1000\r\n\r\nname=anna&");
    let again = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut streams = Vec::new();
    for beginning in ["", "GET", &half, &no_body, &again] {
        streams.extend(held(address, 4, beginning));
    }
    for beginning in ["", "GET", &no_body, &again] {
        streams.extend(held(address, 145, beginning));
    }
    let start = Instant::now();
    serving.login("anna").get("/").is(200);
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(8), "{taken:?}");
    thread::scope(|scope| {
        for mut stream in streams {
            scope.spawn(move || {
                let told = rest_of(&mut stream);
                let text = String::from_utf8_lossy(&told).into_owned();
                let is_fine = text.is_empty()
                    || text.starts_with("HTTP/1.1 408")
                    || text.starts_with("HTTP/1.1 200");
                assert!(is_fine, "{text}");
            });
        }
    });
}
