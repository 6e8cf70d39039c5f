//! (to come)
pub mod wire;
