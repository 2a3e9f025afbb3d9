//! Some kilobytes of a repository that unpack to a gigabyte, which only the owner of a key can write: they are refused, and
//! take no memory.

use std::{fs, path::PathBuf};

use aes256ctr_poly1305aes::{
    Aes256CtrPoly1305Aes,
    aead::{Aead as _, Nonce},
};
use hookshot::model::digest::Digest;
use rustic_core::repofile::{KeyFile, MasterKey};
use serde_json::{Value, json};
use support::{
    Machine, Run,
    bounds::limited,
    finish,
    restic::PASSWORD,
    vaults::{copy_folder, files_below, noise},
};

use super::machine;

/// The most memory of a run, in bytes: a tenth of it is for the password.
const MOST_BYTES: u64 = 300 << 20;
/// The bytes to which a bomb unpacks.
const BOMB_BYTES: u64 = 1 << 30;

/// Returns a few kilobytes of zstd that unpack to [`BOMB_BYTES`].
fn bomb() -> Vec<u8> {
    let zeros = vec![b'0'; 64 << 20];
    let frame = zstd::bulk::compress(&zeros, 1).expect("packed");
    let frames = usize::try_from(BOMB_BYTES).expect("a number") / zeros.len();
    let bomb = frame.repeat(frames);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    bomb
}

/// The repository of a machine, for the owner of its key.
struct Owner<'a> {
    machine: &'a Machine,
    cipher: Aes256CtrPoly1305Aes,
}

fn cipher(parts: [&[u8]; 3]) -> Aes256CtrPoly1305Aes {
    let key: [u8; 64] = parts.concat().try_into().expect("64 bytes");
    Aes256CtrPoly1305Aes::new(&key.into())
}

fn opened(cipher: &Aes256CtrPoly1305Aes, sealed: &[u8]) -> Vec<u8> {
    let (nonce, sealed) = sealed.split_at(16);
    let nonce = Nonce::<Aes256CtrPoly1305Aes>::from_slice(nonce);
    cipher.decrypt(nonce, sealed).expect("opened")
}

impl Owner<'_> {
    fn of(machine: &Machine) -> Owner<'_> {
        let file = files_below(&machine.path("vault/keys")).remove(0);
        let file: KeyFile = serde_json::from_slice(&fs::read(file).expect("it")).expect("a key");
        let key = file.kdf_key(&PASSWORD).expect("stretched");
        let (encrypt, k, r) = key.to_keys();
        let text = opened(&cipher([&encrypt, &k, &r]), &file.data);
        let master: MasterKey = serde_json::from_slice(&text).expect("a key");
        let cipher = cipher([&master.encrypt, &master.mac.k, &master.mac.r]);
        Owner { machine, cipher }
    }

    fn one(&self, folder: &str) -> PathBuf {
        files_below(&self.machine.path("vault").join(folder)).remove(0)
    }

    fn sealed(&self, text: &[u8]) -> Vec<u8> {
        let nonce = [7; 16];
        let nonce = Nonce::<Aes256CtrPoly1305Aes>::from_slice(&nonce);
        let sealed = self.cipher.encrypt(nonce, text).expect("sealed");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Writes a file of a folder, whose name is its digest, in place of the only one.
    fn replace(&self, folder: &str, text: &[u8]) {
        let old = self.one(folder);
        let sealed = self.sealed(text);
        let name = Digest::of(&sealed).to_string();
        fs::write(old.with_file_name(name), sealed).expect("written");
        fs::remove_file(old).expect("removed");
    }

    /// Returns the text of the only index.
    fn index(&self) -> Value {
        let text = opened(&self.cipher, &fs::read(self.one("index")).expect("it"));
        let text = match text.split_first() {
            Some((2, packed)) => zstd::decode_all(packed).expect("unpacked"),
            _ => text,
        };
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Puts a bomb in the place of every piece of a kind; the index says that it has `bytes`.
    fn replace_pieces(&self, kind: &str, bytes: u64) {
        let sealed = self.sealed(&bomb());
        // The header of a pack: kind, length, length before, and digest of each piece; sealed, and its length at the end.
        let header = self.sealed(&[0; 41]);
        let length = u32::try_from(header.len()).expect("a length");
        let pack = [&*sealed, &header, &length.to_le_bytes()].concat();
        let id = Digest::of(&pack).to_string();
        let folder = self.machine.path("vault/data").join(&id[..2]);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(&id), &pack).expect("written");
        let mut index = self.index();
        let packs = index["packs"].as_array_mut().expect("packs");
        let mut bombs = Vec::new();
        for pack in packs.iter_mut() {
            let pieces = pack["blobs"].as_array_mut().expect("pieces");
            for piece in pieces.iter().filter(|piece| piece["type"] == kind) {
                bombs.push(json!({"id": id, "blobs": [{
                    "id": piece["id"], "type": kind, "offset": 0, "length": sealed.len(),
                    "uncompressed_length": bytes,
                }]}));
            }
            pieces.retain(|piece| piece["type"] != kind);
        }
        assert!(!bombs.is_empty());
        packs.retain(|pack| pack["blobs"] != json!([]));
        packs.push(bombs.remove(0));
        let more = bombs.iter().map(|bomb| bomb["blobs"][0].clone());
        let pieces = packs.last_mut().expect("it")["blobs"].as_array_mut();
        pieces.expect("pieces").extend(more);
        self.replace("index", index.to_string().as_bytes());
    }
}

/// Runs hookshot in bounded memory.
fn bounded(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = machine.command();
    command.args(arguments);
    finish(limited(&command, &[format!("--data={MOST_BYTES}")]), b"")
}

#[test]
fn what_unpacks_to_gigabytes_is_refused_in_bounded_memory() {
    let machine = machine();
    machine.write("etc/secrets", noise(30_000, 7), 0o600);
    machine.run(&["export", "@vault"]).exits(0);
    let good = machine.path("good");
    copy_folder(&machine.path("vault"), &good);
    let owner = Owner::of(&machine);
    type Case<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let packed = || [&[2], &*bomb()].concat();
    let owner = &owner;
    let piece = |kind: &'static str, bytes| Box::new(move || owner.replace_pieces(kind, bytes));
    let cases: [Case; 6] = [
        ("content", piece("data", BOMB_BYTES)),
        ("content that says less", piece("data", 30_000)),
        ("folder", piece("tree", BOMB_BYTES)),
        ("folder that says less", piece("tree", 500)),
        ("index", Box::new(move || owner.replace("index", &packed()))),
        (
            "record",
            Box::new(move || owner.replace("snapshots", &packed())),
        ),
    ];
    for (case, strike) in cases {
        copy_folder(&good, &machine.path("vault"));
        strike();
        for arguments in [
            &["verify", "@vault/latest"][..],
            &["repo", "check", "@vault", "--read-data"],
            &["extract", "@vault/latest", "-o", "out"],
            &["copy", "@vault/latest", "@folder"],
        ] {
            let run = bounded(&machine, arguments);
            assert_eq!(
                run.code,
                13,
                "{case} {arguments:?}: {}{}",
                run.text(),
                run.stderr
            );
            println!("{case} {arguments:?}: {}", run.stderr);
        }
    }
}
