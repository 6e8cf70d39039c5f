//! What each part of the service costs by itself.
//!
//! `cargo bench --package parts` prints times, which vary with the machine and its hour.
//! `parts instructions` names the parts whose instructions are counted, and
//! `.ci/instructions` holds them to the committed figures.

mod evaluation;
mod ingest;
mod instructions;
mod metrics;
mod network;
mod store;
mod watched;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["instructions"] => instructions::list(),
        ["instructions", name] => instructions::run(name),
        _ => divan::main(),
    }
}
