//! Deflate streams, gzip members and their index made by hand, right and hostile ones (RFC 1951, RFC 1952, docs/format.md).

use libdeflater::crc32;

/// The most bytes that a member of ours holds.
pub const MEMBER_BYTES: usize = 512 << 10;
/// Records of the index in one member.
const RECORDS: usize = 510;

/// Bits, the lowest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    /// Appends the low `count` bits of a number, the lowest first.
    fn number(&mut self, number: u32, count: usize) -> &mut Bits {
        for bit in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte");
            *last |= ((number >> bit & 1) as u8) << (self.count % 8);
            self.count += 1;
        }
        self
    }

    /// Appends a Huffman code: its first bit first.
    fn code(&mut self, code: &str) -> &mut Bits {
        for bit in code.bytes() {
            self.number(u32::from(bit == b'1'), 1);
        }
        self
    }
}

/// `count` zeros, at least one, in one dynamic block that states `distances` distance codes: 30 are all that there are,
/// and up to 32 can be said.
pub fn zeros(count: usize, distances: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, dynamic codes, 286 literals and lengths; lengths of 18 code length codes.
    bits.number(1, 1).number(2, 2).number(286 - 257, 5);
    bits.number(distances - 1, 5).number(18 - 4, 4);
    let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1];
    for symbol in order {
        let length = match symbol {
            18 => 1,
            1 | 2 => 2,
            _ => 0,
        };
        bits.number(length, 3);
    }
    let (repeat, one, two) = ("0", "10", "11");
    let nothing = |bits: &mut Bits, count: u32| {
        bits.code(repeat).number(count - 11, 7);
    };
    // Literal 0 and the end have codes of two bits, the length 258 one of one bit.
    bits.code(two);
    nothing(&mut bits, 138);
    nothing(&mut bits, 117);
    bits.code(two);
    nothing(&mut bits, 28);
    bits.code(one);
    // Distances 1 and 2 have codes of one bit.
    bits.code(one).code(one);
    nothing(&mut bits, distances - 2);
    let (literal, end, length, distance) = ("10", "11", "0", "0");
    bits.code(literal);
    let left = count - 1;
    for _ in 0..left / 258 {
        bits.code(length).code(distance);
    }
    for _ in 0..left % 258 {
        bits.code(literal);
    }
    bits.code(end);
    bits.bytes
}

/// Stored blocks of at most `most` bytes each, with `empty` blocks of nothing before them.
pub fn stored(content: &[u8], most: usize, empty: usize) -> Vec<u8> {
    let mut bytes = [0, 0, 0, 0xff, 0xff].repeat(empty);
    let count = content.len().div_ceil(most).max(1);
    for number in 0..count {
        let block = &content[number * most..content.len().min((number + 1) * most)];
        let length = u16::try_from(block.len()).expect("a stored block");
        bytes.push(u8::from(number + 1 == count));
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(block);
    }
    bytes
}

/// A gzip member as hookshot writes it, of a deflate stream and what it inflates to; `further` subfields stand behind
/// the size.
pub fn member_with(deflated: &[u8], content: &[u8], further: &[u8]) -> Vec<u8> {
    let size = 12 + 8 + further.len() + deflated.len() + 8;
    let mut member = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    let extra = u16::try_from(8 + further.len()).expect("an extra field");
    member.extend(extra.to_le_bytes());
    member.extend(b"IG\x04\0");
    member.extend(u32::try_from(size).expect("a size").to_le_bytes());
    member.extend(further);
    member.extend(deflated);
    member.extend(crc32(content).to_le_bytes());
    member.extend((content.len() as u32).to_le_bytes());
    member
}

/// A gzip member that states its size and nothing else.
pub fn member(deflated: &[u8], content: &[u8]) -> Vec<u8> {
    member_with(deflated, content, b"")
}

/// A gzip member of stored blocks.
pub fn stored_member(content: &[u8]) -> Vec<u8> {
    member(&stored(content, 0xffff, 0), content)
}

/// A member's record in the index: its whole size, and its inflated size.
pub type Sizes = (u32, u32);

/// The fields of the last member, except the sizes.
#[derive(Clone, Copy)]
pub struct End {
    pub record_bytes: u16,
    pub index_offset: u64,
    pub members: u64,
    pub inflated: u64,
}

impl End {
    /// The truth about an archive of these members.
    pub fn of(sizes: &[Sizes]) -> End {
        End {
            record_bytes: 8,
            index_offset: sizes.iter().map(|size| u64::from(size.0)).sum(),
            members: sizes.len() as u64,
            inflated: sizes.iter().map(|size| u64::from(size.1)).sum(),
        }
    }
}

/// An index.
pub fn index(sizes: &[Sizes], end: End) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = |id: &[u8; 2], content: Vec<u8>| {
        let mut field = id.to_vec();
        field.extend((content.len() as u16).to_le_bytes());
        field.extend(content);
        bytes.extend(member_with(&[3, 0], b"", &field));
    };
    for sizes in sizes.chunks(RECORDS) {
        let record = |size: &Sizes| [size.0.to_le_bytes(), size.1.to_le_bytes()].concat();
        piece(b"HX", sizes.iter().flat_map(record).collect());
    }
    let mut last = end.record_bytes.to_le_bytes().to_vec();
    last.extend([0; 2]);
    for number in [end.index_offset, end.members, end.inflated] {
        last.extend(number.to_le_bytes());
    }
    piece(b"HE", last);
    bytes
}

/// The sizes of members, the inflated ones as their trailers have them.
pub fn sizes<'a>(members: impl IntoIterator<Item = &'a [u8]>) -> Vec<Sizes> {
    let one = |member: &[u8]| {
        let inflated = member.last_chunk().expect("a trailer");
        (member.len() as u32, u32::from_le_bytes(*inflated))
    };
    members.into_iter().map(one).collect()
}

/// An archive of these members, with an index that describes them.
pub fn sealed(members: &[Vec<u8>]) -> Vec<u8> {
    let sizes = sizes(members.iter().map(Vec::as_slice));
    [members.concat(), index(&sizes, End::of(&sizes))].concat()
}

/// Changes the four bytes at `at` so that the CRC-32 of all is `wanted`: a CRC is linear, so 32 bits give 32 equations.
pub fn force_crc(content: &mut [u8], at: usize, wanted: u32) {
    content[at..at + 4].fill(0);
    let base = crc32(content);
    // What each bit does to the CRC, in rows of which each has a highest bit of its own.
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for bit in 0..32u32 {
        content[at + (bit / 8) as usize] ^= 1 << (bit % 8);
        let mut row = (crc32(content) ^ base, 1 << bit);
        content[at + (bit / 8) as usize] ^= 1 << (bit % 8);
        for other in &rows {
            if row.0 ^ other.0 < row.0 {
                row = (row.0 ^ other.0, row.1 ^ other.1);
            }
        }
        rows.push(row);
        rows.sort_unstable_by(|a, b| b.cmp(a));
    }
    let (mut left, mut bits) = (base ^ wanted, 0u32);
    for row in &rows {
        if left ^ row.0 < left {
            (left, bits) = (left ^ row.0, bits ^ row.1);
        }
    }
    content[at..at + 4].copy_from_slice(&bits.to_le_bytes());
    assert_eq!(crc32(content), wanted);
}
