//! Thousands of small changes, always the same ones. What is still accepted must be what its manifest says.

use super::*;

const ROUNDS: usize = 4000;

/// Reads an archive both ways, and says whether it was accepted.
#[track_caller]
fn judge(archive: &[u8]) -> bool {
    let accepted = [true, false].map(|seekable| {
        let mut found = forge::Collect::default();
        let Ok(verified) = forge::read(archive, seekable, &mut found) else {
            return false;
        };
        let files = &verified.manifest().files;
        assert_eq!(found.given, files.len(), "each entry is given once");
        for (name, record) in files {
            let content = &found.contents[name.as_str()];
            assert_eq!(content.len() as u64, record.size, "{name}");
            assert_eq!(
                forge::digest(content),
                record.checksum.to_string(),
                "{name}"
            );
        }
        true
    });
    assert_eq!(
        accepted[0], accepted[1],
        "a file and a stream are judged alike"
    );
    accepted[0]
}

fn range(rng: &mut Xorshift, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = rng.below(bytes.len());
    let most = if rng.below(4) == 0 { 600 } else { 8 };
    let length = 1 + rng.below(most);
    start..(start + length).min(bytes.len())
}

fn mutate(rng: &mut Xorshift, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len());
    match rng.below(9) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next_number() as u8,
        2 => bytes[at] = [0, 0xff, b'0', b'/', b'.', b'\\'][rng.below(6)],
        3 => {
            let range = range(rng, bytes);
            let noise = rng.bytes(range.len());
            bytes[range].copy_from_slice(&noise);
        }
        4 => drop(bytes.drain(range(rng, bytes))),
        5 => {
            let copy = bytes[range(rng, bytes)].to_vec();
            bytes.splice(at..at, copy);
        }
        6 => {
            let copy = bytes[range(rng, bytes)].to_vec();
            let end = (at + copy.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&copy[..end - at]);
        }
        7 => {
            let block = rng.below(bytes.len().div_ceil(512)) * 512;
            let end = (block + 512).min(bytes.len());
            let copy = bytes[block..end].to_vec();
            bytes.splice(block..block, copy);
        }
        _ => bytes.truncate(at),
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

/// Makes the checksums of the headers right again, so that a change gets past them.
fn mend(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
}

fn entries() -> [(&'static str, Vec<u8>); 3] {
    [
        (
            "config.toml",
            b"[storage]\ndata_dir = \"/var/lib/hookshot\"\n".to_vec(),
        ),
        ("deep/secrets", Xorshift::new(7).bytes(700)),
        ("empty", Vec::new()),
    ]
}

fn archives() -> [Vec<u8>; 3] {
    let owned = entries();
    let entries: Vec<forge::Entry<'_>> = owned
        .iter()
        .map(|(name, content)| (*name, content.as_slice()))
        .collect();
    let last = {
        let mut tar = Tar::new();
        tar.entries(&entries)
            .entry("manifest.json", &forge::text(&forge::manifest(&entries)));
        tar.gzip()
    };
    [forge::written(&entries), Tar::good(&entries).gzip(), last]
}

#[test]
fn no_change_of_an_archive_is_accepted_with_another_content() {
    let mut rng = Xorshift::new(0x6861_726d);
    for archive in archives() {
        assert!(judge(&archive), "the unchanged one is good");
        let mut refusals = 0;
        for _ in 0..ROUNDS / 2 {
            let mut changed = archive.clone();
            for _ in 0..=rng.below(3) {
                mutate(&mut rng, &mut changed);
            }
            refusals += usize::from(!judge(&changed));
        }
        assert!(refusals > ROUNDS / 2 * 9 / 10, "only {refusals} refused");
    }
}

#[test]
fn no_change_of_the_tar_inside_is_accepted_with_another_content() {
    let mut rng = Xorshift::new(0x7461_7220);
    for archive in archives() {
        let tar = forge::inflate(&archive);
        let mut refusals = 0;
        for round in 0..ROUNDS {
            let mut changed = tar.clone();
            for _ in 0..=rng.below(2) {
                mutate(&mut rng, &mut changed);
            }
            if round % 2 == 0 {
                mend(&mut changed);
            }
            refusals += usize::from(!judge(&gzip(&changed)));
        }
        assert!(refusals > ROUNDS / 2, "only {refusals} refused");
        assert!(refusals < ROUNDS, "no change that means nothing was tried");
    }
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let path = prop_oneof![
        Just(format!("{ROOT}/secrets")),
        Just(format!("{ROOT}/manifest.json")),
        Just(format!("{ROOT}/")),
        "[a./\\\\:]{0,9}"
    ];
    let kind = prop_oneof![
        Just(b'0'),
        Just(b'5'),
        Just(b'x'),
        Just(b'L'),
        Just(b'S'),
        any::<u8>()
    ];
    (
        path,
        kind,
        0..1500u64,
        proptest::collection::vec(any::<u8>(), 0..1500),
    )
        .prop_map(|(path, kind, size, content)| {
            Tar::new()
                .header(path.as_bytes(), EntryType::new(kind), size)
                .content(&content)
                .bytes()
        })
}

#[test]
fn no_bytes_at_all_are_no_archive() {
    for bytes in [&[][..], &[0x1f, 0x8b, 8, 4], &gzip(b"")] {
        assert!(!judge(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_taken_for_an_archive(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(!judge(&bytes));
        prop_assert!(!judge(&[&[0x1f, 0x8b, 8, 4][..], &bytes].concat()));
        prop_assert!(!judge(&gzip(&bytes)));
    }

    #[test]
    fn no_headers_are_taken_for_an_archive(tar in proptest::collection::vec(header(), 0..6)) {
        prop_assert!(!judge(&gzip(&[tar.concat(), vec![0; 1024]].concat())));
    }

    #[test]
    fn whatever_stands_behind_an_archive_is_refused(bytes in proptest::collection::vec(any::<u8>(), 1..600)) {
        prop_assert!(!judge(&[&forge::written(&ENTRIES)[..], &bytes].concat()));
        prop_assert!(!judge(&[&Tar::good(&ENTRIES).gzip()[..], &bytes].concat()));
    }

    #[test]
    fn no_manifest_makes_the_reader_panic(text in "\\PC{0,200}|\\{\"(version|files|created_at|hookshot_version)\":[\\[\\]{}\",:0-9a-z.-]{0,80}\\}") {
        prop_assert!(!judge(&Tar::packed(text.as_bytes(), &ENTRIES).gzip()));
    }
}
