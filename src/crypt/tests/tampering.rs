//! Every change of a sealed file is found.

use std::{io::Cursor, sync::Arc};

use super::{counted::Bytes, *};
use crate::work::ReadAt;

#[test]
fn every_changed_byte_of_a_header_is_refused() {
    let pair = generate();
    let (file, own) = sealed(&recipients(&[&pair]), b"content");
    let header = content_offset(&file).expect("a header") as usize;
    for at in 0..header {
        for change in [0x01, 0x80, b'\n'] {
            let mut changed = file.clone();
            changed[at] ^= change;
            for ring in [&ring(&[&pair]), &own] {
                let kind = kind(opened(ring, &changed));
                let is_version = (19..22).contains(&at) && kind == Kind::Version;
                let is_refused = matches!(kind, Kind::Key | Kind::Refused) || is_version;
                assert!(is_refused, "byte {at}: {kind:?}");
            }
        }
    }
}

#[test]
fn a_changed_cut_or_reordered_body_is_refused() {
    let pair = generate();
    let ring = ring(&[&pair]);
    for length in [0, 1, 65_535, 65_536, 65_537, 3 * 65_536, 200_000] {
        let (file, _) = sealed(&recipients(&[&pair]), &text(length));
        let body = content_offset(&file).expect("a header") as usize;
        let refuse = |changed: &[u8], what: &str| {
            assert_eq!(
                kind(opened(&ring, changed)),
                Kind::Refused,
                "{length}: {what}"
            );
            let source: Arc<dyn ReadAt + Send + Sync> = Arc::new(Bytes::of(changed.to_vec()));
            let at = ring.open_at("a.age", Form::Binary, source).and_then(|at| {
                let mut all = vec![0; at.length()? as usize];
                at.read_exact_at(&mut all, 0)?;
                Ok(all)
            });
            assert_eq!(kind(at), Kind::Refused, "{length}, at: {what}");
        };
        let step = ((file.len() - body) / 200).max(1);
        for at in (body..file.len()).step_by(step) {
            let mut changed = file.clone();
            changed[at] ^= 0x10;
            refuse(&changed, &format!("byte {at}"));
        }
        let borders = (0..=4).map(|chunk| body + chunk * SEALED_CHUNK);
        let cuts = borders.flat_map(|border| border.saturating_sub(17)..=border + 17);
        for cut in cuts.filter(|cut| (body..file.len()).contains(cut)) {
            refuse(&file[..cut], &format!("cut at {cut}"));
        }
        refuse(&[&file[..], b"\0"].concat(), "a byte more");
        if length >= 2 * 65_536 {
            let (first, second) = (
                body..body + SEALED_CHUNK,
                body + SEALED_CHUNK..body + 2 * SEALED_CHUNK,
            );
            let rest = &file[second.end..];
            let head = &file[..body];
            refuse(
                &[head, &file[second.clone()], &file[first.clone()], rest].concat(),
                "swapped",
            );
            refuse(
                &[head, &file[first.clone()], &file[first.clone()], rest].concat(),
                "repeated",
            );
            refuse(&[head, &file[second], rest].concat(), "one is missing");
        }
        let (other, _) = sealed(&recipients(&[&pair]), &text(length));
        let header = content_offset(&other).expect("a header") as usize;
        refuse(
            &[&other[..header], &file[body..]].concat(),
            "the header of another file",
        );
    }
}

#[test]
fn a_header_without_an_end_is_refused_early() {
    let endless = b"age-encryption.org/v1\n-> X25519 "
        .iter()
        .copied()
        .chain(std::iter::repeat_n(b'a', 1 << 20));
    let endless: Vec<u8> = endless.collect();
    let mut source = Cursor::new(&endless);
    let refused = ring(&[&generate()]).open("a.age", Form::Binary, &mut source);
    assert_eq!(
        Failure::of(&refused.err().expect("refused")).kind,
        Kind::Refused
    );
    assert!(source.position() <= 64 << 10);
}
