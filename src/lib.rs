//! postwatch watches the postbacks that an affiliate network fires at its
//! partners' servers, and tells the right person when they stop arriving.
//!
//! The rooms, in reading order. Data flows one way:
//! source → ingest → window → rules → alert → notify → outbox → channel.

/// What postwatch decides: pure, no I/O, no clock, no chance.
#[deny(clippy::disallowed_methods)]
pub mod domain;

pub mod source;

pub mod poll;

pub mod store;

pub mod pipeline;

pub mod replay;

pub mod outbox;

pub mod channel;

pub mod metrics;

pub mod web;

pub mod config;

pub mod clock;

pub mod failpoint;

pub mod simulate;

pub mod service;

pub mod cli;
