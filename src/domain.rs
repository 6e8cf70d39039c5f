//! Everything that postwatch decides. Nothing in here does I/O, reads a clock
//! or draws a random number: time and chance come in as arguments.

pub mod time;

pub mod policy;

pub mod delivery;

pub mod dims;

pub mod reason;

pub mod url;

pub mod deliveries;

pub mod counters;

pub mod coverage;

pub mod facts;

pub mod ingest;

pub mod window;

pub mod bars;
pub mod rules;
pub mod search;

pub mod summary;
pub mod suspect;

pub mod alert;

pub mod names;
pub mod notify;

pub mod heartbeat;

pub mod silence;

pub mod outgoing;

pub mod state;

pub mod recheck;

pub mod turn;

pub mod explain;
