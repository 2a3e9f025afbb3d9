//! Listings: what is accepted is in order, is what was promised, and is written and read again as the same.
#![no_main]

use hookshot::model::{
    entry_name::EntryName,
    manifest::{LineReader, ListedDirectory, ListingCheck, record::FolderRecord},
    relative::by_component,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let name = EntryName::new("site").expect("a name");
    let root = FolderRecord::default();
    let mut promised = ListedDirectory::new(&name, root).expect("a short name");
    let most = 1 << 30;
    (
        promised.files,
        promised.folders,
        promised.links,
        promised.bytes,
    ) = (most, most, most, most);
    let mut check = ListingCheck::new(name.clone(), promised);
    let mut reader = LineReader::new(name.clone());
    let mut last: Option<Vec<u8>> = None;
    for line in text.split(|byte| *byte == b'\n') {
        let line = match check.line(line) {
            Ok(line) => line,
            Err(faults) => {
                assert!(!faults.is_empty(), "a refusal names a fault");
                continue;
            }
        };
        let path = line.name.as_bytes();
        if let Some(last) = &last {
            assert!(by_component(last, path).is_lt(), "lines are in order");
        }
        last = Some(path.to_vec());
        let mut again = Vec::new();
        line.write(&name, &mut again);
        let again = again.strip_suffix(b"\n").expect("a line");
        assert_eq!(
            reader.read(again, 1).expect("its own text is accepted"),
            line
        );
    }
    check.finish();
});
