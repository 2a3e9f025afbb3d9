//! An SSH server with SFTP: OpenSSH as the user of the tests, with keys of its own and nothing of the machine's.

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::program::{self, Program};

/// The folder that sshd as root insists on; the system makes it when it starts sshd itself.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// The features of a server in which tests differ.
pub struct Shape {
    /// The subsystem that serves SFTP.
    pub subsystem: String,
    /// Lines of sshd_config(5) that win over the usual ones; `PORT` is the port.
    pub more: String,
    /// The text of /etc/shadow for this server alone; needs root.
    pub shadow: Option<String>,
}

impl Shape {
    /// The usual one.
    pub fn usual(folder: &Path) -> Shape {
        Shape {
            subsystem: format!("internal-sftp -d {}/files", folder.display()),
            more: String::new(),
            shadow: None,
        }
    }
}

/// An SSH server. A session begins in `files()`; one that uses absolute paths sees what the user sees.
pub struct Sshd {
    program: Program,
    folder: TempDir,
    user: String,
}

impl Sshd {
    /// Returns the section of a configuration for a destination here.
    pub fn destination(&self) -> String {
        format!(
            "url = \"sftp://{}@{}:{}/~/archives\"\nidentity_file = \"{}\"\nknown_hosts_file = \"{}\"\nssh_config = \"{}\"",
            self.user(),
            self.host(),
            self.port(),
            self.identity_file().display(),
            self.known_hosts().display(),
            self.config().display(),
        )
    }

    /// The name under which `config()` knows the server.
    pub const HOST: &str = "store";

    /// `None` where OpenSSH's server or client is not installed.
    pub fn start() -> Option<Sshd> {
        Sshd::start_as(Shape::usual)
    }

    /// The same with what `shape` makes of it, in the server's folder.
    pub fn start_as(shape: impl FnOnce(&Path) -> Shape) -> Option<Sshd> {
        let (Some(sshd), Some(keygen), Some(_)) = (
            program::find("sshd"),
            program::find("ssh-keygen"),
            program::find("sftp"),
        ) else {
            return program::leave_out("OpenSSH, server and client,");
        };
        let folder = tempfile::Builder::new()
            .prefix("sshd-")
            .tempdir()
            .expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["host_key", "client_key"] {
            let mut command = Command::new(&keygen);
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]);
            let output = command.arg(path(name)).output().expect("ssh-keygen");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        fs::copy(path("client_key.pub"), path("authorized_keys")).expect("copied");
        fs::create_dir(path("files")).expect("a folder");
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        let user = user
            .expect("a list of users")
            .expect("a user with a name")
            .name;
        if nix::unistd::getuid().is_root() && !Path::new(PRIVILEGE_SEPARATION).exists() {
            // Another test may be faster.
            drop(
                fs::DirBuilder::new()
                    .mode(0o755)
                    .create(PRIVILEGE_SEPARATION),
            );
        }
        let shape = shape(folder.path());
        if let Some(shadow) = &shape.shadow {
            fs::write(path("shadow"), shadow).expect("written");
        }
        let command = |port: u16| {
            let config = path("sshd_config");
            let text = server_config(folder.path(), port, &shape);
            fs::write(&config, text).expect("written");
            // It starts itself again for each connection, and wants its whole path for that.
            let mut command = match shape.shadow {
                None => Command::new(&sshd),
                Some(_) => {
                    let mut command = Command::new("unshare");
                    let mount = "mount --bind \"$0\" /etc/shadow && exec \"$@\"";
                    command.args(["-m", "sh", "-c", mount]);
                    command.arg(path("shadow")).arg(&sshd);
                    command
                }
            };
            command.args(["-D", "-e", "-f"]).arg(config);
            command
        };
        let program = Program::start(folder.path(), command, greets);
        let server = Sshd {
            program,
            folder,
            user,
        };
        fs::write(server.known_hosts(), server.known_host()).expect("written");
        fs::write(server.config(), server.client_config()).expect("written");
        Some(server)
    }

    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    pub fn port(&self) -> u16 {
        self.program.address().port()
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// The private key that the server lets in, without a passphrase.
    pub fn identity_file(&self) -> PathBuf {
        self.folder.path().join("client_key")
    }

    /// The file that names the server's key, by address and port.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    /// The file with which `ssh -F FILE store` and `sftp -F FILE store` reach the server, and ask nothing.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("ssh_config")
    }

    /// Returns the text of `config()`, for a test that changes it.
    pub fn client_config(&self) -> String {
        format!(
            "Host {host}\n\
             HostName 127.0.0.1\n\
             Port {port}\n\
             User {user}\n\
             IdentityFile {identity}\n\
             IdentitiesOnly yes\n\
             IdentityAgent none\n\
             UserKnownHostsFile {known_hosts}\n\
             GlobalKnownHostsFile none\n\
             StrictHostKeyChecking yes\n\
             BatchMode yes\n",
            host = Sshd::HOST,
            port = self.port(),
            user = self.user,
            identity = self.identity_file().display(),
            known_hosts = self.known_hosts().display(),
        )
    }

    /// Returns the folder in which sessions begin.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Breaks every connection; the server accepts new ones.
    pub fn cut_connections(&self) {
        self.program.kill_children();
    }

    /// The folder that holds all of it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the output of the server: users and their keys.
    pub fn log(&self) -> String {
        self.program.log()
    }

    fn known_host(&self) -> String {
        let key = fs::read_to_string(self.folder.path().join("host_key.pub")).expect("a key");
        let port = self.port();
        format!("[127.0.0.1]:{port} {key}[::1]:{port} {key}")
    }
}

