//! How the endpoints are at a moment: what one try meets there. Ordinary
//! failures and the script's incidents; knows nothing of deliveries' lives.

use fastrand::Rng;

use super::cast::{Cast, Postback};
use super::reason::{Defect, Reason};
use super::scenario::{Incident, IncidentKind, Scenario, Target};

/// An incident with its moments counted like the model's and its target looked up.
#[derive(Debug)]
struct Plan {
    kind: IncidentKind,
    /// The place of the one offer that it hits.
    offer: Option<usize>,
    begins: u32,
    ends: u32,
    share: f64,
    /// By the postback's place: `None` is not hit; else the part of a hit that
    /// has gathered, so that hits are spread evenly over a postback's tries.
    gathered: Vec<Option<f64>>,
}

#[derive(Debug)]
pub(super) struct Health {
    plans: Vec<Plan>,
    base: f64,
    again: f64,
    stubborn: f64,
}

/// Which of a delivery's tries it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    /// After a try that failed for this reason.
    Retry(Reason),
}

/// What a delivery that never gets through is answered.
const STUBBORN: Reason = Reason::Http(400);

impl Health {
    /// `start` is the scenario's start as the model counts seconds.
    pub(super) fn of(scenario: &Scenario, cast: &Cast, start: u32) -> Health {
        Health {
            plans: scenario.incidents.iter().map(|it| Plan::of(it, cast, start)).collect(),
            base: scenario.base_failure_rate,
            again: scenario.retry_failure_rate,
            stubborn: scenario.stubborn_share,
        }
    }

    /// What a try at `at` meets: `None` is a success.
    pub(super) fn meet(
        &mut self,
        at: u32,
        (place, offer): (usize, usize),
        postback: &Postback,
        turn: Turn,
        rng: &mut Rng,
    ) -> Option<Reason> {
        let incident = self
            .plans
            .iter_mut()
            .filter(|plan| {
                plan.kind != IncidentKind::Silence && plan.covers(at) && plan.is_of_offer(offer)
            })
            .find_map(|plan| plan.hit(place).then(|| plan.reason(rng)).flatten());
        incident.or_else(|| self.ordinary(postback, turn, rng))
    }

    fn ordinary(&self, postback: &Postback, turn: Turn, rng: &mut Rng) -> Option<Reason> {
        let rate = match turn {
            Turn::Retry(STUBBORN) => return Some(STUBBORN),
            Turn::First => self.base,
            Turn::Retry(_) => self.again,
        };
        if postback.method == "html" || rng.f64() >= rate {
            return None;
        }
        if turn == Turn::First && rng.f64() < self.stubborn {
            return Some(STUBBORN);
        }
        Some(passing_reason(rng))
    }

    /// The payload's defect at `at`, if an incident brings one.
    pub(super) fn defect(&self, at: u32, place: usize, rng: &mut Rng) -> Defect {
        let wrong = |plan: &Plan| {
            plan.kind == IncidentKind::WrongMacro && plan.covers(at) && plan.targets(place)
        };
        match self.plans.iter().any(wrong) {
            true => match rng.u8(0..3) {
                0 => Defect::Macro,
                1 => Defect::EncodedMacro,
                _ => Defect::EmptyClickId,
            },
            false => Defect::None,
        }
    }

    /// Whether what would fire this postback for this offer does not happen at all.
    pub(super) fn is_silent(&mut self, at: u32, place: usize, offer: usize) -> bool {
        self.plans.iter_mut().any(|plan| {
            plan.kind == IncidentKind::Silence
                && plan.covers(at)
                && plan.is_of_offer(offer)
                && plan.hit(place)
        })
    }

    /// When which postbacks are switched on again by the script.
    pub(super) fn reactivations(&self) -> Vec<(u32, usize)> {
        let ends = |plan: &Plan| plan.kind == IncidentKind::Deactivation && plan.ends != u32::MAX;
        let plans = self.plans.iter().filter(|plan| ends(plan));
        plans
            .flat_map(|plan| {
                let places = (0..plan.gathered.len()).filter(|&place| plan.targets(place));
                places.map(|place| (plan.ends, place))
            })
            .collect()
    }
}

