//! Promises of the domain, told as stories: a network, a clock that is a plain
//! number, and the service's own turns over the store in memory.

#[path = "scenarios/agreement.rs"]
mod agreement;
#[path = "scenarios/alertmanagers.rs"]
mod alertmanagers;
#[path = "scenarios/catching_up.rs"]
mod catching_up;
#[path = "scenarios/causes.rs"]
mod causes;
#[path = "scenarios/counters.rs"]
mod counters;
#[path = "scenarios/cures.rs"]
mod cures;
#[path = "scenarios/deactivation.rs"]
mod deactivation;
#[path = "scenarios/explain.rs"]
mod explain;
#[path = "scenarios/fallbacks.rs"]
mod fallbacks;
#[path = "scenarios/folding.rs"]
mod folding;
#[path = "scenarios/fortnight.rs"]
mod fortnight;
#[path = "scenarios/gates.rs"]
mod gates;
#[path = "scenarios/life.rs"]
mod life;
#[path = "scenarios/measures.rs"]
mod measures;
#[path = "scenarios/notices.rs"]
mod notices;
#[path = "scenarios/outbox.rs"]
mod outbox;
#[path = "scenarios/playing.rs"]
mod playing;
#[path = "scenarios/proofs.rs"]
mod proofs;
#[path = "scenarios/receivers.rs"]
mod receivers;
#[path = "scenarios/reload.rs"]
mod reload;
#[path = "scenarios/retention.rs"]
mod retention;
#[path = "scenarios/rules.rs"]
mod rules;
#[path = "scenarios/sight.rs"]
mod sight;
#[path = "scenarios/silences.rs"]
mod silences;
#[path = "scenarios/simulation.rs"]
mod simulation;
#[path = "scenarios/windows.rs"]
mod windows;
#[path = "scenarios/witness.rs"]
mod witness;
#[path = "scenarios/world.rs"]
mod world;
