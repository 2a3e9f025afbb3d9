//! Archives whose directories have listings although they have few files, as the library makes them.

use std::time::SystemTime;

use hookshot::verbs::{self, ArchiveOutput, Choices, Context, ExportRequest, SealedFor};

use super::Machine;

/// The choices that point at a machine and at nothing else.
pub fn choices(machine: &Machine) -> Choices {
    Choices {
        config: Some(machine.path("etc/config.toml")),
        ..Choices::default()
    }
}

/// The context of one run of the library, in which a directory of more than `most` files has a listing.
pub fn context(machine: &Machine, most: u64) -> Context {
    let context = Context::new(SystemTime::now().into(), machine.path("tmp"));
    Context {
        unlisted_files: most,
        ..context.expect("a context")
    }
}

/// Exports a machine to `out/NAME`; directories of more than `most` files have listings.
pub fn export_listed(machine: &Machine, name: &str, most: u64) -> String {
    let path = machine.path("out").join(name);
    let request = ExportRequest::new(vec![ArchiveOutput::Path(path.clone(), SealedFor::Shared)]);
    let report = verbs::export(&context(machine, most), &choices(machine), request);
    let failure = report.expect("exported").failure();
    assert!(failure.is_none(), "{failure:?}");
    path.to_str().expect("UTF-8").to_owned()
}
