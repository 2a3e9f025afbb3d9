//! The index behind the tar: empty gzip members whose extra fields tell the size of every member
//! (docs/format.md, "The index").

use std::io;

use crate::model::limits::MAX_EXTRA_BYTES;
use crate::work::read_at::ReadAt;

/// The subfield of RFC 1952 section 2.3.1.1 that holds a member's whole size, as mgzip has it.
pub const SIZE_ID: [u8; 2] = *b"IG";
/// The subfield that holds a piece of the index.
pub const PIECE_ID: [u8; 2] = *b"HX";
/// The subfield of the last member, which says where the index begins.
pub const END_ID: [u8; 2] = *b"HE";
/// The length of one record of the index: compressed size and inflated size, little-endian u32 each.
const RECORD_BYTES: u16 = 8;
/// The longest record that a later version may have.
const MAX_RECORD_BYTES: usize = 64;
/// The length of the last subfield's content.
const END_BYTES: usize = 28;
/// Records in one member: the number that fits below the bound beside two subfield headers and the size.
const RECORDS_PER_PIECE: usize = (MAX_EXTRA_BYTES - 12) / RECORD_BYTES as usize;

/// The sizes of one member, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberSize {
    /// The whole member, header and trailer included.
    pub packed: u32,
    /// Its inflated content.
    pub inflated: u32,
}

/// Returns the contents of the subfields of the index, in order: pieces, then the end.
pub fn subfields(sizes: &[MemberSize], index_offset: u64) -> Vec<([u8; 2], Vec<u8>)> {
    let piece = |sizes: &[MemberSize]| {
        let records = sizes
            .iter()
            .flat_map(|size| [size.packed.to_le_bytes(), size.inflated.to_le_bytes()].concat());
        (PIECE_ID, records.collect())
    };
    let mut fields: Vec<_> = sizes.chunks(RECORDS_PER_PIECE).map(piece).collect();
    fields.push((END_ID, End::of(sizes, index_offset).to_bytes()));
    fields
}

/// The content of the last member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    record_bytes: u16,
    index_offset: u64,
    members: u64,
    inflated: u64,
}

impl End {
    fn of(sizes: &[MemberSize], index_offset: u64) -> End {
        End {
            record_bytes: RECORD_BYTES,
            index_offset,
            members: sizes.len() as u64,
            inflated: sizes.iter().map(|size| u64::from(size.inflated)).sum(),
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(END_BYTES);
        bytes.extend(self.record_bytes.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.index_offset.to_le_bytes());
        bytes.extend(self.members.to_le_bytes());
        bytes.extend(self.inflated.to_le_bytes());
        bytes
    }
}

/// The check of the index: follows the members of an archive as they are read, and compares the index with them.
#[derive(Debug, Default)]
pub struct IndexCheck {
    sizes: Vec<MemberSize>,
    pieces: Vec<u8>,
    index_offset: Option<u64>,
    ended: bool,
}

impl IndexCheck {
    /// Records the member at `offset` with its extra field; the last member closes the index.
    pub fn member(&mut self, offset: u64, size: MemberSize, extra: &Extra) -> Result<(), String> {
        if self.ended {
            return Err("a member follows the last member of the index".into());
        }
        match extra.size {
            Some(stated) if stated == size.packed => {}
            Some(stated) => {
                return Err(format!(
                    "a member states a size of {stated} bytes and has {}",
                    size.packed
                ));
            }
            None => return Err("a member does not state its size".into()),
        }
        let piece = extra.piece.as_deref();
        let end = extra.end.as_deref();
        if piece.is_none() && end.is_none() {
            if self.index_offset.is_some() {
                return Err("a member with content follows the index".into());
            }
            if size.inflated == 0 {
                return Err("a member of nothing stands before the index".into());
            }
            self.sizes.push(size);
            return Ok(());
        }
        if size.inflated != 0 {
            return Err("a member of the index is not empty".into());
        }
        let begins = *self.index_offset.get_or_insert(offset);
        self.pieces.extend_from_slice(piece.unwrap_or_default());
        // Later versions may have longer records, but their length must have a bound, because they are kept.
        if self.pieces.len() > self.sizes.len() * MAX_RECORD_BYTES {
            return Err("the index describes more members than there are".into());
        }
        if let Some(end) = end {
            self.ended = true;
            return self.compare(begins, end);
        }
        Ok(())
    }

    /// Returns true if the index was present and complete.
    pub fn is_complete(&self) -> bool {
        self.ended
    }

