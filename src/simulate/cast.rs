//! Who takes part in the simulated network: offers, affiliates and their
//! postbacks. Drawn once from the seed; never changes afterwards.

use fastrand::Rng;

use super::chance::{Popularity, Purpose, draw};
use super::scenario::{SHARED_HOSTING, Scenario};

/// What sets a postback off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    Conversion,
    Event,
    Click,
}

impl Trigger {
    /// The share of all arrivals that are of this kind.
    pub(super) fn share(self) -> f64 {
        match self {
            Trigger::Conversion => 0.7,
            Trigger::Event => 0.2,
            Trigger::Click => 0.1,
        }
    }
}

#[derive(Debug)]
pub(super) struct Party {
    pub id: u64,
    pub name: String,
}

/// A configured postback. Affiliate and offer are places in the cast.
#[derive(Debug)]
pub(super) struct Postback {
    pub id: u64,
    /// `None`: fires for every affiliate (`global_offer`).
    pub affiliate: Option<u16>,
    /// `None`: fires for every offer (`global`).
    pub offer: Option<u16>,
    pub method: &'static str,
    pub trigger: Trigger,
    /// The network's word for the trigger; two spellings of events occur.
    pub pixel_type: &'static str,
    pub host: String,
    pub template: String,
    pub delay_seconds: u32,
}

impl Postback {
    pub(super) fn level(&self) -> &'static str {
        match (self.affiliate, self.offer) {
            (None, _) => "global_offer",
            (Some(_), Some(_)) => "specific",
            (Some(_), None) => "global",
        }
    }

    /// Whether its payload is a URL and failures in a row switch it off.
    pub(super) fn is_url(&self) -> bool {
        self.method == "postback"
    }
}

#[derive(Debug)]
pub(super) struct Cast {
    pub offers: Vec<Party>,
    pub affiliates: Vec<Party>,
    pub postbacks: Vec<Postback>,
    pub offer_popularity: Popularity,
    pub affiliate_popularity: Popularity,
    by_affiliate: Vec<Vec<u32>>,
    by_offer: Vec<Vec<u32>>,
}

const FIRST_POSTBACK: u64 = 101;
const ADJECTIVES: [&str; 20] = [
    "Blue", "North", "Prime", "Rapid", "Silver", "Bright", "Urban", "Solar", "Golden", "Lunar",
    "Clear", "Vivid", "Amber", "Royal", "Swift", "Quiet", "Grand", "Noble", "Lucky", "Coral",
];
const NOUNS: [&str; 20] = [
    "Media", "Leads", "Reach", "Traffic", "Growth", "Clicks", "Bridge", "Harbor", "Signal", "Wave",
    "Peak", "Forge", "Nest", "Orbit", "Pulse", "River", "Stone", "Field", "Spark", "Trail",
];
const PRODUCTS: [&str; 10] = [
    "Credit Card",
    "VPN",
    "Meal Kit",
    "Car Insurance",
    "Language App",
    "Broker",
    "Mattress",
    "Energy Plan",
    "Dating",
    "Web Hosting",
];
/// Click-id macro, transaction and `{sub5}` are in each: incidents need them.
const TEMPLATES: [&str; 5] = [
    "/postback?cid={sub1}&tid={transaction_id}&payout={payout_amount}&s5={sub5}",
    "/pb?click_id={sub1}&txid={transaction_id}&offer={offer_id}&token=9f8e7d6c5b4a&src={sub5}",
    "/conversion.php?clickid={sub1}&amount={payout_amount}&email={email}&tx={transaction_id}&sub={sub5}",
    "/api/v2/s2s?subid={sub1}&transaction={transaction_id}&goal={event_id}&p={payout_amount}&x={sub5}",
    "/aff_lsr?aff_click={sub1}&transaction_id={transaction_id}&aff={affiliate_id}&s5={sub5}",
];

impl Cast {
    pub(super) fn draw(scenario: &Scenario) -> Cast {
        let mut rng = draw(scenario.seed, Purpose::Cast, 0);
        let affiliates = draw_affiliates(scenario.affiliates, &mut rng);
        let offers = draw_offers(scenario.offers, &mut rng);
        let offer_popularity = Popularity::of(offers.len(), 0.8);
        let mut maker = Maker { scenario, postbacks: Vec::new(), rng };
        for (place, affiliate) in affiliates.iter().enumerate() {
            maker.of_affiliate(place, affiliate, &offer_popularity);
        }
        maker.of_offers();
        let postbacks = maker.postbacks;
        Cast {
            by_affiliate: index(affiliates.len(), &postbacks, |postback| postback.affiliate),
            by_offer: index(offers.len(), &postbacks, |postback| match postback.affiliate {
                None => postback.offer,
                Some(_) => None,
            }),
            affiliate_popularity: Popularity::of(affiliates.len(), 0.8),
            offer_popularity,
            offers,
            affiliates,
            postbacks,
        }
    }

    /// The postbacks that `trigger` of this affiliate on this offer sets off.
    pub(super) fn matching(
        &self,
        trigger: Trigger,
        affiliate: usize,
        offer: usize,
    ) -> impl Iterator<Item = u32> {
        let all = self.by_affiliate[affiliate].iter().chain(&self.by_offer[offer]).copied();
        all.filter(move |&place| {
            let postback = &self.postbacks[place as usize];
            postback.trigger == trigger
                && postback.offer.is_none_or(|wanted| usize::from(wanted) == offer)
        })
    }

