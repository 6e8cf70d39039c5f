//! What receivers get, and what the outbox is told when they cannot have it:
//! Slack against a strict fake, mail against a real server and a double.

mod support;

#[path = "channels/email.rs"]
mod email;
#[path = "channels/rendering.rs"]
mod rendering;
#[path = "channels/slack.rs"]
mod slack;

use postwatch::channel::Link;

/// Our own page.
fn page() -> Link {
    Link::new(url::Url::parse("http://127.0.0.1:9467/").expect("a constant address"))
}
