//! The whole service against the simulated network: what it counts is the
//! network's truth, whatever happens to either of them.

mod support;

#[path = "service/cost.rs"]
mod cost;
#[path = "service/faults.rs"]
mod faults;
#[path = "service/kills.rs"]
mod kills;
#[path = "service/watched.rs"]
mod watched;
