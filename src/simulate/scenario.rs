//! The script of a simulated network: how much traffic, which limits, and what
//! goes wrong when. Says what shall happen; never makes it happen.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// Everything that, with the start's moment, decides what the network does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Of all chance in the model: the same seed and start give the same network.
    pub seed: u64,
    /// The mean over a day; the traffic follows a day curve.
    pub deliveries_per_day: f64,
    /// How much exists before the start.
    #[serde(deserialize_with = "duration::one")]
    pub history: Duration,
    pub offers: usize,
    /// Affiliate ids run from 1, the busiest, to this.
    pub affiliates: usize,
    /// Whether the partners that share a hosting company share its one tracking host too.
    pub shared_tracker: bool,
    /// Share of first tries that fail without any incident.
    pub base_failure_rate: f64,
    /// Share of retries that fail again without any incident.
    pub retry_failure_rate: f64,
    /// Share of the ordinary failures that answer 400 to every retry.
    pub stubborn_share: f64,
    pub incidents: Vec<Incident>,
    /// The key that may do everything.
    pub api_key: String,
    /// A key of the wrong kind: answers 403.
    pub affiliate_api_key: String,
    /// Rows show up to this long after their first try.
    #[serde(deserialize_with = "duration::one")]
    pub lateness: Duration,
    /// The longest delay of the few postbacks that fire later than their
    /// conversion; zero: none does.
    #[serde(deserialize_with = "duration::one")]
    pub delay: Duration,
    /// No conversion fires from this long after the start; retries go on.
    #[serde(deserialize_with = "duration::maybe")]
    pub ends_after: Option<Duration>,
    /// The wait after the first failed try, after the second, …; the last repeats.
    #[serde(deserialize_with = "duration::list")]
    pub retry_schedule: Vec<Duration>,
    /// Failed tries after which a delivery is given up.
    pub max_attempts: u8,
    /// Failed deliveries in a row within 72 h that switch a postback off; `None`: never.
    pub deactivates_after: Option<usize>,
    /// Whether the reports show a row for each try in place of one row that changes.
    pub rows_per_attempt: bool,
    /// Requests that one window of 30 s allows.
    pub requests_per_window: u32,
    /// Requests to the reports that may run at once.
    pub concurrent_reports: usize,
    /// Whether exports are compressed for clients that accept it.
    pub gzip: bool,
    /// An exact history in place of a drawn one.
    pub fixed: Option<Fixed>,
}

/// A history of exactly so many deliveries, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    pub deliveries: usize,
    /// How many of them have failed once and wait for their first retry at the start.
    pub failing: usize,
}

/// One scripted thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    pub kind: IncidentKind,
    /// After the scenario's start.
    #[serde(deserialize_with = "duration::one")]
    pub starts: Duration,
    /// Left out: to the end of time.
    #[serde(default, deserialize_with = "duration::maybe")]
    pub lasts: Option<Duration>,
    pub target: Target,
    /// Share of each postback's tries that it hits, evenly spread: below 0.9 no
    /// postback fails ten times in a row.
    #[serde(default = "whole")]
    pub share: f64,
}

fn whole() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// TLS fails: the certificate has run out.
    ExpiredCertificate,
    /// 404 from an endpoint that was moved.
    MovedEndpoint,
    /// 403 from a bot wall.
    BotChallenge,
    /// Timeouts and 503s.
    Brownout,
    /// Answers 200 to a payload with an unreplaced macro or an empty click id.
    WrongMacro,
    /// 401 until the network switches the postback off; on again at the end.
    Deactivation,
    /// Connections refused on every host of a hosting company.
    HostingOutage,
    /// The host's name is gone.
    DnsGone,
    /// 400 to each try of what fires meanwhile, its later retries included.
    MissingParameter,
    /// Nothing fires, or less: there is no traffic.
    Silence,
}

/// Whom an incident hits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The tracker of one affiliate; for a deactivation its busiest postback alone.
    Affiliate(u64),
    Postback(u64),
    Host(String),
    /// Every host below this domain.
    Hosting(String),
    /// What fires for one offer, of whatever postback.
    Offer(u64),
    /// Everything that is fired at a URL.
    Network,
}

/// The hosting company that several small partners share.
pub const SHARED_HOSTING: &str = "sharedtrack.example";

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario::quiet(1)
    }
}