    fn compare(&self, begins: u64, end: &[u8]) -> Result<(), String> {
        let expected = End::of(&self.sizes, begins);
        // Later versions may append to the end, and to each record.
        let stated = parse_end(end).filter(|end| end.record_bytes >= RECORD_BYTES);
        let Some(stated) = stated else {
            return Err("the last member of the index is malformed".into());
        };
        if (End {
            record_bytes: RECORD_BYTES,
            ..stated
        }) != expected
        {
            return Err("the index does not describe this archive".into());
        }
        let record_bytes = usize::from(stated.record_bytes);
        let mut records = self.pieces.chunks(record_bytes);
        let same = self.pieces.len() == self.sizes.len() * record_bytes
            && self
                .sizes
                .iter()
                .all(|size| records.next().and_then(parse_record) == Some(*size));
        if same {
            Ok(())
        } else {
            Err("the index does not describe this archive's members".into())
        }
    }
}

/// Length of the last member: header, the two subfields, nothing inflated, trailer.
pub const LAST_MEMBER_BYTES: usize = 12 + 8 + 4 + END_BYTES + 2 + 8;
/// The largest index that is read at once: that of some 4 TB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Reads the index from the end of an archive; `None` if there is none that describes it.
pub fn load(source: &dyn ReadAt) -> io::Result<Option<Vec<MemberSize>>> {
    let length = source.length()?;
    let Some(last) = length.checked_sub(LAST_MEMBER_BYTES as u64) else {
        return Ok(None);
    };
    let mut bytes = vec![0; LAST_MEMBER_BYTES];
    source.read_exact_at(&mut bytes, last)?;
    let end = next_extra(&mut &bytes[..]).and_then(|extra| parse_end(&extra.end?));
    let Some(end) = end.filter(|end| {
        end.record_bytes >= RECORD_BYTES && usize::from(end.record_bytes) <= MAX_RECORD_BYTES
    }) else {
        return Ok(None);
    };
    let Some(size) = length
        .checked_sub(end.index_offset)
        .filter(|size| *size <= MAX_INDEX_BYTES)
    else {
        return Ok(None);
    };
    let mut bytes = vec![0; size as usize];
    source.read_exact_at(&mut bytes, end.index_offset)?;
    let mut rest = &bytes[..];
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let Some(extra) = next_extra(&mut rest) else {
            return Ok(None);
        };
        pieces.extend(extra.piece.unwrap_or_default());
    }
    if pieces.len() as u64 != end.members.saturating_mul(end.record_bytes.into()) {
        return Ok(None);
    }
    let records = pieces.chunks(usize::from(end.record_bytes));
    let sizes: Option<Vec<MemberSize>> = records.map(parse_record).collect();
    Ok(sizes.filter(|sizes| {
        End::of(sizes, end.index_offset)
            == (End {
                record_bytes: RECORD_BYTES,
                ..end
            })
            && sizes.iter().map(|size| u64::from(size.packed)).sum::<u64>() == end.index_offset
    }))
}

/// Returns the extra field of the member that `bytes` begins with, which states its size; moves `bytes` behind the
/// member.
fn next_extra(bytes: &mut &[u8]) -> Option<Extra> {
    let fixed = bytes.first_chunk::<12>()?;
    if fixed[..4] != [0x1f, 0x8b, 8, 4] {
        return None;
    }
    let length = usize::from(u16::from_le_bytes([fixed[10], fixed[11]]));
    let extra = Extra::parse(bytes.get(12..12 + length)?);
    // Members do not overlap: behind the extra field stand at least an empty block and the trailer.
    let size = extra.size? as usize;
    *bytes = bytes.get(size..).filter(|_| size >= 12 + length + 10)?;
    Some(extra)
}

fn parse_end(bytes: &[u8]) -> Option<End> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    Some(End {
        record_bytes: u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?),
        index_offset: number(4)?,
        members: number(12)?,
        inflated: number(20)?,
    })
}

fn parse_record(bytes: &[u8]) -> Option<MemberSize> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some(MemberSize {
        packed: number(0)?,
        inflated: number(4)?,
    })
}

/// The known subfields in the extra field of a gzip header.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Extra {
    /// The whole size of the member, as stated.
    pub size: Option<u32>,
    /// A piece of the index.
    pub piece: Option<Vec<u8>>,
    /// The end of the index.
    pub end: Option<Vec<u8>>,
}

impl Extra {
    /// Reads an extra field; one that does not follow RFC 1952 is ignored, as every gzip reader does.
    pub fn parse(mut bytes: &[u8]) -> Extra {
        let mut extra = Extra::default();
        while let [id1, id2, low, high, rest @ ..] = bytes {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let Some((content, rest)) = rest.split_at_checked(length) else {
                break;
            };
            match [*id1, *id2] {
                SIZE_ID => extra.size = content.try_into().ok().map(u32::from_le_bytes),
                PIECE_ID => extra.piece = Some(content.to_vec()),
                END_ID => extra.end = Some(content.to_vec()),
                _ => {}
            }
            bytes = rest;
        }
        extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(sizes: &[MemberSize], fields: &[([u8; 2], Vec<u8>)]) -> Result<bool, String> {
        let mut check = IndexCheck::default();
        let mut offset = 0;
        for size in sizes {
            check.member(
                offset,
                *size,
                &Extra {
                    size: Some(size.packed),
                    ..Extra::default()
                },
            )?;
            offset += u64::from(size.packed);
        }
        for (id, content) in fields {
            let extra = match *id {
                PIECE_ID => Extra {
                    size: Some(100),
                    piece: Some(content.clone()),
                    end: None,
                },
                _ => Extra {
                    size: Some(100),
                    piece: None,
                    end: Some(content.clone()),
                },
            };
            check.member(
                offset,
                MemberSize {
                    packed: 100,
                    inflated: 0,
                },
                &extra,
            )?;
            offset += 100;
        }
        Ok(check.is_complete())
    }

    proptest! {
        #[test]
        fn an_index_describes_its_members_and_no_others(
            raw in proptest::collection::vec((1..1000u32, 1..1000u32), 0..1200),
            at in any::<prop::sample::Index>(),
        ) {
            let sizes: Vec<_> = raw.iter().map(|(packed, inflated)| MemberSize { packed: *packed, inflated: *inflated }).collect();
            let offset = sizes.iter().map(|size| u64::from(size.packed)).sum();
            let fields = subfields(&sizes, offset);
            prop_assert!(fields.iter().all(|(_, content)| content.len() + 12 <= MAX_EXTRA_BYTES));
            prop_assert_eq!(check(&sizes, &fields), Ok(true));
            prop_assert_eq!(check(&sizes, &fields[..fields.len() - 1]), Ok(false));
            if !sizes.is_empty() {
                let mut other = sizes.clone();
                let at = at.index(other.len());
                other[at].inflated += 1;
                prop_assert!(check(&other, &fields).is_err());
            }
        }

        #[test]
        fn no_extra_field_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Extra::parse(&bytes);
        }
    }
}
