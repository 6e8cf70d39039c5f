//! What each part of the service costs by itself.
//!
//! `cargo bench` prints times, which vary with the machine and its hour. `parts instructions`
//! names the parts whose instructions are counted, and `parts instructions NAME` runs one of
//! them once: `.ci/instructions` holds them to the committed figures.

#[path = "parts/evaluation.rs"]
mod evaluation;
#[path = "parts/ingest.rs"]
mod ingest;
#[path = "parts/instructions.rs"]
mod instructions;
#[path = "parts/metrics.rs"]
mod metrics;
#[path = "parts/network.rs"]
mod network;
#[path = "parts/store.rs"]
mod store;
#[path = "parts/watched.rs"]
mod watched;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["instructions"] => instructions::list(),
        ["instructions", name] => instructions::run(name),
        _ => divan::main(),
    }
}
