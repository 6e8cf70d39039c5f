//! The simulated network.
mod cast;
mod chance;
mod duration;
mod health;
mod network;
mod reason;
mod scenario;
mod text;
mod traffic;
mod truth;
pub use reason::Reason;
pub use scenario::{Fixed, Incident, IncidentKind, SHARED_HOSTING, Scenario, Target};
pub use truth::{Telling, TruthRow};
