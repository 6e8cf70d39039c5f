//! Fourteen days of a network with twenty incidents of different kinds, drawn from a
//! seed: what happens, whether a person is needed, and what the cause is.

use std::time::Duration;

use postwatch::simulate::{Incident, IncidentKind, SHARED_HOSTING, Scenario, Target};

const HOUR: u64 = 3_600;
const MINUTE: u64 = 60;
pub const DAYS: u64 = 14;
/// Each incident begins within a slot of its own.
const SLOT: u64 = DAYS * 24 * HOUR / 20;
/// Of the offers that have a postback for all affiliates.
pub const ANALYTICS: &str = "s2s.offer-analytics.example";

/// One scripted thing that goes wrong, and what somebody should be told of it.
#[derive(Debug, Clone)]
pub struct Scripted {
    pub kind: &'static str,
    /// Seconds after the start.
    pub starts: u64,
    pub ends: u64,
    pub expected: Expected,
}

/// What a person should hear.
#[derive(Debug, Clone)]
pub enum Expected {
    /// Nothing: it cures itself, or is none.
    Silence,
    /// An alert with one of these labels, whose cause is one of these.
    Told { whom: Vec<(&'static str, String)>, causes: Vec<(&'static str, String)> },
}

/// What happens to the reading of the network, not to its postbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The API does not answer.
    Down,
    /// Rows show up to four minutes late.
    Late,
}

/// The whole of it.
pub struct Script {
    pub scenario: Scenario,
    pub incidents: Vec<Scripted>,
    /// `(from, to, what)`, seconds after the start.
    pub readings: Vec<(u64, u64, Reading)>,
}

struct Writer {
    chance: fastrand::Rng,
    incidents: Vec<Incident>,
    told: Vec<Scripted>,
    readings: Vec<(u64, u64, Reading)>,
    /// Affiliates that were hit before are not hit again.
    affiliates: Vec<u64>,
    busy: Vec<u64>,
}

/// The script of a seed.
pub fn write(seed: u64) -> Script {
    let mut chance = fastrand::Rng::with_seed(seed);
    // 1 is the busiest: of 24 the first third has some traffic at any hour.
    let mut affiliates: Vec<u64> = (5..=9).chain([11, 12, 14, 15]).collect();
    let mut busy = vec![2, 3, 4];
    chance.shuffle(&mut affiliates);
    chance.shuffle(&mut busy);
    let mut kinds: Vec<fn(&mut Writer, u64)> = vec![
        |w, at| w.partner("expired certificate", IncidentKind::ExpiredCertificate, at, 3 * HOUR),
        |w, at| w.partner("moved endpoint", IncidentKind::MovedEndpoint, at, 5 * HOUR),
        |w, at| w.partner("bot wall", IncidentKind::BotChallenge, at, 4 * HOUR),
        |w, at| w.partner("DNS gone", IncidentKind::DnsGone, at, 6 * HOUR),
        Writer::heavy_brownout,
        Writer::one_offer,
        Writer::one_partners_offer,
        Writer::shared_host,
        Writer::analytics_host,
        Writer::slow_burn,
        Writer::mild_brownout,
        Writer::network_brownout,
        Writer::flapping,
        Writer::outage_of_the_api,
        Writer::outage_of_the_api_alone,
        Writer::late_rows,
        Writer::deactivation,
        Writer::silence_of_a_failing_partner,
        Writer::quiet_night,
        Writer::silence_of_all,
    ];
    chance.shuffle(&mut kinds);
    let mut writer = Writer {
        chance,
        incidents: Vec::new(),
        told: Vec::new(),
        readings: Vec::new(),
        affiliates,
        busy,
    };
    for (slot, kind) in kinds.into_iter().enumerate() {
        // The last begins early enough to end, and to be cured.
        let at = slot as u64 * SLOT + HOUR + writer.chance.u64(0..SLOT / 4);
        kind(&mut writer, at);
    }
    let scenario = Scenario {
        history: Duration::from_secs(HOUR),
        shared_tracker: true,
        incidents: writer.incidents,
        retry_schedule: [1, 5, 15, 60, 120, 240, 360, 480]
            .map(|minutes| Duration::from_secs(minutes * MINUTE))
            .into(),
        ..Scenario::quiet(seed)
    };
    Script { scenario, incidents: writer.told, readings: writer.readings }
}

