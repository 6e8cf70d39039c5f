//! The real binary against the simulated network, under everything that may go
//! wrong: it counts what the network knows to be true, and tells it once.

mod support;

#[path = "service/cost.rs"]
mod cost;
#[path = "service/disk.rs"]
mod disk;
#[path = "service/faults.rs"]
mod faults;
#[path = "service/kills.rs"]
mod kills;
#[path = "service/pages.rs"]
mod pages;
#[path = "service/postwatch.rs"]
mod postwatch;
#[path = "service/steps.rs"]
mod steps;
#[path = "service/suspects.rs"]
mod suspects;
#[path = "service/truth.rs"]
mod truth;
#[path = "service/watched.rs"]
mod watched;
