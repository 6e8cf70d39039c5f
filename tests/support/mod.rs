//! What several test binaries share: notices to send, and doubles of the
//! servers that cannot be installed.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod alertmanager;
pub mod exim;
pub mod mime;
pub mod notices;
pub mod proxy;
pub mod sender;
pub mod sink;
pub mod slack;
pub mod smtp;
pub mod suites;

/// Installs the one TLS provider; the first thing that a test does.
pub fn tls() {
    // A second call finds it installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
