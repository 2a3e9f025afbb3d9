//! Certificates and proxies: trusted authorities, messages of refusals, and proxies between this machine and a store.

use std::{path::Path, process::Stdio};

use support::{
    Machine, Run, finish,
    servers::{Authority, Gate, HttpProxy, Made, S3, Tls, s3::BUCKET},
};

const PASSWORD: &str = "hunter2";

/// A machine with a destination at `endpoint`, with these keys besides.
fn machine(endpoint: &str, keys: &str) -> Machine {
    let machine = Machine::new();
    let (id, secret) = (S3::ACCESS_KEY, S3::SECRET_KEY);
    let text = machine.config_text(&format!(
        "[backup.destinations.offsite]\nurl = \"s3://{BUCKET}/x\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\n\
         access_key_id = \"{id}\"\nsecret_access_key = \"{secret}\"\nretry_attempts = 0\nallow_http = true\n{keys}\n"
    ));
    machine.write("etc/config.toml", text, 0o600);
    machine
}

fn list(machine: &Machine, variables: &[(&str, &str)]) -> Run {
    let mut command = machine.command();
    command.args(["list", "@offsite"]).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_tls = name.starts_with("SSL_") || name.starts_with("AWS_");
        if of_tls || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.env("HOME", machine.path("tmp"));
    command.envs(variables.iter().copied());
    let run = finish(command, b"");
    assert!(!run.stderr.contains(PASSWORD), "{}", run.stderr);
    run
}

fn ca_file(path: &Path) -> String {
    format!("ca_file = \"{}\"", path.display())
}

#[test]
fn an_authority_of_ones_own_is_trusted_by_key_and_by_variable() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let s3 = S3::start();
    let tls = Tls::in_front_of(&s3.endpoint(), &authority.make(Made::Well));
    let own = authority.certificate();
    let shown = own.display().to_string();
    list(&machine(&tls.endpoint(), &ca_file(&own)), &[]).exits(0);
    let bare = machine(&tls.endpoint(), "");
    for variable in ["SSL_CERT_FILE", "AWS_CA_BUNDLE"] {
        list(&bare, &[(variable, &shown)]).exits(0);
    }
    // An empty variable is none.
    list(
        &machine(&tls.endpoint(), &ca_file(&own)),
        &[
            ("SSL_CERT_FILE", ""),
            ("AWS_CA_BUNDLE", ""),
            ("SSL_CERT_DIR", ""),
        ],
    )
    .exits(0);
    // A server's own certificate, if it is one of a server.
    let (certificate, key) = authority.make(Made::SelfSigned);
    let tls = Tls::in_front_of(&s3.endpoint(), &(certificate.clone(), key));
    list(&machine(&tls.endpoint(), &ca_file(&certificate)), &[]).exits(0);
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let s3 = S3::start();
    let own = ca_file(&authority.certificate());
    for (made, keys, says, hint) in [
        (
            Made::Well,
            "",
            "not known here",
            "`ca_file` or by SSL_CERT_FILE",
        ),
        (Made::Expired, &*own, "has expired", "renew it"),
        (Made::NotYet, &*own, "is not valid yet", "clock"),
        (Made::OtherName, &*own, "for another name: ", "`endpoint`"),
        (Made::AsAuthority, &*own, "self-signed", "CA:FALSE"),
    ] {
        let tls = Tls::in_front_of(&s3.endpoint(), &authority.make(made));
        let run = list(&machine(&tls.endpoint(), keys), &[]).exits(1);
        let run = run.says(says).says(hint);
        for raw in ["UnknownIssuer", "OtherError", "CaUsed", "invalid peer"] {
            assert!(!run.stderr.contains(raw), "{made:?}: {}", run.stderr);
        }
        if made == Made::OtherName {
            run.says("store.example.org");
        }
    }
    let plain = s3.endpoint().replace("http://", "https://");
    list(&machine(&plain, ""), &[])
        .exits(1)
        .says("does not speak TLS");
}

