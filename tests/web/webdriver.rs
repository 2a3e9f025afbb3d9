//! A real browser: Debian's Chromium, driven over WebDriver (W3C), whose few calls are written by hand.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::servers::program::{Program, find, leave_out};
use tempfile::TempDir;

use crate::client::connect;

/// The key of a reference to an element (WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The longest wait for a state of a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// A browser with one session.
pub struct Browser {
    program: Program,
    session: String,
    runs_scripts: bool,
    // Dropped after the program.
    folder: TempDir,
}

impl Browser {
    /// Starts a browser without a window; `None` if it is not installed.
    pub fn start() -> Option<Browser> {
        Browser::start_with(&json!({}))
    }

    /// Starts a browser that runs no script of a page.
    pub fn without_scripts() -> Option<Browser> {
        let block = 2;
        let settings = json!({"profile.managed_default_content_settings.javascript": block});
        let mut browser = Browser::start_with(&settings)?;
        browser.runs_scripts = false;
        browser.open("data:text/html,<title>t</title><script>document.title='it ran'</script>");
        assert_eq!(browser.script("return document.title"), "t");
        Some(browser)
    }

    fn start_with(settings: &Value) -> Option<Browser> {
        let (Some(driver), Some(chromium)) = (find("chromedriver"), find("chromium")) else {
            return leave_out("chromium with chromedriver (a browser)");
        };
        let folder = tempfile::Builder::new().prefix("browser-").tempdir();
        let folder = folder.expect("a folder");
        let command = |port: u16| {
            let mut command = Command::new(&driver);
            command.arg(format!("--port={port}"));
            command
                .env("HOME", folder.path())
                .env("TMPDIR", folder.path());
            command
        };
        let answers = |address: SocketAddr| {
            std::net::TcpStream::connect(address).is_ok()
                && call(address, "GET", "/status", &Value::Null)["ready"] == true
        };
        let program = Program::start(folder.path(), command, answers);
        // Containers have neither namespaces for its sandbox nor much shared memory.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let options = json!({"binary": chromium, "args": arguments, "prefs": settings});
        let wanted = json!({
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options
        });
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let begun = call(program.address(), "POST", "/session", &body);
        let session = begun["sessionId"].as_str().expect("a session").to_owned();
        let browser = Browser {
            program,
            session,
            runs_scripts: true,
            folder,
        };
        // A click does not wait for the page that it leads to; whatever looks for an element of it does.
        let milliseconds = u64::try_from(PATIENCE.as_millis()).expect("small");
        browser.ask("POST", "/timeouts", &json!({ "implicit": milliseconds }));
        Some(browser)
    }

    /// Returns false if pages run no script: axe-core is one.
    pub fn runs_scripts(&self) -> bool {
        self.runs_scripts
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        call(self.program.address(), method, &path, body)
    }

    /// Opens an address, and waits until its page is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Returns the address of the page.
    #[track_caller]
    pub fn address(&self) -> String {
        let address = self.ask("GET", "/url", &Value::Null);
        address.as_str().expect("an address").to_owned()
    }

    /// Returns the value of a function body in JavaScript.
    #[track_caller]
    pub fn script(&self, text: &str) -> Value {
        self.ask(
            "POST",
            "/execute/sync",
            &json!({"script": text, "args": []}),
        )
    }

    /// Returns the value that a script passes to `arguments[0]`.
    #[track_caller]
    pub fn script_later(&self, text: &str) -> Value {
        self.ask(
            "POST",
            "/execute/async",
            &json!({"script": text, "args": []}),
        )
    }

