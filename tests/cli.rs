//! The program as a user meets it: the real binary, its exit codes, its
//! sentences, and that it shows no secret, whatever goes wrong.

mod support;

#[path = "cli/access.rs"]
mod access;
#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/api.rs"]
mod api;
#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/heartbeat.rs"]
mod heartbeat;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/outbox.rs"]
mod outbox;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/receivers.rs"]
mod receivers;
#[path = "cli/reload.rs"]
mod reload;
#[path = "cli/replays.rs"]
mod replays;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/silences.rs"]
mod silences;
#[path = "cli/stop.rs"]
mod stop;
