//! Everything that postwatch decides. Nothing in here does I/O, reads a clock
//! or draws a random number: time and chance come in as arguments.

pub mod delivery;
pub mod notify;
pub mod policy;
pub mod rules;
pub mod summary;
pub mod time;
