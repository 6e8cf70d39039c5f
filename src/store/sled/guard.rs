//! Calls into sled that must come back.
//!
//! sled panics over some of the damage that it finds: to whoever runs the
//! service that is one more damaged store, and no reason for a backtrace.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

const NUDGE_EVERY: Duration = Duration::from_millis(250);

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

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does what may never come back.
pub struct Worker {
    work: mpsc::Sender<Work>,
}

impl Worker {
    pub fn start() -> Worker {
        let (work, waiting) = mpsc::channel::<Work>();
        std::thread::spawn(move || waiting.into_iter().for_each(|work| work()));
        Worker { work }
    }

    /// Has it done, and waits no longer than this; calls `nudge` each quarter of a
    /// second meanwhile. After a [`Stuck`] all further work is stuck behind it.
    pub fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        run: impl FnOnce() -> T + Send + 'static,
        nudge: impl Fn(),
    ) -> Result<T, Stuck> {
        let (done, answer) = mpsc::channel();
        let work = Box::new(move || {
            done.send(run()).ok();
        });
        self.work.send(work).map_err(|_| Stuck)?;
        let until = Instant::now() + limit;
        loop {
            match answer.recv_timeout(NUDGE_EVERY.min(limit)) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => nudge(),
                Err(_) => return Err(Stuck),
            }
        }
    }
}
