//! The files of keys, as restic writes them (its design document, "Keys, Encryption and MAC"): the key of the repository,
//! sealed by a key that is stretched from a password.

use anyhow::{Context as _, Result};
use nix::unistd::{User, geteuid};
use rustic_core::{
    Id,
    jiff::{Timestamp, tz::TimeZone},
    repofile::{KeyFile, MasterKey},
};

use super::{
    backend::StoreBackend,
    sealing::{Sealing, random},
};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    store::{Maker, Secret},
};

/// The cost of stretching a password by scrypt (RFC 7914). It takes 32 MiB and as long as N = 2^17 with p = 1, which OWASP
/// counts as equally strong ("Password Storage Cheat Sheet").
const COST: Cost = Cost {
    n: 1 << 15,
    r: 8,
    p: 3,
};
/// The most memory that stretching a password may take, in bytes.
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// The most work that stretching a password may be, in bytes that are written: some 64 times ours.
const MAX_WORK_BYTES: u64 = (64 * 100) << 20;

struct Cost {
    n: u32,
    r: u32,
    p: u32,
}

impl Cost {
    /// Returns the cost for `password`. One that has the form of [`random_password`] cannot be guessed, so stretching it
    /// thrice as long at each run gains nothing.
    fn of(password: &Secret) -> Cost {
        let text = password.reveal();
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.len() == 64 && text.bytes().all(is_digit) {
            true => Cost { p: 1, ..COST },
            false => COST,
        }
    }
}

/// Returns a random password: 32 bytes, in hexadecimal digits.
pub fn random_password() -> Secret {
    Secret::new(Id::random().to_hex().as_str())
}

/// Returns the file of a new key, which says what it is of.
pub fn sealed_key(master: &MasterKey, password: &Secret, maker: &Maker) -> Result<Vec<u8>> {
    let user = User::from_uid(geteuid()).ok().flatten();
    let created = Timestamp::new(maker.begun.timestamp(), 0)?;
    let cost = Cost::of(password);
    let mut file = KeyFile {
        hostname: Some(maker.host.clone()).filter(|host| !host.is_empty()),
        username: user.map(|user| user.name),
        created: Some(created.to_zoned(TimeZone::UTC)),
        kdf: "scrypt".to_owned(),
        n: cost.n,
        r: cost.r,
        p: cost.p,
        data: Vec::new(),
        salt: random(64)?,
    };
    let text = serde_json::to_vec(master)?;
    file.data = stretched(&file, password)?.seal(&text)?;
    Ok(serde_json::to_vec(&file)?)
}

/// The file of a key that was read.
pub struct ReadKey {
    /// Its name.
    pub id: Id,
    /// Its content, or the reason why no password opens it. [`Kind::Refused`]: it is damaged, or not one that restic writes.
    pub file: Result<KeyFile, Failure>,
}

/// The result of trying a password.
pub struct Tried {
    /// The key that it opens, and the name of its file.
    pub found: Option<(MasterKey, Id)>,
    /// The first failure of a key that could not be tried.
    pub untried: Option<Failure>,
}

/// Reads the files of all keys. One that another process removed meanwhile has [`Kind::NotFound`].
pub fn read_keys(backend: &StoreBackend, shown: &str) -> Result<Vec<ReadKey>> {
    let mut keys = Vec::new();
    for id in backend.keys()? {
        let named = named(&id, shown);
        let file = match backend.read_key(&id) {
            Ok(bytes) if Digest::of(&bytes).to_string() == *id.to_hex().as_str() => {
                parsed_key(&bytes, &named)
            }
            Ok(_) => Err(Failure::new(Kind::Refused, format!("{named} is damaged"))),
            Err(error) => match Failure::of(&error) {
                failure if matches!(failure.kind, Kind::Interrupted(_) | Kind::Unreachable) => {
                    return Err(error);
                }
                failure => Err(failure),
            },
        };
        keys.push(ReadKey { id, file });
    }
    Ok(keys)
}

/// Tries `password` at each key, those first that take the least work: a file that asks for much costs nothing if the
/// password has a key of its own.
pub fn first_opened(keys: Vec<ReadKey>, password: &Secret, shown: &str) -> Result<Tried> {
    let mut tried = Tried {
        found: None,
        untried: None,
    };
    let mut files = Vec::new();
    for key in keys {
        match key.file {
            Ok(file) => files.push((key.id, file)),
            // Another process removed it.
            Err(failure) if failure.kind == Kind::NotFound => {}
            Err(failure) => tried.untried = tried.untried.or(Some(failure)),
        }
    }
    files.sort_by_key(|(_, file)| work(file));
    for (id, file) in files {
        match opened_key(&file, password, &named(&id, shown)) {
            Ok(Some(key)) => {
                tried.found = Some((key, id));
                break;
            }
            Ok(None) => {}
            Err(error) => tried.untried = tried.untried.or(Some(Failure::of(&error))),
        }
    }
    Ok(tried)
}

/// Returns the key that `password` opens, and the name of its file; `None` if it opens none.
///
/// Errors: [`Kind::Refused`] if it opens none, and a file is damaged, or none is there.
fn find_key(
    backend: &StoreBackend,
    shown: &str,
    password: &Secret,
) -> Result<Option<(MasterKey, Id)>> {
    let keys = read_keys(backend, shown)?;
    if keys.is_empty() {
        let message = format!("the repository {shown} has no key: it is lost");
        return Err(Failure::new(Kind::Refused, message).into());
    }
    let tried = first_opened(keys, password, shown)?;
    match (tried.found, tried.untried) {
        (None, Some(failure)) => Err(failure.into()),
        (found, _) => Ok(found),
    }
}