impl Scenario {
    /// Moderate traffic, ordinary failures, no incident.
    pub fn quiet(seed: u64) -> Scenario {
        Scenario {
            seed,
            deliveries_per_day: 20_000.0,
            history: minutes(60),
            offers: 12,
            affiliates: 24,
            shared_tracker: false,
            base_failure_rate: 0.03,
            retry_failure_rate: 0.2,
            stubborn_share: 0.02,
            incidents: Vec::new(),
            api_key: "simulated-key".into(),
            affiliate_api_key: "affiliate-key".into(),
            lateness: Duration::from_secs(8),
            delay: Duration::ZERO,
            ends_after: None,
            retry_schedule: [1, 5, 15, 60, 120, 240, 360, 480].map(minutes).into(),
            max_attempts: 10,
            deactivates_after: Some(10),
            rows_per_attempt: false,
            requests_per_window: 900,
            concurrent_reports: 10,
            gzip: true,
            fixed: None,
        }
    }

    /// Lively traffic and every kind of incident within one hour; all are over
    /// after 42 minutes, so that the rest of the hour proves the cures.
    pub fn demo(seed: u64) -> Scenario {
        Scenario {
            deliveries_per_day: 80_000.0,
            history: minutes(6 * 60),
            retry_schedule: [1, 3, 5, 10, 10, 15, 30, 60, 120].map(minutes).into(),
            delay: Duration::from_secs(15),
            incidents: demo_incidents(),
            ..Scenario::quiet(seed)
        }
    }

    /// Exactly `deliveries` in the hour before the start, `failing` of which have
    /// failed once and wait for their first retry; nothing new, nobody switched
    /// off, retries within seconds.
    pub fn fixed(seed: u64, deliveries: usize, failing: usize) -> Scenario {
        Scenario {
            fixed: Some(Fixed { deliveries, failing }),
            retry_schedule: [5, 10, 20, 30].map(Duration::from_secs).into(),
            lateness: Duration::ZERO,
            ends_after: Some(Duration::ZERO),
            deactivates_after: None,
            ..Scenario::quiet(seed)
        }
    }

    /// Reads a scenario; what it leaves out is as in [`Scenario::quiet`].
    pub fn from_yaml(text: &str) -> anyhow::Result<Scenario> {
        let scenario: Scenario = serde_saphyr::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!((1..=10_000).contains(&self.offers), "`offers` must be 1 to 10000");
        anyhow::ensure!((1..=10_000).contains(&self.affiliates), "`affiliates` must be 1 to 10000");
        anyhow::ensure!(!self.retry_schedule.is_empty(), "`retry_schedule` needs a duration");
        anyhow::ensure!(
            self.deliveries_per_day.is_finite() && self.deliveries_per_day >= 0.0,
            "`deliveries_per_day` must be a number from 0"
        );
        Ok(())
    }
}

fn demo_incidents() -> Vec<Incident> {
    use IncidentKind::*;
    let of = |kind, from, to, target, share| Incident {
        kind,
        starts: minutes(from),
        lasts: Some(minutes(to - from)),
        target,
        share,
    };
    vec![
        of(ExpiredCertificate, 2, 20, Target::Affiliate(2), 0.8),
        of(Deactivation, 4, 36, Target::Affiliate(4), 1.0),
        of(MovedEndpoint, 7, 26, Target::Affiliate(3), 0.8),
        of(Brownout, 11, 21, Target::Affiliate(1), 0.7),
        of(BotChallenge, 15, 34, Target::Affiliate(6), 0.8),
        of(WrongMacro, 19, 42, Target::Affiliate(5), 1.0),
        of(HostingOutage, 24, 38, Target::Hosting(SHARED_HOSTING.into()), 0.85),
    ]
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_over_the_quiet_one() {
        let scenario = Scenario::from_yaml(
            "seed: 7\nhistory: 2h\nends_after: 10m\nretry_schedule: [1s, 2s]\nincidents:\n  \
             - { kind: moved_endpoint, starts: 5m, lasts: 1h, target: { affiliate: 3 } }\n",
        )
        .expect("the text is a scenario");
        let incident = Incident {
            kind: IncidentKind::MovedEndpoint,
            starts: minutes(5),
            lasts: Some(minutes(60)),
            target: Target::Affiliate(3),
            share: 1.0,
        };
        let expected = Scenario {
            history: minutes(120),
            ends_after: Some(minutes(10)),
            retry_schedule: vec![Duration::from_secs(1), Duration::from_secs(2)],
            incidents: vec![incident],
            ..Scenario::quiet(7)
        };
        assert_eq!(scenario, expected);
    }

    #[test]
    fn mistakes_in_a_scenario_are_told() {
        for (text, told) in [
            ("sede: 7", "sede"),
            ("history: 5", "write `10s`"),
            ("offers: 0", "`offers` must be"),
            ("retry_schedule: []", "`retry_schedule` needs"),
        ] {
            let error = Scenario::from_yaml(text).expect_err(text).to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
