//! Archives that are trees of files, as a folder or the state of a repository gives them: with any names, kinds, sizes and
//! contents. What is accepted is packed, and read again as the same.
#![no_main]

mod archive;

use std::{
    io::{self, Cursor, Read},
    path::PathBuf,
};

use hookshot::{
    archive::{
        scratch::ScratchFolders,
        tree::{self, ArchiveTree, TreeAttributes, TreeFile, TreeNode},
        writer::Level,
    },
    work::Threads,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut tree = Nodes::parse(bytes);
    let scratch = ScratchFolders::from(PathBuf::from("/dev/shm"));
    let mut found = archive::Collect::default();
    let Ok(verified) = tree::read("tree", &mut tree, scratch, &mut found) else {
        return;
    };
    let accepted = archive::checked(&verified, found);
    let packed = tree::pack(&mut tree, &verified, Level::DEFAULT, Threads::ONE, Vec::new());
    let again = archive::read(&packed.expect("what was accepted is packed"));
    assert_eq!(again.expect("what was packed is accepted"), accepted);
});

/// A node as the input has it: a byte for its kind, the lengths of its path and its content, then these.
struct Node {
    path: Vec<u8>,
    kind: u8,
    content: Vec<u8>,
}

/// A tree whose nodes are in the order of a walk. Two may have the same path.
struct Nodes(Vec<Node>);

impl Nodes {
    fn parse(mut bytes: &[u8]) -> Nodes {
        let mut nodes = Vec::new();
        while let Some((head, rest)) = bytes.split_at_checked(4) {
            let (path, rest) = rest.split_at(usize::from(head[1]).min(rest.len()));
            let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let (content, rest) = rest.split_at(length.min(rest.len()));
            nodes.push(Node {
                path: path.to_vec(),
                kind: head[0] % 6,
                content: content.to_vec(),
            });
            bytes = rest;
        }
        let names = |node: &Node| -> Vec<Vec<u8>> {
            let names = node.path.split(|byte| *byte == b'/');
            names.map(<[u8]>::to_vec).collect()
        };
        nodes.sort_by_key(names);
        Nodes(nodes)
    }
}

impl ArchiveTree for Nodes {
    fn name(&self) -> Option<String> {
        Some("tree".to_owned())
    }

    fn open(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>> {
        let is_file = |node: &&Node| node.path == path && matches!(node.kind, 1 | 4 | 5);
        Ok(self.0.iter().find(is_file).map(|node| {
            let content = Cursor::new(node.content.clone());
            let size = node.content.len() as u64;
            TreeFile {
                // One that tells another size, and one that cannot be read to its end.
                size: size + u64::from(node.kind == 4),
                attributes: TreeAttributes::default(),
                content: match node.kind {
                    5 => Box::new(content.chain(Unreadable)),
                    _ => Box::new(content),
                },
            }
        }))
    }

    fn walk(
        &mut self,
        visit: &mut dyn FnMut(&[u8], &TreeNode) -> io::Result<()>,
    ) -> io::Result<()> {
        for node in &self.0 {
            let what = match node.kind {
                0 => TreeNode::Folder,
                2 => TreeNode::Link(node.content.clone()),
                3 => TreeNode::Special("a device"),
                _ => TreeNode::File,
            };
            visit(&node.path, &what)?;
        }
        Ok(())
    }
}

struct Unreadable;

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("a damaged piece"))
    }
}