#[test]
fn a_file_of_authorities_that_is_not_there_is_named_before_the_first_request() {
    let nowhere = "/nowhere/ca.pem";
    let endpoint = "https://127.0.0.1:1";
    let named = machine(endpoint, &ca_file(Path::new(nowhere)));
    let validated = named.run(&["validate"]).exits(2);
    let said = validated.text() + &validated.stderr;
    assert!(
        !said.contains("warning: [backup.destinations.offsite]: `ca_file`"),
        "{said}"
    );
    assert!(said.contains("`ca_file` names /nowhere/ca.pem"), "{said}");
    let run = list(&named, &[]);
    run.exits(2).says("`ca_file`").says(nowhere);
    let bare = machine(endpoint, "");
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE"] {
        let run = list(&bare, &[(variable, nowhere)]);
        run.exits(2).says(variable).says(nowhere);
    }
    bare.write("out/empty.pem", "nothing\n", 0o600);
    let empty = bare.path("out/empty.pem").display().to_string();
    // Neither an endless device nor a fifo without a writer is waited for.
    let fifo = bare.path("out/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a fifo");
    for odd in [Path::new("/dev/zero"), &fifo] {
        list(&machine(endpoint, &ca_file(odd)), &[]).exits(2);
        list(&bare, &[("SSL_CERT_FILE", &odd.display().to_string())]).exits(2);
    }
    list(&bare, &[("SSL_CERT_FILE", &empty)])
        .exits(2)
        .says("holds no certificate");
}

#[test]
fn a_store_is_reached_through_the_proxy_that_variable_or_key_names() {
    let s3 = S3::start();
    let proxy = HttpProxy::start(Gate::Open);
    let (url, store) = (proxy.url(), s3.endpoint());
    let bare = machine(&store, "");
    let mut expected = 0;
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        list(&bare, &[(variable, &url)]).exits(0);
        expected += 1;
        assert_eq!(proxy.seen().len(), expected, "{variable}");
    }
    list(&machine(&store, &format!("proxy = \"{url}\"")), &[]).exits(0);
    expected += 1;
    assert_eq!(proxy.seen().len(), expected);
    // Around it.
    for no in ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"] {
        list(&bare, &[("HTTP_PROXY", &url), ("NO_PROXY", no)]).exits(0);
    }
    list(
        &machine(&store, "proxy = \"none\""),
        &[("HTTP_PROXY", &url)],
    )
    .exits(0);
    assert_eq!(proxy.seen().len(), expected);
}

#[test]
fn tls_goes_through_the_proxy_in_a_tunnel() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let s3 = S3::start();
    let tls = Tls::in_front_of(&s3.endpoint(), &authority.make(Made::Well));
    let own = ca_file(&authority.certificate());
    // me:hunter2
    let proxy = HttpProxy::start(Gate::Login("bWU6aHVudGVyMg=="));
    let with_login = proxy
        .url()
        .replace("http://", &format!("http://me:{PASSWORD}@"));
    list(
        &machine(&tls.endpoint(), &own),
        &[("HTTPS_PROXY", &with_login)],
    )
    .exits(0);
    assert!(proxy.seen().iter().all(|seen| seen.starts_with("CONNECT ")));
    // By the configuration, as a secret.
    let by_key = machine(
        &tls.endpoint(),
        &format!("{own}\nproxy = \"env:THE_PROXY\""),
    );
    list(&by_key, &[("THE_PROXY", &with_login)]).exits(0);
    let run = list(
        &machine(&tls.endpoint(), ""),
        &[("HTTPS_PROXY", &with_login)],
    );
    run.exits(1)
        .says("not known here")
        .says("requests go through the proxy");
}

