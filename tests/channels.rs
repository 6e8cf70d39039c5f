//! What receivers get, and what the outbox is told when they cannot have it:
//! Slack against a strict fake, mail against a real server and a double, webhooks
//! against a server that fails as it is told.

mod support;

#[path = "channels/alertmanager.rs"]
mod alertmanager;
#[path = "channels/email.rs"]
mod email;
#[path = "channels/faults.rs"]
mod faults;
#[path = "channels/rendering.rs"]
mod rendering;
#[path = "channels/slack.rs"]
mod slack;
#[path = "channels/storm.rs"]
mod storm;
#[path = "channels/webhook.rs"]
mod webhook;
#[path = "channels/world.rs"]
mod world;

use postwatch::channel::Link;

/// Our own page.
fn page() -> Link {
    Link::new(url::Url::parse("http://127.0.0.1:9467/").expect("a constant address"))
}
