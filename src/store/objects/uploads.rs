//! The properties that uploaded objects get.

use object_store::{Attribute, Attributes, TagSet};

use crate::{
    model::archive_name::marked_by,
    store::{names::OWN, options::BucketOptions},
};

/// The properties of uploaded objects.
#[derive(Debug, Clone, Default)]
pub struct Uploads {
    /// The headers of each.
    pub attributes: Attributes,
    /// The tags of each.
    pub tags: TagSet,
    /// True if each is read back even if the store tells a checksum.
    pub read_back: bool,
    /// True unless the store cannot create a name on the condition that it is free.
    pub conditional_writes: bool,
}

impl Uploads {
    /// Returns the headers of the object of this name. A mark or a note is text, and never goes to another class of
    /// storage: it must be readable at any time.
    pub fn attributes_of(&self, name: &str) -> Attributes {
        if marked_by(name).is_none() && !name.starts_with(OWN) {
            return self.attributes.clone();
        }
        let mut attributes = self.attributes.clone();
        attributes.remove(&Attribute::StorageClass);
        attributes.insert(Attribute::ContentType, "text/plain".into());
        attributes
    }
}

/// Returns the headers of an archive: its type, and the class of storage if there is one.
pub fn archive_attributes(bucket: &BucketOptions) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "application/gzip".into());
    if let Some(class) = &bucket.storage_class {
        attributes.insert(Attribute::StorageClass, class.clone().into());
    }
    attributes
}
