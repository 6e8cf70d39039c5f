//! The network of a script as the live poller sees it, poll by poll, without a server.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use postwatch::config;
use postwatch::domain::coverage::plan;
use postwatch::domain::delivery::Row;
use postwatch::domain::policy::Policy;
use postwatch::domain::recheck::{AGES, age_span};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::WholeSpan;
use postwatch::replay::{Replay, Told};
use postwatch::simulate::{Model, TruthRow};

use super::script::{DAYS, Reading, Script, Scripted};

/// A Monday, 00:00 UTC.
pub const START: Timestamp = Timestamp(1_772_409_600);
const MINUTE: i64 = 60;
const SOURCE: &str = "everflow";
/// Rows older than the look-back are not asked for any more.
const KEPT: i64 = 73 * 3_600;
/// The longest that a late row is late.
const LATEST: u64 = 240;

/// What the report would hold.
#[derive(Default)]
struct Report {
    by_time: BTreeMap<(Timestamp, usize), Row<'static>>,
    places: HashMap<(u64, String), usize>,
    /// Rows that show later than they should, by when.
    late: BTreeMap<(i64, usize), Row<'static>>,
}

/// Runs the shipped rules over the script's fortnight and a day more.
pub fn watch(script: &Script) -> Told {
    let mut model = Model::begin(script.scenario.clone(), START);
    let mut report = Report::default();
    let shipped = shipped();
    let policy = shipped.sources[0].clone();
    let longest = shipped.longest_window();
    let mut replay = Replay::begin(shipped, START);
    let minutes = (DAYS as i64 + 1) * 24 * 60;
    let mut late_to = None;
    for minute in 0..minutes {
        let now = START + std::time::Duration::from_secs((minute * MINUTE) as u64);
        let passed = (minute * MINUTE) as u64;
        let is = |what: Reading| {
            script
                .readings
                .iter()
                .any(|(from, to, is)| *is == what && (*from..*to).contains(&passed))
        };
        report.take(now, model.pass(now), is(Reading::Late));
        // Whoever mended an endpoint switches its postbacks on again.
        let is_mended = |one: &Scripted| passed < one.starts || passed >= one.ends;
        if minute % 30 == 0 && script.incidents.iter().all(is_mended) {
            for (id, _) in model.postbacks().into_iter().filter(|(_, is_active)| !is_active) {
                model.switch_postback(id, true);
            }
        }
        replay.pass(now);
        if is(Reading::Down) {
            replay.miss(SOURCE, "503 Service Unavailable");
            continue;
        }
        let coverage = replay.coverage(SOURCE);
        let is_late_due = minute % 5 == 0;
        match plan::present(now, &policy, &coverage, late_to, is_late_due) {
            None => {
                let since = now - longest;
                let span = WholeSpan::Lookback { to: now, successes_since: since };
                replay.read(
                    SOURCE,
                    span,
                    report.asked(now - policy.lookback, Timestamp(i64::MAX), now),
                );
            }
            Some((span, reaches_back)) => {
                replay.read(SOURCE, span, report.of(span));
                if reaches_back {
                    late_to = Some(now);
                }
            }
        }
        while let Some(span) = plan::oldest_gap(&policy, &replay.coverage(SOURCE)) {
            replay.read(SOURCE, span, report.of(span));
        }
        for (age, (_, polls)) in AGES.iter().enumerate() {
            if minute % i64::from(*polls) == 0 {
                let span = age_span(now, policy.lookback, age);
                let older = WholeSpan::Older { from: span.from, to: span.to };
                replay.read(SOURCE, older, report.failed(span.from, span.to));
            }
        }
        replay.postbacks(SOURCE, &model.postbacks());
        report.forget(now);
    }
    replay.finish()
}

/// The rules that are shipped, as they are.
pub fn shipped() -> Policy {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.yaml"));
    let text = text.expect("the shipped rules are there");
    let (config, report) = config::parse(&text, &|name| Some(format!("some-{name}")), &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    });
    config.unwrap_or_else(|| panic!("{:?}", report.mistakes)).policy
}

