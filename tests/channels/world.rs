//! One sender and four receivers of the same alerts: Slack, mail, a webhook and an
//! Alertmanager, each behind a proxy that fails as it is told. And what each of them
//! was told, read back from what it took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use postwatch::channel::{
    Alertmanager, AlertmanagerOptions, Channel, Email, EmailOptions, Slack, SlackOptions, Webhook,
    WebhookOptions,
};
use postwatch::domain::policy::{Route, Timing};
use postwatch::domain::rules::Glob;

use crate::support::alertmanager::RealAlertmanager;
use crate::support::exim::{self, Exim};
use crate::support::mime::Mime;
use crate::support::proxy::Proxy;
use crate::support::sender::{Sender, failing};
use crate::support::sink::Sink;
use crate::support::slack::{CHANNEL, FakeSlack, TOKEN};
use crate::support::tls;

/// Seconds of the sender's clock in a real one.
pub const SPEED: f64 = 60.0;

pub const RECEIVERS: [&str; 4] = ["slack", "mail", "hook", "am"];

/// Gets what the others cannot have.
pub const STAND_IN: &str = "stand-in";

/// The real servers; several worlds share them.
pub struct Servers {
    pub exim: Exim,
    pub alertmanager: RealAlertmanager,
}

impl Servers {
    /// None, with a printed line, where one of them is not installed.
    pub async fn start() -> Option<Arc<Servers>> {
        tls();
        let (exim, alertmanager) = (Exim::start()?, RealAlertmanager::start().await?);
        Some(Arc::new(Servers { exim, alertmanager }))
    }
}

pub struct World {
    pub sender: Sender,
    pub servers: Arc<Servers>,
    pub slack: FakeSlack,
    pub hook: Sink,
    pub stand_in: Sink,
    /// By receiver.
    pub proxies: BTreeMap<&'static str, Proxy>,
    /// The mail's recipient, and a label of each alert: what tells worlds apart.
    pub name: String,
}

/// A message as its receiver read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub id: String,
    /// The affiliate of its alerts: each batch has one.
    pub batch: u64,
    pub is_over: bool,
    /// The offers of its alerts.
    pub offers: Vec<u64>,
}

impl World {
    /// A world whose alerts go by this route.
    pub async fn start(servers: &Arc<Servers>, name: &str, route: Route) -> World {
        let (slack, hook, stand_in) =
            (FakeSlack::start().await, Sink::start().await, Sink::start().await);
        let upstreams = [
            address(&slack.api_url),
            format!("127.0.0.1:{}", servers.exim.port),
            address(&hook.url),
            address(&servers.alertmanager.url),
        ];
        let mut proxies = BTreeMap::new();
        for (receiver, upstream) in RECEIVERS.into_iter().zip(&upstreams) {
            proxies.insert(receiver, Proxy::before(upstream).await);
        }
        let mut channels = channels(&proxies, &servers.exim, name);
        channels.insert(STAND_IN.to_owned(), webhook(&stand_in.url));
        let mut rule = failing();
        rule.labels.insert("world".to_owned(), name.to_owned());
        let sender = Sender::start(rule, vec![route], channels, SPEED).await;
        let (servers, name) = (Arc::clone(servers), name.to_owned());
        World { sender, servers, slack, hook, stand_in, proxies, name }
    }

    /// The messages that a receiver took, in order, repeats included.
    pub fn told(&self, receiver: &str) -> Vec<Told> {
        match receiver {
            "slack" => slack_told(&self.slack),
            "mail" => mail_told(&self.servers.exim, &self.name),
            "hook" => webhook_told(&self.hook),
            STAND_IN => webhook_told(&self.stand_in),
            "am" => alertmanager_told(&self.proxies["am"]),
            other => panic!("{other} is no receiver"),
        }
    }

    /// Waits until each of them took so many messages.
    pub async fn until_sent(&self, receivers: &[&str], count: u64) {
        for receiver in receivers {
            let what = format!("{}: {receiver} took {count} messages", self.name);
            until(&what, || self.sender.sent(receiver) >= count).await;
        }
    }

    /// Waits until exim has delivered what it took.
    pub async fn until_delivered(&self, count: u64) {
        let delivered = || mails(&self.servers.exim, &self.name).len() as u64;
        until("the mails are delivered", || delivered() >= count).await;
    }

    /// Lets so much of the sender's time go by.
    pub async fn pass(&self, time: Duration) {
        self.sender.clock.sleep(time).await;
    }

    /// The places of this world that fire in the real Alertmanager.
    pub async fn firing_there(&self) -> usize {
        let alerts = self.servers.alertmanager.alerts().await;
        alerts.iter().filter(|alert| alert["labels"]["world"] == self.name.as_str()).count()
    }
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        looks.tick().await;
    }
}

/// A route to all four, with the default timing and batches.
pub fn route() -> Route {
    let matches = BTreeMap::from([("rule".to_owned(), vec![Glob("failing".to_owned())])]);
    let to = RECEIVERS.map(str::to_owned).into();
    Route { matches, to, fallback: Vec::new(), continue_: false, timing: Timing::default() }
}

/// The same with a batch for each affiliate, which waits for little.
pub fn route_by_affiliate() -> Route {
    let timing = Timing {
        batch_by: vec!["source".to_owned(), "affiliate".to_owned()],
        batch_wait: Duration::from_secs(10),
        min_gap: Duration::from_secs(10),
        ..Timing::default()
    };
    Route { timing, ..route() }
}

