//! Events of finding, reading, storing and removing archives in destinations.

/// A step of work with the archives of a destination, or a finding of it. `destination` is `@NAME` or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogEvent {
    /// The newest archive was requested, and this one is not it.
    PassedOver {
        /// The archive.
        archive: String,
        /// The flaw of the archive.
        flaw: ArchiveFlaw,
        /// The archive that is tried instead.
        next: NextArchive,
        /// The details of the flaw.
        reason: Option<String>,
    },
    /// A file is skipped that may be an archive.
    FileSkipped {
        /// Its name.
        file: String,
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// Archives are skipped because they are dated in the future.
    FutureSkipped {
        /// The newest of them.
        newest: String,
        /// The destination.
        destination: String,
        /// Their number.
        count: usize,
        /// The time by this machine's clock, as RFC 3339 writes it.
        clock: String,
    },
    /// Archives are skipped because they are dated more than a day after they were written.
    EarlySkipped {
        /// The newest of them.
        newest: String,
        /// The destination.
        destination: String,
        /// Their number.
        count: usize,
    },
    /// An archive is a plain tar, and whole.
    PlainTar {
        /// The archive.
        archive: String,
    },
    /// An archive with a torn database does not count as a good one.
    TornArchive {
        /// The archive.
        archive: String,
    },
    /// An archive is damaged and does not count.
    DamagedArchive {
        /// The archive.
        archive: String,
        /// The reason.
        reason: String,
    },
    /// The date of an archive is odd.
    OddDate {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
        /// The oddity.
        reason: String,
    },
    /// Archives are sealed, no key opens them, and this machine does not know them.
    SealedArchives {
        /// The destination.
        destination: String,
        /// Their number.
        count: usize,
    },
    /// Archives were written more than a day after their time: they take no slots of a policy from others.
    LateArchives {
        /// The destination.
        destination: String,
        /// The newest of them.
        newest: String,
        /// Their number.
        count: usize,
    },
    /// An archive was proven, and its record could not be kept.
    NotNoted {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// The records of archives that are gone could not be dropped.
    RecordsStay {
        /// The reason.
        reason: String,
    },
    /// The acceptance of a size could not be recorded; the next prune asks again.
    NotAccepted {
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// A mark cannot be read; its archive stays.
    UnreadableMark {
        /// The name of the mark.
        mark: String,
        /// The destination.
        destination: String,
    },
    /// The mark of a removed archive could not be removed.
    MarkStays {
        /// The archive.
        archive: String,
        /// The reason.
        reason: String,
    },
    /// No policy removes a marked archive, because of its name.
    NeedsNoMark {
        /// The archive.
        archive: String,
    },
    /// A destination has folders, and no archives.
    OnlyFolders {
        /// The destination.
        destination: String,
        /// Some of their names.
        folders: String,
    },
    /// A destination has no retention policy.
    NoPolicy {
        /// The destination.
        destination: String,
    },
    /// An archive was removed.
    Removed {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// The leftovers of an unfinished upload were removed.
    LeftoversRemoved {
        /// The name of the archive that was uploaded.
        archive: String,
        /// The destination.
        destination: String,
    },
    /// Leftovers of unfinished uploads could not be listed or removed.
    LeftoversStay {
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// An archive was copied, and its name tells no time.
    NameTellsNoTime {
        /// The archive.
        archive: String,
    },
    /// An archive is not copied, because the destination holds its state, whatever its name there.
    StateHeld {
        /// Its name there.
        archive: String,
        /// The destination.
        destination: String,
    },
    /// An archive is not copied, because the destination holds one of its name and size.
    AlreadyHeld {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
    },
    /// An archive was sealed for other recipients, beside the old one.
    SealedAnew {
        /// The old archive.
        archive: String,
        /// The name of the new one.
        new: String,
        /// Its size.
        size_bytes: u64,
        /// The word for the proof that the destination holds it.
        proof: &'static str,
    },
    /// An archive was copied.
    Copied {
        /// The archive.
        archive: String,
        /// The location of the copy.
        to: String,
        /// Its size.
        size_bytes: u64,
        /// The word for the proof that the destination holds it.
        proof: &'static str,
    },
}

/// The reason why an archive is not taken for the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFlaw {
    /// It is in cold storage.
    Cold,
    /// A database in it is torn.
    Torn,
    /// It is damaged.
    Damaged,
    /// It has no end that this hookshot wrote: it is damaged, or another program made it.
    Unreadable,
}

/// The archive that is tried after one with a flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextArchive {
    /// The next older one.
    Older,
    /// This one all the same: no older one is better.
    Same,
    /// None: no older one is left.
    None,
}
