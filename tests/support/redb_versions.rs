//! Services with other versions of redb: databases that they make, crash with, hold and open.

/// The abilities of a service with one version of redb.
pub struct Version {
    /// Makes a database of some rows; it is open until the value goes.
    pub make: fn(&str) -> Box<dyn std::any::Any>,
    /// Opens a database that the same or another version made, checks and counts what is in it, and goes on writing.
    pub open: fn(&str),
}

/// By the number of the version.
pub fn version(number: &str) -> Version {
    match number {
        "2.6" => two::VERSION,
        "3" => three::VERSION,
        "4" => four::VERSION,
        other => panic!("{other}?"),
    }
}

macro_rules! version {
    ($name:ident, $redb:ident, $builder:expr) => {
        mod $name {
            use ::$redb::{
                Builder, Database, MultimapTableDefinition, ReadableMultimapTable as _,
                ReadableTable as _, TableDefinition,
            };

            const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
            const INDEX: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("index");

            pub const VERSION: super::Version = super::Version { make, open };

            fn make(path: &str) -> Box<dyn std::any::Any> {
                let builder: fn() -> Builder = $builder;
                let db = builder().create(path).expect("a free database");
                for round in 0..4 {
                    let tx = db.begin_write().expect("a transaction");
                    for key in 0..200u64 {
                        let value = vec![round; 300 + key as usize * 3];
                        tx.open_table(ROWS)
                            .expect("a table")
                            .insert(key, value.as_slice())
                            .expect("a row");
                        let mut index = tx.open_multimap_table(INDEX).expect("a table");
                        index.insert("all", key).expect("a value");
                    }
                    tx.commit().expect("committed");
                }
                Box::new(db)
            }

            fn open(path: &str) {
                let mut db = Database::open(path).expect("it opens");
                // The first check of a database that was repaired may put something right.
                let is_clean =
                    db.check_integrity().expect("whole") || db.check_integrity().expect("whole");
                assert!(is_clean);
                let tx = db.begin_write().expect("a transaction");
                {
                    let mut rows = tx.open_table(ROWS).expect("a table");
                    let mut count = 0;
                    for row in rows.iter().expect("rows") {
                        let (key, value) = row.expect("a row");
                        let expected = vec![3; 300 + key.value() as usize * 3];
                        assert!(value.value() == expected);
                        count += 1;
                    }
                    assert_eq!(count, 200);
                    rows.insert(1000, [3; 3300].as_slice()).expect("a row");
                    rows.remove(1000).expect("removed");
                    let index = tx.open_multimap_table(INDEX).expect("a table");
                    assert_eq!(index.get("all").expect("values").count(), 200);
                }
                tx.commit().expect("committed");
            }
        }
    };
}

version!(two, redb_2, || {
    let mut builder = Builder::new();
    builder.create_with_file_format_v3(true);
    builder
});
version!(three, redb_3, Builder::new);
version!(four, redb, Builder::new);