    /// How many deliveries one arrival makes in the mean.
    pub(super) fn fan_out(&self) -> f64 {
        let of = |postback: &Postback| {
            let affiliate =
                postback.affiliate.map_or(1.0, |it| self.affiliate_popularity.share(it.into()));
            let offer = postback.offer.map_or(1.0, |it| self.offer_popularity.share(it.into()));
            postback.trigger.share() * affiliate * offer
        };
        self.postbacks.iter().map(of).sum()
    }

    /// The place of the postback with this id.
    pub(super) fn place_of(&self, id: u64) -> Option<usize> {
        let place = usize::try_from(id.checked_sub(FIRST_POSTBACK)?).ok()?;
        (place < self.postbacks.len()).then_some(place)
    }
}

fn index(
    count: usize,
    postbacks: &[Postback],
    key: impl Fn(&Postback) -> Option<u16>,
) -> Vec<Vec<u32>> {
    let mut places = vec![Vec::new(); count];
    for (place, postback) in postbacks.iter().enumerate() {
        if let Some(owner) = key(postback) {
            places[usize::from(owner)].push(place as u32);
        }
    }
    places
}

fn draw_affiliates(count: usize, rng: &mut Rng) -> Vec<Party> {
    let mut names: Vec<String> = ADJECTIVES
        .iter()
        .flat_map(|adjective| NOUNS.iter().map(move |noun| format!("{adjective} {noun}")))
        .collect();
    rng.shuffle(&mut names);
    let name = |place: usize| match place / names.len() {
        0 => names[place].clone(),
        round => format!("{} {}", names[place % names.len()], round + 1),
    };
    (0..count).map(|place| Party { id: place as u64 + 1, name: name(place) }).collect()
}

fn draw_offers(count: usize, rng: &mut Rng) -> Vec<Party> {
    let countries = ["US", "DE", "UK", "FR", "BR", "JP"];
    let mut name = |place: usize| {
        let country = countries[rng.usize(..countries.len())];
        format!("{} {country} {}", PRODUCTS[place % PRODUCTS.len()], place + 1)
    };
    (0..count).map(|place| Party { id: place as u64 + 11, name: name(place) }).collect()
}

/// Makes the postbacks, one after the other.
struct Maker<'a> {
    scenario: &'a Scenario,
    postbacks: Vec<Postback>,
    rng: Rng,
}

impl Maker<'_> {
    fn of_affiliate(&mut self, place: usize, affiliate: &Party, offers: &Popularity) {
        let owner = Some(place as u16);
        let host = self.host_of(place, affiliate);
        // The first one of an affiliate is its busiest: a scripted deactivation hits it.
        self.add(owner, None, "postback", Trigger::Conversion, &host);
        if self.rng.f64() < 0.5 {
            self.add(owner, None, "postback", Trigger::Event, &host);
        }
        if self.rng.f64() < 0.4 {
            let offer = Some(offers.pick(&mut self.rng) as u16);
            self.add(owner, offer, "postback", Trigger::Conversion, &host);
        }
        if self.rng.f64() < 0.25 {
            self.add(owner, None, "postback", Trigger::Click, &host);
        }
        if self.rng.f64() < 0.2 {
            let others = ["html", "facebook", "tiktok", "snapchat", "rumble"];
            let method = others[self.rng.usize(..others.len())];
            self.add(owner, None, method, Trigger::Conversion, &host);
        }
    }

    /// Every sixth offer has a postback that fires for all affiliates.
    fn of_offers(&mut self) {
        for offer in (0..self.scenario.offers).step_by(6) {
            let host = "s2s.offer-analytics.example";
            self.add(None, Some(offer as u16), "postback", Trigger::Conversion, host);
        }
    }

    /// The smaller partners share a hosting company, every third of them.
    fn host_of(&mut self, place: usize, affiliate: &Party) -> String {
        let name = affiliate.name.to_lowercase().replace(' ', "-");
        if place >= self.scenario.affiliates / 3 && place.is_multiple_of(3) {
            let label = if self.scenario.shared_tracker { "go" } else { &name };
            return format!("{label}.{SHARED_HOSTING}");
        }
        let label = ["track", "postback", "s2s", "trk"][self.rng.usize(..4)];
        format!("{label}.{name}.example")
    }

    fn add(
        &mut self,
        affiliate: Option<u16>,
        offer: Option<u16>,
        method: &'static str,
        trigger: Trigger,
        host: &str,
    ) {
        let place = self.postbacks.len();
        let pixel_type = match trigger {
            Trigger::Conversion => "conversion",
            Trigger::Click => "cpc",
            Trigger::Event => ["event", "post_conversion"][place % 2],
        };
        let delay_seconds = self.delay(place);
        self.postbacks.push(Postback {
            id: FIRST_POSTBACK + place as u64,
            affiliate,
            offer,
            method,
            trigger,
            pixel_type,
            host: host.to_owned(),
            template: template(method, host, affiliate.unwrap_or(0)),
            delay_seconds,
        });
    }

    fn delay(&mut self, place: usize) -> u32 {
        let longest = self.scenario.delay.as_secs().min(300) as u32;
        if place % 8 == 7 { self.rng.u32(0..=longest) } else { 0 }
    }
}

fn template(method: &str, host: &str, affiliate: u16) -> String {
    match method {
        "postback" => {
            let path = TEMPLATES[usize::from(affiliate) % TEMPLATES.len()];
            format!("https://{host}{path}")
        }
        "html" => format!(
            "<img src=\"https://{host}/p.gif?cid={{sub1}}&tid={{transaction_id}}\" width=\"1\" height=\"1\">"
        ),
        _ => "{\"event_name\":\"Purchase\",\"event_id\":\"{transaction_id}\",\"external_id\":\"{sub1}\"}"
            .to_owned(),
    }
}
