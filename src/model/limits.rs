//! Every bound of the format and of the memory of a reader, in one place.

/// The longest entry name, in bytes (docs/format.md, "Names").
pub const MAX_NAME_BYTES: usize = 1024;
/// The largest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;
/// The most entries of an archive.
pub const MAX_ENTRIES: usize = 1_000_000;
/// The number of files above which a directory source has a listing of its own (docs/format.md, "Listings").
pub const UNLISTED_FILES: u64 = 10_000;
/// The bytes of records above which it has one, however few they are: long names and attributes would fill the manifest.
pub const UNLISTED_BYTES: u64 = 16 << 20;
/// The most files, folders or links that a listing may have.
pub const MAX_LISTED: u64 = 100_000_000;
/// The longest line of a listing with its line feed, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 10;
/// The most bytes that the lines of symbolic links may have in all listings of an archive: readers hold links in memory.
pub const MAX_LINK_LINES_BYTES: u64 = 64 << 20;
/// The largest entry, in bytes: 1 EiB, far below what any arithmetic on sizes overflows at.
pub const MAX_ENTRY_BYTES: u64 = 1 << 60;
/// The longest path below the top of a directory source, in bytes (limits.h, `PATH_MAX` without the NUL); a longer one
/// is refused by name.
pub const MAX_RELATIVE_BYTES: usize = 4095;
/// The longest component of such a path (limits.h, `NAME_MAX`), and the longest name of a directory source.
pub const MAX_COMPONENT_BYTES: usize = 255;
/// The longest target of a symbolic link (limits.h, `PATH_MAX` without the NUL).
pub const MAX_LINK_BYTES: usize = 4095;
/// The longest value of an extended attribute (limits.h, `XATTR_SIZE_MAX`).
pub const MAX_XATTR_BYTES: usize = 64 << 10;
/// The most directory sources of an archive.
pub const MAX_TREES: usize = 1000;
/// The most bytes of the name of a user or a group: LOGIN_NAME_MAX of Linux, limits.h(0p).
pub const MAX_OWNER_NAME_BYTES: usize = 256;
/// The most owners and groups that are remembered: an archive may name others for each of its files.
pub const MAX_OWNERS: usize = 10_000;
/// The most JSON values of a manifest that are kept as they are: tags, snapshots, and the values of known keys.
pub const MAX_FREE_VALUES: usize = 16 * MAX_ENTRIES;
/// The last second that RFC 3339 can represent, 9999-12-31T23:59:59Z.
pub const LAST_SECOND: i64 = 253_402_300_799;
/// The most bytes that one gzip member holds, inflated.
pub const MEMBER_BYTES: usize = 512 << 10;
/// The most bytes that one byte of a deflate stream holds (zlib, "Maximum Compression Factor": 1032).
pub const MAX_DEFLATE_RATIO: u64 = 1032;
/// The largest extra field of a gzip header that we write; BusyBox fails on 4 KiB and more.
pub const MAX_EXTRA_BYTES: usize = 4095;
/// The largest tar extension record (pax header, GNU long name) that is read.
pub const MAX_TAR_EXTENSION_BYTES: u64 = 1 << 20;
/// The most bytes of a tar for each entry beside its content: header, extension records, padding.
pub const TAR_OVERHEAD_BYTES: u64 = 8 << 10;
/// The most bytes of a tar beside its entries altogether: the root folder, folders, the padding of the last record.
pub const TAR_SLACK_BYTES: u64 = 4 << 20;
/// The most faults that one refusal names; the rest is counted.
pub const MAX_FAULTS: usize = 100;
/// The compressed bytes that are inspected at the beginning of an archive.
pub const HEAD_BYTES: usize = MEMBER_BYTES + (128 << 10);
/// The largest source that is read once, into memory, in bytes.
pub const SMALL_SOURCE_BYTES: u64 = 1 << 20;
/// The largest file of a directory that is packed together with others, in bytes.
pub const SMALL_FILE_BYTES: u64 = 128 << 10;
/// The buffer for reading and writing files.
pub const BUFFER_BYTES: usize = 256 << 10;
/// The largest configuration file that is read; parsed TOML needs some 25 times the memory of its text.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The memory that redb may use for its page cache while it checks a copy: it reads every page once, or twice far
/// apart.
pub const REDB_CACHE_BYTES: usize = 4 << 20;
/// The largest SQLite database whose indexes are compared with their tables, in bytes. Half a second for 1 GiB of large
/// rows, and half a minute for 1 GiB of small rows with two indexes in no order; above it a copy no longer stays in the
/// memory of a small machine, and then each row would cost a read of the disk.
pub const MAX_INTEGRITY_CHECK_BYTES: u64 = 4 << 30;
/// The largest page that redb reads, in bytes: it holds each page in memory as a whole, and a page is as large as its
/// largest value. Databases with larger pages are checked only by hookshot's own walk.
pub const MAX_REDB_PAGE_BYTES: u64 = 8 << 20;
/// The most archives for which a policy is simulated: twelve years of hourly ones.
pub const MAX_SIMULATED_ARCHIVES: usize = 105_192;
/// The most verdicts of a simulation: some seconds of work. Two years of hourly archives that all stay need 154
/// million.
pub const MAX_SIMULATED_VERDICTS: usize = 200_000_000;
/// The most days that are simulated: a hundred years.
pub const MAX_SIMULATED_DAYS: u32 = 36_525;
/// The smallest possible archive, in bytes: header and trailer of gzip, and the headers of two tar members, however
/// well they shrink.
pub const MIN_ARCHIVE_BYTES: u64 = 64;
/// The most bytes that are read of the mark of an archive; `forever` and every date are shorter.
pub const MAX_MARK_BYTES: u64 = 64;
/// The most bytes that are read of a note beside the archives; one that is larger counts as none.
pub const MAX_NOTE_BYTES: u64 = 4096;
/// The most names that are listed in one destination: an hourly archive for a hundred years. A store that lists more
/// invents them, or the destination does not hold archives.
pub const MAX_STORED_NAMES: usize = 1_000_000;
/// The most archives of a store that are read to learn the prefix and the time that their names lack.
pub const MAX_LOOKS: usize = 100;