    /// Gives a command of the DevTools protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("POST", "/goog/cdp/execute", &body)
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let body = json!({"using": "css selector", "value": selector});
        let found = self.ask("POST", "/element", &body);
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    #[track_caller]
    pub fn click(&self, selector: &str) {
        let path = format!("/element/{}/click", self.element(selector));
        self.ask("POST", &path, &json!({}));
    }

    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let path = format!("/element/{}/value", self.element(selector));
        self.ask("POST", &path, &json!({ "text": text }));
    }

    /// Returns the text that a person sees of an element.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let path = format!("/element/{}/text", self.element(selector));
        let text = self.ask("GET", &path, &Value::Null);
        text.as_str().expect("a text").to_owned()
    }

    /// Presses and releases keys, one after the other.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        });
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.ask("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// Opens a further tab, and goes to it.
    #[track_caller]
    pub fn open_tab(&self) {
        let tab = self.ask("POST", "/window/new", &json!({"type": "tab"}));
        self.ask("POST", "/window", &json!({ "handle": tab["handle"] }));
    }

    /// Takes this scheme of colours and this width of a window.
    #[track_caller]
    pub fn look(&self, scheme: Scheme, width: u32) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
        let metrics =
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Returns the lines of the console since the last call.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let lines = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let lines = lines.as_array().expect("a list").iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// Waits until a function body in JavaScript returns true.
    #[track_caller]
    pub fn until(&self, condition: &str) {
        let end = Instant::now() + PATIENCE;
        while self.script(condition) != true {
            let page = || self.script("return document.documentElement.innerText");
            assert!(Instant::now() < end, "{condition}: {}", page());
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Downloads what a link leads to, and returns its bytes, of which there is at least one.
    #[track_caller]
    pub fn download(&self, selector: &str) -> Vec<u8> {
        let folder: PathBuf = self.folder.path().join("downloads");
        let wish = json!({"behavior": "allow", "downloadPath": folder});
        self.devtools("Browser.setDownloadBehavior", &wish);
        self.click(selector);
        let end = Instant::now() + PATIENCE;
        loop {
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut files = files.map(|file| file.path());
            // It has another ending until it is whole; an empty file holds its name meanwhile.
            let is_whole = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let is_empty = fs::metadata(path).is_ok_and(|found| found.len() == 0);
                !name.ends_with(".crdownload") && !name.starts_with('.') && !is_empty
            };
            if let Some(file) = files.find(is_whole) {
                let bytes = fs::read(&file).expect("readable");
                fs::remove_file(file).expect("removed");
                return bytes;
            }
            assert!(Instant::now() < end, "nothing was downloaded");
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Returns the beginning of the page as a picture in PNG.
    #[track_caller]
    pub fn picture(&self, width: u32, height: u32) -> Vec<u8> {
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let wish = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", &wish);
        decoded(picture["data"].as_str().expect("bytes"))
    }

    /// Returns the faults that axe-core finds on the page; `None` if it is not installed.
    #[track_caller]
    pub fn faults(&self) -> Option<Vec<String>> {
        let Some(axe) = find("axe.min.js") else {
            return leave_out("axe-core (finds what cannot be read or reached)");
        };
        if self.script("return typeof axe") == "undefined" {
            let source = fs::read_to_string(axe).expect("a script");
            self.script(&source);
        }
        let found = self.script_later(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(found => done(
             found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | '))),
             error => done(['axe: ' + error]));",
        );
        let faults = found.as_array().expect("a list").iter();
        Some(faults.map(Value::to_string).collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.ask("DELETE", "", &Value::Null);
        }
    }
}

/// Makes a call of the protocol, and returns its value.
#[track_caller]
fn call(address: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut stream = connect(address);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    // The driver leaves connections open.
    let (mut bytes, mut buffer) = (Vec::new(), [0; 65536]);
    let answer = loop {
        if let Some(answer) = whole(&bytes) {
            break answer;
        }
        let count = stream.read(&mut buffer).expect("an answer");
        assert_ne!(
            count,
            0,
            "{method} {path}: {}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.extend_from_slice(&buffer[..count]);
    };
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let value = &answer["value"];
    assert!(value["error"].is_null(), "{method} {path}: {value}");
    value.clone()
}

/// Returns the body of an answer of which all bytes are there.
fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length?.trim().parse().ok()?;
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(body.to_vec())
}

/// Decodes base64 (RFC 4648).
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |digit: u8| DIGITS.iter().position(|known| *known == digit);
    let digits: Vec<usize> = text.bytes().filter_map(value).collect();
    let groups = digits.chunks(4).flat_map(|group| {
        let padded = (0..4).map(|place| group.get(place).copied().unwrap_or(0));
        let bits = padded.fold(0, |bits, digit| bits << 6 | digit);
        let bytes = [16, 8, 0].map(|shift| (bits >> shift & 255) as u8);
        bytes.into_iter().take(group.len() - 1)
    });
    groups.collect()
}