impl Plan {
    fn of(incident: &Incident, cast: &Cast, start: u32) -> Plan {
        let begins = start.saturating_add(incident.starts.as_secs() as u32);
        let ends = incident.lasts.map_or(u32::MAX, |it| begins.saturating_add(it.as_secs() as u32));
        let mut gathered: Vec<Option<f64>> =
            cast.postbacks.iter().map(|it| is_target(incident, cast, it).then_some(0.0)).collect();
        if incident.kind == IncidentKind::Deactivation {
            let first = gathered.iter().position(Option::is_some);
            gathered.iter_mut().skip(first.map_or(0, |it| it + 1)).for_each(|it| *it = None);
        }
        let offer = match &incident.target {
            Target::Offer(id) => cast.offers.iter().position(|offer| offer.id == *id),
            Target::Affiliate(_)
            | Target::Postback(_)
            | Target::Host(_)
            | Target::Hosting(_)
            | Target::Network => None,
        };
        Plan { kind: incident.kind, offer, begins, ends, share: incident.share, gathered }
    }

    fn covers(&self, at: u32) -> bool {
        (self.begins..self.ends).contains(&at)
    }

    fn is_of_offer(&self, offer: usize) -> bool {
        self.offer.is_none_or(|only| only == offer)
    }

    fn targets(&self, place: usize) -> bool {
        self.gathered[place].is_some()
    }

    fn hit(&mut self, place: usize) -> bool {
        let Some(gathered) = &mut self.gathered[place] else { return false };
        *gathered += self.share;
        // A hair below one, for shares that are no sum of halves.
        let hit = *gathered > 0.999_999;
        if hit {
            *gathered -= 1.0;
        }
        hit
    }

    fn reason(&self, rng: &mut Rng) -> Option<Reason> {
        match self.kind {
            IncidentKind::ExpiredCertificate => Some(Reason::Tls),
            IncidentKind::MovedEndpoint => Some(Reason::Http(404)),
            IncidentKind::BotChallenge => Some(Reason::Challenge),
            IncidentKind::Brownout if rng.f64() < 0.6 => Some(Reason::Timeout),
            IncidentKind::Brownout => Some(Reason::Http(503)),
            IncidentKind::WrongMacro | IncidentKind::Silence => None,
            IncidentKind::MissingParameter => Some(STUBBORN),
            IncidentKind::Deactivation => Some(Reason::Http(401)),
            IncidentKind::HostingOutage => Some(Reason::Refused),
            IncidentKind::DnsGone => Some(Reason::Dns),
        }
    }
}

fn is_target(incident: &Incident, cast: &Cast, postback: &Postback) -> bool {
    let owner = postback.affiliate.map(|place| cast.affiliates[usize::from(place)].id);
    (postback.is_url() || incident.kind == IncidentKind::Silence)
        && match &incident.target {
            Target::Affiliate(id) => owner == Some(*id),
            Target::Offer(id) => cast.offers.iter().any(|offer| offer.id == *id),
            Target::Network => true,
            Target::Postback(id) => postback.id == *id,
            Target::Host(host) => postback.host == *host,
            Target::Hosting(domain) => {
                postback.host.strip_suffix(domain.as_str()).is_some_and(|it| it.ends_with('.'))
            }
        }
}

/// A reason of the kind that retries cure.
pub(super) fn passing_reason(rng: &mut Rng) -> Reason {
    match rng.u8(0..100) {
        0..45 => Reason::Timeout,
        45..65 => Reason::Http(503),
        65..75 => Reason::Http(500),
        75..85 => Reason::Http(502),
        85..90 => Reason::Http(429),
        _ => Reason::Reset,
    }
}