#[test]
fn a_proxy_that_is_in_the_way_is_named_with_who_names_it() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let s3 = S3::start();
    let tls = Tls::in_front_of(&s3.endpoint(), &authority.make(Made::Well));
    let own = ca_file(&authority.certificate());
    let plain = machine(&s3.endpoint(), "");
    let secure = machine(&tls.endpoint(), &own);
    let wants = HttpProxy::start(Gate::Login("bWU6b3RoZXI="));
    let closed = HttpProxy::start(Gate::Closed);
    let dead = "http://127.0.0.1:1".to_owned();
    let login = |url: &str| url.replace("http://", &format!("http://me:{PASSWORD}@"));
    for (machine, variable) in [(&plain, "HTTP_PROXY"), (&secure, "HTTPS_PROXY")] {
        let words = |url: &str| format!("the proxy {url} ({variable})");
        let run = list(machine, &[(variable, &wants.url())]).exits(1);
        run.says(&words(&wants.url()))
            .says("wants a user and a password");
        let run = list(machine, &[(variable, &login(&wants.url()))]).exits(1);
        run.says(&words(&wants.url())).says("does not accept");
        let run = list(machine, &[(variable, &login(&dead))]).exits(1);
        run.says(&words(&dead))
            .says("no connection")
            .says("NO_PROXY");
        let socks = format!("socks5://me:{PASSWORD}@127.0.0.1:1080");
        let run = list(machine, &[(variable, &socks)]).exits(2);
        run.says(variable).says("SOCKS");
        for proxy in [socks.as_str(), "http://", "ftp://h", "http://h:port"] {
            let mut validate = machine.command();
            validate.arg("validate").env(variable, proxy);
            let run = finish(validate, b"").exits(2);
            run.says(&format!("cannot be reached: {variable}: it"));
            let mut around = machine.command();
            around
                .arg("validate")
                .env(variable, proxy)
                .env("NO_PROXY", "*");
            finish(around, b"").exits(0);
        }
    }
    for (machine, variable) in [(&plain, "HTTP_PROXY"), (&secure, "HTTPS_PROXY")] {
        let run = list(machine, &[(variable, &closed.url())]).exits(1);
        run.says(&format!("the proxy {} ({variable})", closed.url()))
            .says("does not let us through");
    }
    let by_key = machine(&s3.endpoint(), &format!("proxy = \"{dead}\""));
    list(&by_key, &[])
        .exits(1)
        .says(&format!("the proxy {dead} (`proxy`)"));
    let socks = machine(&s3.endpoint(), "proxy = \"socks5://h:1\"");
    list(&socks, &[]).exits(2).says("SOCKS");
}

#[test]
fn keys_of_other_tools_are_refused_with_ours_named() {
    let keys = [
        ("verify_certificates = false", "`ca_file`"),
        ("insecure = true", "`ca_file`"),
        ("no-verify-ssl = true", "`ca_file`"),
        ("use_tls = true", "`endpoint`"),
        ("tls = { verify = false }", "`endpoint`"),
        ("force_path_style = true", "`path_style"),
        ("ca_bundle = \"/x\"", "`ca_file`"),
        ("https_proxy = \"http://h\"", "`proxy`"),
        ("bucket = \"x\"", "`url`"),
    ];
    let all: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
    let machine = machine("https://h", &all.join("\n"));
    let run = machine.run(&["validate"]).exits(2);
    let faults = run.text() + &run.stderr;
    for (key, ours) in keys {
        let name = key.split(' ').next().unwrap_or_default();
        let at = faults.find(&format!("unknown key `{name}`"));
        let said = &faults[at.unwrap_or_else(|| panic!("{name}: {faults}"))..];
        let end = said[1..].find("unknown key").unwrap_or(said.len() - 1);
        assert!(said[..end].contains(ours), "{name}: {said}");
    }
}

#[test]
fn keys_of_other_tools_for_sftp_are_refused_with_ours_named() {
    let keys = [
        ("host = \"h\"", "`url`"),
        ("path = \"/x\"", "`url`"),
        ("username = \"me\"", "`user`"),
        ("pass = \"x\"", "`password`"),
        ("key_file = \"/x\"", "`identity_file`"),
        ("ssh-key = \"/x\"", "`identity_file`"),
        ("private_key = \"/x\"", "`identity_file`"),
        ("passphrase = \"x\"", "an agent"),
        ("known_hosts = \"/x\"", "`known_hosts_file`"),
        ("StrictHostKeyChecking = false", "always checked"),
        ("rsh = \"ssh -p 7\"", "`ssh_config`"),
    ];
    let lines: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
    let machine = Machine::new();
    let text = machine.config_text(&format!(
        "[backup.destinations.d]\nurl = \"sftp://h/x\"\n{}\n",
        lines.join("\n")
    ));
    machine.write("etc/config.toml", text, 0o600);
    let run = machine.run(&["validate"]).exits(2);
    let faults = run.text() + &run.stderr;
    for (key, ours) in keys {
        let name = key.split(' ').next().unwrap_or_default();
        let at = faults.find(&format!("unknown key `{name}`"));
        let said = &faults[at.unwrap_or_else(|| panic!("{name}: {faults}"))..];
        let end = said[1..].find("unknown key").unwrap_or(said.len() - 1);
        assert!(said[..end].contains(ours), "{name}: {said}");
    }
}
