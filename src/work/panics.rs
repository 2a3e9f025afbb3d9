//! Panics of libraries: caught where the libraries are called, and failures like any other.
//!
//! A panic that is caught prints nothing: its text may repeat a secret. Its place in the source is kept for the
//! message. The hook of panics belongs to the whole process, and gets nothing but the panic: so its place passes through
//! a `static`. Not promised: anything in a program that is built with `panic = "abort"`; hookshot's own profiles are not.

use std::{
    any::Any,
    cell::Cell,
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::{Mutex, Once, PoisonError},
    task::Poll,
};

use crate::error::Caught;

/// Libraries with threads of their own. A panic in such a thread is one of the failures that the call into the library
/// ends with.
const THREADED: [&str; 1] = ["rustic_core-"];

thread_local! {
    /// True while this thread runs code whose panics are caught.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The place of the last panic that was caught.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Describes a panic by its payload.
pub fn describe(payload: &(dyn Any + Send)) -> Caught {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    Caught {
        text: text.unwrap_or_default(),
        place: place.take(),
    }
}

/// Runs `work`, and catches its panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    install();
    let before = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.map_err(|payload| describe(&*payload))
}

/// Waits for `work`, and catches its panic.
pub async fn caught_in<W: Future>(work: W) -> Result<W::Output, Caught> {
    let mut work = pin!(work);
    poll_fn(|context| match caught(|| work.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(caught) => Poll::Ready(Err(caught)),
    })
    .await
}

/// Declares that other code catches every panic of this thread, so that none is printed.
pub fn guard_thread() {
    install();
    GUARDED.set(true);
}

/// Silences the panics that are caught; all others are printed as before.
fn install() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info
                .location()
                .map(|place| format!("{}:{}", within_crate(place.file()), place.line()));
            let is_threaded = place
                .as_ref()
                .is_some_and(|place| THREADED.iter().any(|name| place.starts_with(name)));
            if !GUARDED.get() && !is_threaded {
                return before(info);
            }
            *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }));
    });
}

/// Returns the path of a source file from its crate on: the rest belongs to the machine that built it.
fn within_crate(file: &str) -> &str {
    let Some(end) = file.rfind("/src/") else {
        return file;
    };
    file[..end]
        .rfind('/')
        .map_or(file, |start| &file[start + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value_that_says_where_and_not_what() {
        let caught = caught::<()>(|| panic!("hunter2")).expect_err("it panics");
        assert_eq!(caught.text, "hunter2");
        let shown = caught.to_string();
        assert!(shown.starts_with("a defect of a library, in "), "{shown}");
        assert!(
            shown.contains("panics.rs:") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert_eq!(super::caught(|| 7).expect("no panic"), 7);
    }

    #[test]
    fn a_place_names_the_crate_and_no_machine() {
        for (file, shown) in [
            (
                "/home/x/.cargo/registry/src/index-1/store-0.1/src/aws/key.rs",
                "store-0.1/src/aws/key.rs",
            ),
            ("src/work/panics.rs", "src/work/panics.rs"),
            ("/rustc/1/library/core/src/option.rs", "core/src/option.rs"),
        ] {
            assert_eq!(within_crate(file), shown);
        }
    }
}