impl Writer {
    fn affiliate(&mut self) -> u64 {
        self.affiliates.pop().unwrap_or(2)
    }

    /// One with traffic enough that an hour of it is worth a word.
    fn busy_affiliate(&mut self) -> u64 {
        self.busy.pop().unwrap_or(2)
    }

    fn happens(&mut self, kind: IncidentKind, (from, to): (u64, u64), target: Target, share: f64) {
        self.incidents.push(Incident {
            kind,
            starts: Duration::from_secs(from),
            lasts: Some(Duration::from_secs(to - from)),
            target,
            share,
        });
    }

    fn expect(
        &mut self,
        kind: &'static str,
        (starts, ends): (u64, u64),
        whom: &[(&'static str, &str)],
        causes: &[(&'static str, &str)],
    ) {
        let owned = |pairs: &[(&'static str, &str)]| {
            pairs.iter().map(|(label, value)| (*label, (*value).to_owned())).collect()
        };
        let expected = Expected::Told { whom: owned(whom), causes: owned(causes) };
        self.told.push(Scripted { kind, starts, ends, expected });
    }

    fn expect_silence(&mut self, kind: &'static str, (starts, ends): (u64, u64)) {
        self.told.push(Scripted { kind, starts, ends, expected: Expected::Silence });
    }

    fn partner(&mut self, kind: &'static str, what: IncidentKind, at: u64, lasts: u64) {
        let id = self.affiliate();
        let share = self.chance.u64(60..=80) as f64 / 100.0;
        let span = (at, at + lasts);
        self.happens(what, span, Target::Affiliate(id), share);
        let id = id.to_string();
        self.expect(kind, span, &[("affiliate", &id)], &[("host", "*"), ("affiliate", &id)]);
    }

    fn heavy_brownout(&mut self, at: u64) {
        let id = self.busy_affiliate();
        let span = (at, at + HOUR);
        self.happens(IncidentKind::Brownout, span, Target::Affiliate(id), 0.7);
        let id = id.to_string();
        self.expect("heavy brownout", span, &[("affiliate", &id)], &[("host", "*")]);
    }

    fn one_offer(&mut self, at: u64) {
        let span = (at, at + 5 * HOUR);
        self.happens(IncidentKind::MissingParameter, span, Target::Offer(12), 0.7);
        self.expect(
            "one offer, all partners",
            span,
            &[("offer", "12")],
            &[("offer", "12"), ("reason", "http_400")],
        );
    }

    /// A wrong parameter in one postback of one partner.
    fn one_partners_offer(&mut self, at: u64) {
        let id = self.affiliate();
        let span = (at, at + 8 * HOUR);
        self.happens(IncidentKind::MissingParameter, span, Target::Affiliate(id), 0.5);
        let id = id.to_string();
        self.expect("wrong parameter", span, &[("affiliate", &id)], &[("host", "*")]);
    }

    fn shared_host(&mut self, at: u64) {
        let span = (at, at + 2 * HOUR);
        let host = format!("go.{SHARED_HOSTING}");
        self.happens(IncidentKind::HostingOutage, span, Target::Host(host.clone()), 0.8);
        self.expect("one host, several partners", span, &[("host", &host)], &[("host", &host)]);
    }

    fn analytics_host(&mut self, at: u64) {
        let span = (at, at + 3 * HOUR);
        self.happens(IncidentKind::DnsGone, span, Target::Host(ANALYTICS.into()), 0.8);
        self.expect("host of one offer", span, &[("host", ANALYTICS)], &[("host", ANALYTICS)]);
    }

    /// One in twenty of a partner's is refused for good.
    fn slow_burn(&mut self, at: u64) {
        let id: u64 = 1;
        let span = (at, at + 30 * HOUR);
        self.happens(IncidentKind::MissingParameter, span, Target::Affiliate(id), 0.05);
        let id = id.to_string();
        self.expect(
            "slow burn at 5 %",
            span,
            &[("affiliate", &id)],
            &[("host", "*"), ("affiliate", &id), ("reason", "http_400")],
        );
    }

    /// A tenth of a partner's time out for a while: the retries cure it.
    fn mild_brownout(&mut self, at: u64) {
        let id = self.affiliate();
        let span = (at, at + 12 * MINUTE);
        self.happens(IncidentKind::Brownout, span, Target::Affiliate(id), 0.12);
        self.expect_silence("mild brownout", span);
    }

    fn network_brownout(&mut self, at: u64) {
        let span = (at, at + 50 * MINUTE);
        self.happens(IncidentKind::Brownout, span, Target::Network, 0.5);
        self.expect(
            "the whole network",
            span,
            &[("rule", "network-wide")],
            &[("network", ""), ("reason", "timeout"), ("reason", "http_503")],
        );
    }

    /// Four minutes down, six up, for three hours.
    fn flapping(&mut self, at: u64) {
        let id = self.busy_affiliate();
        let span = (at, at + 3 * HOUR);
        for round in 0..18 {
            let from = at + round * 10 * MINUTE;
            let down = (from, from + 4 * MINUTE);
            self.happens(IncidentKind::HostingOutage, down, Target::Affiliate(id), 0.85);
        }
        let id = id.to_string();
        self.expect("flapping", span, &[("affiliate", &id)], &[("host", "*")]);
    }

    /// A partner fails while the network's API does not answer: told late.
    fn outage_of_the_api(&mut self, at: u64) {
        let id = self.busy_affiliate();
        let span = (at, at + 70 * MINUTE);
        self.readings.push((at, at + 50 * MINUTE, Reading::Down));
        let fails = (at + 10 * MINUTE, at + 70 * MINUTE);
        self.happens(IncidentKind::ExpiredCertificate, fails, Target::Affiliate(id), 0.8);
        let id = id.to_string();
        self.expect("partner, API down", span, &[("affiliate", &id)], &[("host", "*")]);
    }

    fn outage_of_the_api_alone(&mut self, at: u64) {
        let span = (at, at + 45 * MINUTE);
        self.readings.push((span.0, span.1, Reading::Down));
        self.expect("API down", span, &[("rule", "source-blind")], &[]);
    }

    fn late_rows(&mut self, at: u64) {
        let span = (at, at + 3 * HOUR);
        self.readings.push((span.0, span.1, Reading::Late));
        self.expect_silence("late rows", span);
    }

    fn deactivation(&mut self, at: u64) {
        let id = self.affiliate();
        let span = (at, at + 6 * HOUR);
        self.happens(IncidentKind::Deactivation, span, Target::Affiliate(id), 1.0);
        let id = id.to_string();
        self.expect("deactivation", span, &[("affiliate", &id)], &[("host", "*")]);
    }

    /// It fails, then its traffic stops: that is no cure.
    fn silence_of_a_failing_partner(&mut self, at: u64) {
        let id = self.affiliate();
        let fails = (at, at + 90 * MINUTE);
        self.happens(IncidentKind::MovedEndpoint, fails, Target::Affiliate(id), 0.8);
        let stops = (fails.1, at + 8 * HOUR);
        self.happens(IncidentKind::Silence, stops, Target::Affiliate(id), 1.0);
        let id = id.to_string();
        self.expect("fails, then silent", (at, stops.1), &[("affiliate", &id)], &[("host", "*")]);
    }

    /// Hardly anything fires, and the odd failure is half of it.
    fn quiet_night(&mut self, at: u64) {
        let span = (at, at + 9 * HOUR);
        self.happens(IncidentKind::Silence, span, Target::Network, 0.97);
        self.expect_silence("quiet night", span);
    }

    fn silence_of_all(&mut self, at: u64) {
        let span = (at, at + 4 * HOUR);
        self.happens(IncidentKind::Silence, span, Target::Network, 1.0);
        self.expect("nothing fires", span, &[("rule", "nothing-fires")], &[]);
    }
}
