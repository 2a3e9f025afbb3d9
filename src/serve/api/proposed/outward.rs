//! The folders and servers that no body of a program may name: they are not for archives.

use std::net::IpAddr;

use axum::http::StatusCode;

use crate::{
    error::{Failure, Kind},
    serve::answer::Trouble,
};

/// Folders of the system, in which no archive lies.
const OF_THE_SYSTEM: [&str; 6] = ["/", "/dev", "/etc", "/proc", "/run", "/sys"];
/// Names by which a cloud tells a machine its own keys, and by which a machine means itself.
const OF_THE_MACHINE: [&str; 4] = [
    "localhost",
    "metadata",
    "metadata.google.internal",
    "instance-data",
];

fn outward(message: &str) -> Trouble {
    Trouble {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        failure: Failure::new(Kind::Usage, message)
            .hint("the owner of the machine may write it into the configuration"),
    }
}

/// Refuses a folder that is not a plain absolute path, or one of the system.
pub fn require_folder(path: &str) -> Result<(), Trouble> {
    let is_plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    let trimmed = format!("/{}", path.trim_matches('/'));
    let is_of_the_system = OF_THE_SYSTEM.iter().any(|folder| {
        let below = trimmed.strip_prefix(folder);
        trimmed == *folder || *folder != "/" && below.is_some_and(|rest| rest.starts_with('/'))
    });
    match is_plain && !is_of_the_system {
        true => Ok(()),
        false => Err(outward("this folder is not one for archives")),
    }
}

/// Refuses a server that is this machine, or that only this machine and its neighbours reach.
pub fn require_elsewhere(host: &str) -> Result<(), Trouble> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("https", host));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_odd = authority.contains(['@', '\\', '%', ' ']) || authority.is_empty();
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if authority.matches(':').count() > 1 => authority,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // Some readers take 0x7f.1 and 2852039166 for addresses.
    let is_number = !name.is_empty() && name.split('.').next_back().is_some_and(is_numeric);
    let is_near = match name.parse::<IpAddr>() {
        Ok(address) => is_near(address),
        Err(_) => {
            let is_named = OF_THE_MACHINE.contains(&name.as_str());
            is_named || name.ends_with(".localhost") || is_number
        }
    };
    match is_odd || is_near || !matches!(scheme, "https" | "http") {
        true => Err(outward("this server is not one for archives")),
        false => Ok(()),
    }
}

fn is_numeric(label: &str) -> bool {
    label.starts_with("0x") || label.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_near(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        // RFC 4291, 2.5.6, and the address by which Amazon tells keys.
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0x0ec2]
        }
    };
    is_local || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_near_and_folders_of_the_system_are_refused() {
        for host in [
            "http://169.254.169.254",
            "169.254.169.254:80",
            "https://[::ffff:169.254.169.254]/x",
            "http://[fd00:ec2::254]",
            "fe80::1",
            "https://localhost:9000",
            "a.localhost",
            "http://127.1",
            "https://2852039166",
            "https://0x7f000001/",
            "https://good.example@169.254.169.254",
            "metadata.google.internal.",
            "file:///etc/passwd",
            "0.0.0.0",
            "",
        ] {
            assert!(require_elsewhere(host).is_err(), "{host}");
        }
        for host in [
            "s3.us-west-002.backblazeb2.com",
            "http://192.168.1.9:9000",
            "nas",
            "[2001:db8::1]:22",
        ] {
            assert!(require_elsewhere(host).is_ok(), "{host}");
        }
        for path in [
            "/",
            "//",
            "/etc",
            "/etc/x",
            "/proc/self",
            "x",
            "/mnt/../etc",
            "file:///mnt",
        ] {
            assert!(require_folder(path).is_err(), "{path}");
        }
        for path in ["/mnt/nfs/backups", "/etcetera"] {
            assert!(require_folder(path).is_ok(), "{path}");
        }
    }
}
