//! Calls into sled that must come back.
//!
//! sled panics over some of the damage that it finds: to whoever runs the
//! service that is one more damaged store, and no reason for a backtrace.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Once, mpsc};
use std::time::Duration;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs it; a panic becomes an error that says why, and prints nothing.
pub fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                usual(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    // What was half done is dropped unseen: the caller gets an error instead.
    let ran = catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(before);
    ran.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        tracing::debug!(panic = text, "sled gave up");
        "its content makes no sense".to_owned()
    })
}

/// It did not come back in time, and may yet.
pub struct Stuck;

/// Runs it on a thread of its own, and waits no longer than this.
pub fn within<T: Send + 'static>(
    limit: Duration,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stuck> {
    let (done, answer) = mpsc::channel();
    std::thread::spawn(move || done.send(run()).ok());
    answer.recv_timeout(limit).map_err(|_| Stuck)
}
