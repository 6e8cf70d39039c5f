//! Notices that a file changed, by its content: editors replace files, and
//! orchestrators swap the folder around them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks after which a file is tried again that was not to blame.
pub const TRY_AGAIN_AFTER: u32 = 30;

/// A file's text by its hash; `None` where it cannot be read.
type Content = Option<u64>;

pub struct Looks {
    path: PathBuf,
    interval: tokio::time::Interval,
    /// What the last attempt read, and what the last look saw.
    pub tried: Content,
    seen: Content,
    /// Counts down to another attempt at the same text.
    pub again_after: Option<u32>,
}

impl Looks {
    /// `hash` is what the file held when it was read.
    pub fn new(path: PathBuf, hash: u64) -> Looks {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Looks { path, interval, tried: Some(hash), seen: Some(hash), again_after: None }
    }

    /// Waits until the text is another than at the last attempt, and stays the same for
    /// two looks: an editor may be in the middle of writing it.
    pub async fn changed(&mut self) {
        loop {
            self.interval.tick().await;
            let path = self.path.clone();
            let look = move || config::read(&path).ok().map(|text| config::hash(&text));
            let Ok(content) = tokio::task::spawn_blocking(look).await else { continue };
            let is_still = content == self.seen;
            self.seen = content;
            self.again_after = self.again_after.map(|looks| looks.saturating_sub(1));
            let is_due = content != self.tried || self.again_after == Some(0);
            if is_still && is_due {
                self.again_after = None;
                return;
            }
        }
    }
}
