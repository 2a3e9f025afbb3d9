//! How the copy of a database is made, as configuration and command line name it.

/// How a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Under a lock where nobody has the database open, else while the service writes, else from a clone.
    Auto,
    /// Under a lock, or not at all.
    Locked,
    /// While the service writes.
    Walk,
    /// From a clone that the file system makes in a moment.
    Reflink,
    /// While the service stands still for a moment.
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