fn address(url: &str) -> String {
    let url: url::Url = url.parse().expect("our own address");
    format!("127.0.0.1:{}", url.port().expect("it has a port"))
}

pub fn webhook(url: &str) -> Channel {
    let options = WebhookOptions { url: format!("{url}/hook"), key: None };
    Channel::Webhook(Webhook::new(options).expect("the options are good"))
}

pub fn slack(api_url: &str) -> Channel {
    let options = SlackOptions {
        token: TOKEN.to_owned(),
        channel: CHANNEL.to_owned(),
        api_url: Some(api_url.to_owned()),
    };
    Channel::Slack(Slack::new(options).expect("the options are good"))
}

pub fn email(smtp: String, to: &str) -> Channel {
    let options = EmailOptions {
        smtp,
        from: "postwatch <alerts@example.com>".to_owned(),
        to: vec![format!("{to}@example.com")],
    };
    Channel::Email(Email::new(options).expect("the options are good"))
}

fn channels(
    proxies: &BTreeMap<&'static str, Proxy>,
    exim: &Exim,
    name: &str,
) -> BTreeMap<String, Channel> {
    let smtp = format!(
        "smtp://{}:p%40ss%2Fword+1@localhost:{}?ca={}",
        exim::USER,
        proxies["mail"].port,
        exim.authority()
    );
    let am = AlertmanagerOptions { urls: vec![proxies["am"].url()] };
    let am = Channel::Alertmanager(Alertmanager::new(am).expect("the options are good"));
    let channels = [
        ("slack", slack(&format!("{}/api", proxies["slack"].url()))),
        ("mail", email(smtp, name)),
        ("hook", webhook(&proxies["hook"].url())),
        ("am", am),
    ];
    channels.map(|(receiver, channel)| (receiver.to_owned(), channel)).into()
}

/// A message of a channel that people read: whom it names, and how it begins.
fn read(id: &str, headline: &str, text: &str) -> Told {
    let mut offers: Vec<u64> = numbers(text, "Offer ").collect();
    offers.sort_unstable();
    offers.dedup();
    let batch = numbers(text, "Partner ").next();
    let batch = batch.unwrap_or_else(|| panic!("it names nobody: {text}"));
    Told { id: id.to_owned(), batch, is_over: headline.contains("RESOLVED"), offers }
}

/// The numbers after each `word`.
fn numbers<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = u64> + 'a {
    text.split(word).skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

pub fn slack_told(slack: &FakeSlack) -> Vec<Told> {
    let posts = slack.calls().into_iter().filter(|call| call.method == "chat.postMessage");
    posts
        .map(|call| {
            let id = call.body["metadata"]["event_payload"]["id"].as_str().unwrap_or_default();
            let headline = call.body["text"].as_str().unwrap_or_default();
            read(id, headline, &call.body.to_string())
        })
        .collect()
}

/// The mails of the world of this name, in the order in which they were taken.
pub fn mails(exim: &Exim, name: &str) -> Vec<Mime> {
    let mails = exim.mails_to(&format!("{name}@example.com"));
    mails.iter().map(|mail| Mime::parse(mail)).collect()
}

fn mail_told(exim: &Exim, name: &str) -> Vec<Told> {
    let told = mails(exim, name)
        .into_iter()
        .map(|mail| read(mail.header("message-id"), mail.header("subject"), &mail.parts()[0].1));
    told.collect()
}

pub fn webhook_told(sink: &Sink) -> Vec<Told> {
    let told = sink.requests().into_iter().map(|request| {
        let body = request.json();
        let of = |label: &str| -> Vec<u64> {
            let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
            let values = alerts.iter().map(|alert| alert["labels"][label].as_str().map(str::parse));
            values.map(|value| value.expect("it is there").expect("an id")).collect()
        };
        let mut offers = of("offer");
        offers.sort_unstable();
        Told {
            id: request.header("webhook-id").to_owned(),
            batch: of("affiliate")[0],
            is_over: body["status"] == "resolved",
            offers,
        }
    });
    told.collect()
}

/// What the Alertmanager was told by each batch: it is told the same again and again,
/// which is no message. Panics where an end is taken back.
fn alertmanager_told(proxy: &Proxy) -> Vec<Told> {
    let now = jiff::Timestamp::now();
    let mut told: Vec<Told> = Vec::new();
    let mut ended = BTreeSet::new();
    for body in proxy.taken() {
        let alerts: Vec<serde_json::Value> = serde_json::from_str(&body).expect("alerts are JSON");
        for alert in alerts {
            let of = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
            let (batch, offer) = (of("affiliate"), of("offer"));
            let batch: u64 = batch.parse().expect("an id");
            let ends_at: jiff::Timestamp =
                alert["endsAt"].as_str().unwrap_or_default().parse().expect("a moment");
            let is_over = ends_at < now;
            assert!(is_over || !ended.contains(&(batch, offer.clone())), "it fires again: {alert}");
            if is_over {
                ended.insert((batch, offer.clone()));
            }
            let place = told.iter().position(|one| (one.batch, one.is_over) == (batch, is_over));
            let place = place.unwrap_or_else(|| {
                told.push(Told { id: String::new(), batch, is_over, offers: Vec::new() });
                told.len() - 1
            });
            let offer = offer.parse().expect("an id");
            if !told[place].offers.contains(&offer) {
                told[place].offers.push(offer);
            }
        }
    }
    told.iter_mut().for_each(|one| one.offers.sort_unstable());
    told
}
