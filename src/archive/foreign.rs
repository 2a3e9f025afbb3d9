//! The formats of files that are not archives, recognized by their first bytes, whatever their names say.

/// Returns the description of a file that begins with `bytes`; `None` if the format is unknown here.
pub fn met(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 16] = [
        (
            b"\xfd7zXZ\0",
            "it is packed with xz: `xz -dc FILE > FILE.tar` unpacks it, and the tar is read",
        ),
        (
            b"BZh",
            "it is packed with bzip2: `bzip2 -dc FILE > FILE.tar` unpacks it, and the tar is read",
        ),
        (
            b"\x28\xb5\x2f\xfd",
            "it is packed with zstd: `zstd -dc FILE > FILE.tar` unpacks it, and the tar is read",
        ),
        (
            b"\x04\x22\x4d\x18",
            "it is packed with lz4: `lz4 -dc FILE > FILE.tar` unpacks it, and the tar is read",
        ),
        (
            b"LZIP",
            "it is packed with lzip: `lzip -dc FILE > FILE.tar` unpacks it, and the tar is read",
        ),
        (
            b"PK\x03\x04",
            "it is a zip: unpack it, the archive may lie in it",
        ),
        (
            b"7z\xbc\xaf\x27\x1c",
            "it is a 7z: unpack it, the archive may lie in it",
        ),
        (
            b"age-encryption.org/",
            "it is encrypted with age: `age -d -i KEY FILE > FILE.tar.gz` opens it",
        ),
        (
            b"-----BEGIN AGE ENCRYPTED FILE-----",
            "it is encrypted with age: `age -d -i KEY FILE > FILE.tar.gz` opens it",
        ),
        (
            b"-----BEGIN PGP MESSAGE-----",
            "it is encrypted with PGP: `gpg -d FILE > FILE.tar.gz` opens it",
        ),
        (b"SQLite format 3\0", "it is a SQLite database"),
        (b"redb\x1a\n\xa9\r\n", "it is a redb database"),
        (
            b"version https://git-lfs",
            "it is a pointer of Git LFS: fetch the file itself",
        ),
        (
            b"<",
            "it is a page of HTML or XML: the answer of a server in place of the file",
        ),
        (
            b"{",
            "it is JSON: the answer of a server, or a manifest, in place of the file",
        ),
        (
            &[0; 512],
            "it begins with zeros: space that was reserved and never filled",
        ),
    ];
    let text = bytes.trim_ascii_start();
    let begins = |magic: &[u8]| match magic {
        b"<" | b"{" => text.starts_with(magic),
        magic => bytes.starts_with(magic),
    };
    let found = KNOWN.iter().find(|(magic, _)| begins(magic));
    found.map(|(_, what)| *what)
}

/// Returns true if `bytes` begin a tar (POSIX ustar, and the variant of GNU tar).
pub fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (bytes, word) in [
            (&b"\xfd7zXZ\0\0\x04"[..], "xz"),
            (b"BZh91AY", "bzip2"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\n<!DOCTYPE html>", "HTML"),
            (b"age-encryption.org/v1\n", "age"),
            (&[0; 600], "zeros"),
        ] {
            assert!(met(bytes).expect("known").contains(word), "{word}");
        }
        assert_eq!(met(b"\x1f\x8b\x08"), None);
        assert_eq!(met(b""), None);
    }
}