impl Report {
    /// Takes what was tried since the last call.
    fn take(&mut self, now: Timestamp, tried: Vec<TruthRow>, are_late: bool) {
        for told in tried {
            let row = row(&told);
            let key = (told.pixel_id, told.conversion_id.clone() + &told.transaction_id);
            let next = self.places.len();
            let place = *self.places.entry(key).or_insert(next);
            if are_late {
                // As good as drawn: the same in every run.
                let wait = (told.timestamp.0.unsigned_abs() * 7 + place as u64 * 131) % LATEST;
                self.late.insert((now.0 + wait as i64, place), row);
            } else {
                self.late.retain(|(_, waiting), _| *waiting != place);
                self.show(place, row);
            }
        }
        while let Some(entry) = self.late.first_entry().filter(|entry| entry.key().0 <= now.0) {
            let ((_, place), row) = entry.remove_entry();
            self.show(place, row);
        }
    }

    fn show(&mut self, place: usize, row: Row<'static>) {
        self.by_time.insert((row.timestamp, place), row);
    }

    /// Failures of `from..=to`, and successes of `successes_from..=to`.
    fn asked(&self, from: Timestamp, successes_from: Timestamp, to: Timestamp) -> Vec<Row<'_>> {
        let rows = self.by_time.range((from.min(successes_from), 0)..=(to, usize::MAX));
        let is_asked = |row: &&Row<'static>| match row.is_success {
            true => row.timestamp >= successes_from,
            false => row.timestamp >= from,
        };
        rows.map(|(_, row)| row).filter(is_asked).map(lend).collect()
    }

    fn of(&self, span: WholeSpan) -> Vec<Row<'_>> {
        match span {
            WholeSpan::Recent { failures_from, successes_from, to } => {
                self.asked(failures_from, successes_from, to)
            }
            WholeSpan::Lookback { .. } | WholeSpan::Older { .. } | WholeSpan::Back { .. } => {
                Vec::new()
            }
        }
    }

    /// Failures, and the successes of what failed before: what the sweeps of older
    /// time find.
    fn failed(&self, from: Timestamp, to: Timestamp) -> Vec<Row<'_>> {
        let rows = self.by_time.range((from, 0)..=(to, usize::MAX)).map(|(_, row)| row);
        rows.filter(|row| row.failed_attempts > 0).map(lend).collect()
    }

    fn forget(&mut self, now: Timestamp) {
        let past = Timestamp(now.0 - KEPT);
        while self.by_time.first_key_value().is_some_and(|((at, _), _)| *at < past) {
            self.by_time.pop_first();
        }
    }
}

/// The row without its texts' copies: a fortnight asks for each a dozen times.
fn lend<'r>(row: &'r Row<'static>) -> Row<'r> {
    let text = |text: &'r Cow<'static, str>| Cow::Borrowed(&**text);
    Row {
        offer_name: text(&row.offer_name),
        affiliate_name: text(&row.affiliate_name),
        conversion_id: text(&row.conversion_id),
        transaction_id: text(&row.transaction_id),
        delivery_method: text(&row.delivery_method),
        postback_level: text(&row.postback_level),
        postback_type: text(&row.postback_type),
        postback_status: text(&row.postback_status),
        payload: text(&row.payload),
        debug_information: text(&row.debug_information),
        ..*row
    }
}

fn row(told: &TruthRow) -> Row<'static> {
    let method = if told.host.is_empty() { "html" } else { "postback" };
    Row {
        offer: told.offer,
        offer_name: format!("Offer {}", told.offer).into(),
        affiliate: told.affiliate,
        affiliate_name: format!("Partner {}", told.affiliate).into(),
        postback: told.pixel_id,
        event: told.event,
        conversion_id: told.conversion_id.clone().into(),
        transaction_id: told.transaction_id.clone().into(),
        timestamp: told.timestamp,
        last_attempt: told.last_attempt,
        failed_attempts: told.failed_attempts,
        is_success: told.is_success,
        delivery_method: method.into(),
        postback_level: "global".into(),
        postback_type: "conversion".into(),
        postback_status: if told.postback_active { "active" } else { "inactive" }.into(),
        payload: told.payload.clone().into(),
        debug_information: answer(told.reason.as_deref()).into(),
    }
}

/// What the network writes of the last try.
fn answer(reason: Option<&str>) -> String {
    match reason {
        None => "Status: 200".to_owned(),
        Some("tls") => "Error: x509: certificate has expired".to_owned(),
        Some("dns") => "Error: dial tcp: lookup: no such host".to_owned(),
        Some("refused") => "Error: connect: connection refused".to_owned(),
        Some("timeout") => "Error: context deadline exceeded".to_owned(),
        Some("reset") => "Error: read: connection reset by peer".to_owned(),
        Some("challenge") => "Status: 403\nHeaders: Cf-Mitigated: [challenge]".to_owned(),
        Some(status) => format!("Status: {}", status.trim_start_matches("http_")),
    }
}
