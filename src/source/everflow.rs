//! (to come)
mod export;
mod lenient;
pub mod wire;
