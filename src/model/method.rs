//! The methods of copying a database, as configuration and command line name them.

/// A method of taking a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Under a lock if no process has the database open, else while the service writes, else from a clone.
    Auto,
    /// Under a lock, or not at all.
    Locked,
    /// While the service writes.
    Walk,
    /// From a clone that the file system makes at once.
    Reflink,
    /// While the service is paused for a moment.
    Pause,
}

impl Method {
    /// The methods by their names in the configuration and on the command line.
    pub const NAMES: [(&str, Method); 5] = [
        ("auto", Method::Auto),
        ("locked", Method::Locked),
        ("walk", Method::Walk),
        ("reflink", Method::Reflink),
        ("pause", Method::Pause),
    ];
}