/// Returns a configuration that also serves without root.
fn server_config(folder: &Path, port: u16, shape: &Shape) -> String {
    format!(
        "{more}\n\
         ListenAddress 127.0.0.1\n\
         Port {port}\n\
         HostKey {folder}/host_key\n\
         AuthorizedKeysFile {folder}/authorized_keys\n\
         PidFile none\n\
         StrictModes no\n\
         UsePAM no\n\
         PermitRootLogin prohibit-password\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         LogLevel VERBOSE\n\
         Subsystem sftp {subsystem}\n",
        folder = folder.display(),
        more = shape.more.replace("PORT", &port.to_string()),
        subsystem = shape.subsystem,
    )
}

/// Returns true if an SSH server says its name there.
fn greets(address: SocketAddr) -> bool {
    debug_assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let mut name = [0; 4];
    let patient = stream.set_read_timeout(Some(Duration::from_secs(10)));
    patient.and_then(|()| stream.read_exact(&mut name)).is_ok() && name == *b"SSH-"
}

/// `rclone serve sftp`: a server before an object store, which takes a file's content in order, and puts it in its place when
/// the file is closed.
pub struct Rclone {
    program: Program,
    folder: TempDir,
}

impl Rclone {
    /// `None` where rclone, or OpenSSH's client, is not installed.
    pub fn start() -> Option<Rclone> {
        let (Some(rclone), Some(keygen), Some(_)) = (
            program::find("rclone"),
            program::find("ssh-keygen"),
            program::find("ssh"),
        ) else {
            return program::leave_out("rclone, and OpenSSH's client,");
        };
        let folder = tempfile::Builder::new()
            .prefix("rclone-")
            .tempdir()
            .expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["host_key", "client_key"] {
            let mut command = Command::new(&keygen);
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]);
            let status = command.arg(path(name)).status().expect("ssh-keygen");
            assert!(status.success());
        }
        fs::create_dir(path("files")).expect("a folder");
        let command = |port: u16| {
            let mut command = Command::new(&rclone);
            command.args(["serve", "sftp", "--vfs-cache-mode", "off", "--config", ""]);
            command.args(["--addr", &format!("127.0.0.1:{port}")]);
            command.arg("--authorized-keys").arg(path("client_key.pub"));
            command.arg("--key").arg(path("host_key"));
            command.arg(path("files"));
            command
        };
        let program = Program::start(folder.path(), command, greets);
        let key = fs::read_to_string(path("host_key.pub")).expect("a key");
        let known = format!("[127.0.0.1]:{} {key}", program.address().port());
        fs::write(path("known_hosts"), known).expect("written");
        Some(Rclone { program, folder })
    }

    /// Returns the section of a configuration for a destination here.
    pub fn destination(&self) -> String {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        format!(
            "url = \"sftp://bak@127.0.0.1/archives\"\nport = {}\nidentity_file = \"{}\"\nknown_hosts_file = \"{}\"\nssh_config = \"/dev/null\"",
            self.program.address().port(),
            path("client_key"),
            path("known_hosts"),
        )
    }

    /// The folder that it serves.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub fn log(&self) -> String {
        self.program.log()
    }
}