/// Returns the key that `password` opens, and the name of its file.
///
/// Errors: those of [`find_key`]; [`Kind::Key`] if it opens none.
pub fn require_key(
    backend: &StoreBackend,
    shown: &str,
    password: &Secret,
) -> Result<(MasterKey, Id)> {
    let found = find_key(backend, shown, password)?;
    Ok(found.ok_or_else(|| {
        let message = format!("no key of {shown} opens with this password");
        Failure::new(Kind::Key, message).hint(
            "look at `password` of the destination, or at RESTIC_PASSWORD and RESTIC_PASSWORD_FILE",
        )
    })?)
}

/// Returns the name of a key in messages.
fn named(id: &Id, shown: &str) -> String {
    format!("the key {id} of the repository {shown}")
}

/// Returns the file of a key. Fails with [`Kind::Refused`] if no password can open it; `named` is the key in messages.
fn parsed_key(file: &[u8], named: &str) -> Result<KeyFile, Failure> {
    let refused = |why: &str| Failure::new(Kind::Refused, format!("{named} {why}"));
    let Ok(file) = serde_json::from_slice::<KeyFile>(file) else {
        return Err(refused("is not one that restic writes"));
    };
    let (n, r, p) = (u64::from(file.n), u64::from(file.r), u64::from(file.p));
    if file.kdf != "scrypt" || !n.is_power_of_two() || n < 2 || r * p == 0 {
        return Err(refused("is made by a method that is not known"));
    }
    if memory(&file) > MAX_MEMORY_BYTES || work(&file) > MAX_WORK_BYTES {
        return Err(refused("takes more memory or time than any real one"));
    }
    Ok(file)
}

/// Returns the memory that it takes to try a password, in bytes.
fn memory(file: &KeyFile) -> u64 {
    (128 * u64::from(file.n)).saturating_mul(file.r.into())
}

/// Returns the work of trying a password, in bytes that are written.
fn work(file: &KeyFile) -> u64 {
    memory(file).saturating_mul(file.p.into())
}

/// Returns the key in a file, or `None` if it is sealed by another password. Fails with [`Kind::Refused`] if it holds no
/// key; `named` is the key in messages.
fn opened_key(file: &KeyFile, password: &Secret, named: &str) -> Result<Option<MasterKey>> {
    let refused = |why: &str| Failure::new(Kind::Refused, format!("{named} {why}"));
    let Some(text) = stretched(file, password)?.unseal(&file.data) else {
        return Ok(None);
    };
    let master: MasterKey = serde_json::from_slice(&text)
        .map_err(|_| refused("opens, but has no key of a repository in it"))?;
    // A key of another length would end the run.
    Sealing::by(&master).map_err(|_| refused("opens, but its key has another length"))?;
    Ok(Some(master))
}

fn stretched(file: &KeyFile, password: &Secret) -> Result<Sealing> {
    let key = file.kdf_key(&password.reveal());
    let (encrypt, k, r) = key.ok().context("cannot stretch the password")?.to_keys();
    Sealing::of(&encrypt, &k, &r)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn maker() -> Maker {
        Maker {
            host: "web1".to_owned(),
            pid: 1,
            begun: Default::default(),
            run: String::new(),
            life: None,
            folders: Vec::new(),
        }
    }

    #[test]
    fn a_key_opens_with_its_password_alone() {
        let master = MasterKey::new();
        let password = random_password();
        let file = sealed_key(&master, &password, &maker()).unwrap();
        let file = parsed_key(&file, "a").unwrap();
        let opened = opened_key(&file, &password, "a").unwrap().unwrap();
        assert_eq!(opened.encrypt, master.encrypt);
        let other = opened_key(&file, &random_password(), "a");
        assert!(other.unwrap().is_none());
    }

    #[test]
    fn a_password_that_can_be_guessed_is_stretched_longer() {
        let parallel = |password: &Secret| {
            let file = sealed_key(&MasterKey::new(), password, &maker()).unwrap();
            serde_json::from_slice::<KeyFile>(&file).unwrap().p
        };
        assert_eq!(parallel(&random_password()), 1);
        for words in ["correct horse", &"A".repeat(64), &"a".repeat(63)] {
            assert_eq!(parallel(&Secret::new(words)), 3, "{words}");
        }
    }

    #[test]
    fn a_key_that_no_program_writes_is_refused() {
        let file = sealed_key(&MasterKey::new(), &random_password(), &maker()).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        for (name, value) in [
            ("N", json!(0)),
            ("N", json!(1)),
            ("N", json!(1000)),
            ("N", json!(1 << 31)),
            ("r", json!(0)),
            ("r", json!(u32::MAX)),
            ("p", json!(0)),
            ("p", json!(u32::MAX)),
            ("kdf", json!("argon2")),
            ("salt", json!(7)),
        ] {
            let mut odd = file.clone();
            odd[name] = value.clone();
            let odd = serde_json::to_vec(&odd).unwrap();
            let failure = parsed_key(&odd, "a").unwrap_err();
            assert_eq!(failure.kind, Kind::Refused, "{name} = {value}");
        }
        for short in [json!(""), json!("AAAA")] {
            let mut odd = file.clone();
            odd["data"] = short;
            let odd = serde_json::to_vec(&odd).unwrap();
            let odd = parsed_key(&odd, "a").unwrap();
            assert!(opened_key(&odd, &random_password(), "a").unwrap().is_none());
        }
    }
}
