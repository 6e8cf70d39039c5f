//! The shipped rules over fortnights that they were not tuned on: every incident that
//! needs a person is told, soon, with its cause, in few messages; nothing else is.

use std::fmt::Write as _;

#[path = "fortnight/feed.rs"]
mod feed;
#[path = "fortnight/judge.rs"]
mod judge;
#[path = "fortnight/script.rs"]
mod script;

use judge::{Judged, judge};

/// The rules are tuned on 1 to 5.
const JUDGED: std::ops::RangeInclusive<u64> = 6..=20;
const MOST_MESSAGES: usize = 3;

#[test]
fn the_shipped_rules_tell_every_incident_that_needs_a_person_and_nothing_else() {
    let seeds: Vec<u64> = match std::env::var("FORTNIGHTS") {
        Ok(seeds) => seeds.split(',').filter_map(|seed| seed.parse().ok()).collect(),
        Err(_) => JUDGED.collect(),
    };
    let judged = in_parallel(&seeds);
    let table = table(&judged);
    println!("{table}");
    if std::env::var("FORTNIGHTS").is_ok() {
        for result in judged.iter().flat_map(|one| &one.results) {
            println!("{} from {}:\n    {}", result.kind, result.began, result.log.join("\n    "));
        }
    }
    let mut wrong: Vec<String> = Vec::new();
    for (seed, of_seed) in seeds.iter().zip(&judged) {
        wrong.extend(of_seed.wrong().into_iter().map(|what| format!("seed {seed}: {what}")));
    }
    let mut messages: Vec<usize> =
        judged.iter().flat_map(Judged::told).map(|result| result.messages).collect();
    messages.sort_unstable();
    let median = messages[messages.len() / 2];
    if median > MOST_MESSAGES {
        wrong.push(format!("a median of {median} messages an incident"));
    }
    assert!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
}

/// As many at once as there are cores: each fortnight is by itself.
fn in_parallel(seeds: &[u64]) -> Vec<Judged> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let judged: std::sync::Mutex<Vec<Option<Judged>>> =
        std::sync::Mutex::new(seeds.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(&seed) = seeds.get(place) else { return };
                    let result = judge(seed);
                    if let Ok(mut judged) = judged.lock() {
                        judged[place] = Some(result);
                    }
                }
            });
        }
    });
    let judged = judged.into_inner().expect("no thread panicked");
    judged.into_iter().map(|one| one.expect("every seed was judged")).collect()
}

/// By kind of incident: how many were told, how soon, in how many messages.
fn table(judged: &[Judged]) -> String {
    let mut kinds: Vec<&str> = judged[0].results.iter().map(|result| result.kind).collect();
    kinds.sort_unstable();
    let mut text = String::from(
        "| incident | needs a person | told | delay, median (worst) | messages, median (most) | true cause |\n|---|---|---|---|---|---|\n",
    );
    for kind in kinds {
        let of: Vec<_> =
            judged.iter().flat_map(|one| &one.results).filter(|one| one.kind == kind).collect();
        let told: Vec<_> = of.iter().filter(|one| one.delay.is_some()).collect();
        let mut delays: Vec<u64> = told.iter().filter_map(|one| one.delay).collect();
        let mut messages: Vec<usize> = of.iter().map(|one| one.messages).collect();
        delays.sort_unstable();
        messages.sort_unstable();
        let minutes =
            |seconds: Option<&u64>| seconds.map_or("–".into(), |s| format!("{} min", s / 60));
        writeln!(
            text,
            "| {kind} | {} | {} of {} | {} ({}) | {} ({}) | {} |",
            if of[0].needs_person { "yes" } else { "no" },
            told.len(),
            of.len(),
            minutes(delays.get(delays.len() / 2)),
            minutes(delays.last()),
            messages[messages.len() / 2],
            messages[messages.len() - 1],
            if of[0].needs_person {
                format!("{} of {}", of.iter().filter(|one| one.is_cause_true).count(), of.len())
            } else {
                "–".to_owned()
            },
        )
        .expect("writing to memory");
    }
    text
}
