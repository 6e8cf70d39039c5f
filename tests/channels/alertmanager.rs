//! Alertmanager, the real one where it is installed, and a server that fails as it is told.

use std::time::Duration;

use postwatch::channel::alertmanager::told::{Standing, Told, after, still};
use postwatch::channel::{Alertmanager, AlertmanagerOptions, Channel, SendError, Sent, Thread};
use postwatch::domain::notify::{AlertFacts, AlertStatus, Notice, NoticeReason};
use postwatch::domain::rules::Severity;
use postwatch::domain::time::Timestamp;
use serde_json::Value;

use crate::page;
use crate::support::alertmanager::RealAlertmanager;
use crate::support::sink::{Meets, Sink};
use crate::support::{notices, tls};

fn channel(urls: &[&str]) -> Channel {
    tls();
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    Channel::Alertmanager(Alertmanager::new(AlertmanagerOptions { urls }).expect("addresses"))
}

/// A notice of one alert that began a quarter of an hour before `now`.
fn notice(now: Timestamp, severity: Severity, status: AlertStatus) -> Notice {
    let began_at = now - Duration::from_secs(900);
    let alert = AlertFacts { severity, status, began_at, fired_at: began_at, ..notices::failing() };
    Notice { created_at: now, ..notices::notice(NoticeReason::First, vec![alert]) }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_second())
}

fn told(sent: Result<Sent, SendError>) -> Vec<Told> {
    match sent.map(|sent| sent.thread) {
        Ok(Some(Thread::Alertmanager { told })) => told,
        other => panic!("{other:?}"),
    }
}

/// `severity: firing` or `severity: ended`, in order.
fn shown<'a>(
    alerts: impl IntoIterator<Item = &'a postwatch::channel::render::labelled::Labelled>,
) -> String {
    let shown = alerts.into_iter().map(|alert| {
        let state = if alert.ends_at.is_some() { "ended" } else { "firing" };
        format!("{} {state}", alert.labels["severity"])
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    shown.join(", ")
}

#[test]
fn what_is_held_back_stands_there_as_it_was_told() {
    let firing = notice(now(), Severity::Warning, AlertStatus::Firing);
    let told = after(&[], &firing);
    let mut later =
        notice(now() + Duration::from_secs(300), Severity::Warning, AlertStatus::Firing);
    later.alerts[0].held_back = Some("Silenced.".to_owned());
    assert_eq!(after(&told, &later), told);
}

#[test]
fn an_escalation_ends_the_old_severity_and_fires_the_new_one() {
    let at = |minute: i64| Timestamp(notices::BEGAN.0 + minute * 60);
    let warning = notice(at(0), Severity::Warning, AlertStatus::Firing);
    let critical = notice(at(5), Severity::Critical, AlertStatus::Firing);
    let ended = AlertStatus::Resolved { resolved_at: at(9) };
    let resolved = notice(at(10), Severity::Critical, ended);
    let check = |before: &[Told], notice: &Notice, expected: &str| {
        let told = after(before, notice);
        assert_eq!(shown(told.iter().map(|told| &told.alert)), expected);
        told
    };
    let told = check(&[], &warning, "warning firing");
    // A repeat, as after an answer that was lost, changes nothing.
    assert_eq!(check(&told, &warning, "warning firing"), told);
    let told = check(&told, &critical, "critical firing, warning ended");
    let told = check(&told, &resolved, "critical ended, warning ended");
    // Long after, what ended is forgotten.
    let again = notice(at(40), Severity::Warning, AlertStatus::Firing);
    check(&told, &again, "warning firing");
    // What a notice leaves out goes on as it was.
    let empty = Notice { alerts: Vec::new(), ..again };
    check(&after(&[], &warning), &empty, "warning firing");
}

#[test]
fn what_fires_is_told_again_and_an_end_for_a_quarter_of_an_hour() {
    let at = |minute: i64| Timestamp(notices::BEGAN.0 + minute * 60);
    let fired = after(&[], &notice(at(0), Severity::Warning, AlertStatus::Firing));
    let ended = AlertStatus::Resolved { resolved_at: at(9) };
    let resolved = after(&fired, &notice(at(10), Severity::Warning, ended));
    let standing = |told: &[Told], finished_at| Standing { told: told.to_vec(), finished_at };
    let check = |standing: &[Standing], minute, expected: &str| {
        assert_eq!(shown(&still(at(minute), standing)), expected, "{minute} min");
    };
    check(&[standing(&fired, None)], 1, "warning firing");
    check(&[standing(&fired, None)], 10_000, "warning firing");
    check(&[standing(&resolved, Some(at(10)))], 11, "warning ended");
    check(&[standing(&resolved, Some(at(10)))], 24, "warning ended");
    check(&[standing(&resolved, Some(at(10)))], 25, "");
    // A batch that is gone, and whose end never arrived, has ended.
    check(&[standing(&fired, Some(at(30)))], 31, "warning ended");
    check(&[standing(&fired, Some(at(30)))], 45, "");
    // It fires anew, in another batch: that end is no longer true.
    let anew = after(&[], &notice(at(12), Severity::Warning, AlertStatus::Firing));
    let both = [standing(&resolved, Some(at(10))), standing(&anew, None)];
    check(&both, 13, "warning firing");
    // It is told by one batch what another began, as where messages are joined.
    let both = [standing(&fired, None), standing(&resolved, None)];
    check(&both, 11, "warning ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_follows_an_alert_to_its_end() {
    let Some(server) = RealAlertmanager::start().await else { return };
    let am = channel(&[&server.url]);
    let send = async |notice: &Notice, told: &[Told]| {
        let thread = Thread::Alertmanager { told: told.to_vec() };
        am.send(notice, Some(&thread), &page()).await
    };
    let severities = async || {
        let alerts = server.alerts().await;
        let of = |alert: &Value| alert["labels"]["severity"].as_str().unwrap_or("?").to_owned();
        alerts.iter().map(of).collect::<Vec<_>>()
    };
    let warned = told(send(&notice(now(), Severity::Warning, AlertStatus::Firing), &[]).await);
    let alerts = server.alerts().await;
    let [alert] = &alerts[..] else { panic!("{alerts:?}") };
    assert_eq!(alert["labels"]["alertname"], "partner-endpoint-failing");
    assert_eq!(alert["labels"]["source"], "acme");
    assert_eq!(alert["generatorURL"], "http://127.0.0.1:9467/");
    assert!(alert["annotations"]["summary"].as_str().is_some_and(|text| text.contains("83 %")));
    // Told by its own end, it is believed for some minutes.
    let ends_at: jiff::Timestamp =
        alert["endsAt"].as_str().unwrap_or_default().parse().expect("a moment");
    let believed = ends_at.as_second() - now().0;
    assert!((200..=300).contains(&believed), "{believed} s");
    let escalated = notice(now(), Severity::Critical, AlertStatus::Firing);
    let escalated = told(send(&escalated, &warned).await);
    assert_eq!(severities().await, ["critical"]);
    let standing = Standing { told: escalated.clone(), finished_at: None };
    am.restate(now(), std::slice::from_ref(&standing), &page()).await.expect("it is taken");
    assert_eq!(severities().await, ["critical"]);
    let ended = AlertStatus::Resolved { resolved_at: now() - Duration::from_secs(2) };
    let ended = told(send(&notice(now(), Severity::Critical, ended), &escalated).await);
    assert_eq!(severities().await, Vec::<String>::new());
    // A member that was away while it fired and ended hears nothing that is not so.
    let standing = Standing { told: ended, finished_at: Some(now()) };
    am.restate(now(), std::slice::from_ref(&standing), &page()).await.expect("it is taken");
    assert_eq!(severities().await, Vec::<String>::new());
    for text in notices::nasty().chain(["x<&\"".repeat(10_000)]) {
        let sent = am.send(&notices::hostile(&text), None, &page()).await;
        assert!(sent.is_ok(), "{text:?}: {sent:?}");
    }
    let found = am.probe().await.expect("it is there");
    assert!(found.starts_with("Alertmanager \"0."), "{found}");
}

#[tokio::test]
async fn every_member_of_a_cluster_is_told_and_one_that_is_down_holds_up_nothing() {
    let (one, other) = (Sink::start().await, Sink::start().await);
    let am = channel(&[&one.url, &format!("{}/prefix/", other.url), "http://127.0.0.1:1"]);
    let first = notice(now(), Severity::Warning, AlertStatus::Firing);
    let sent = am.send(&first, None, &page()).await.expect("two take it");
    assert_eq!(sent.answer.as_deref(), Some("2 of 3 took it"));
    assert_eq!(one.requests()[0].line, "POST /api/v2/alerts");
    assert_eq!(other.requests()[0].line, "POST /prefix/api/v2/alerts");
    assert_eq!(one.requests()[0].body, other.requests()[0].body);
    // What the member that was down missed is told again with the rest.
    let standing = Standing { told: told(Ok(sent)), finished_at: None };
    one.then([Meets::Answer("503 Busy")]);
    am.restate(now(), &[standing], &page()).await.expect("one takes it");
    assert_eq!(other.requests()[1].json()[0]["labels"], one.requests()[0].json()[0]["labels"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_slow_takes_nothing_from_one_that_is_not() {
    let (well, slow) = (Sink::start().await, Sink::start().await);
    // Each request in time, all of them together too late.
    slow.then([9, 9, 9, 9].map(|seconds| Meets::Slow(Duration::from_secs(seconds))));
    let am = channel(&[&well.url, &slow.url]);
    let sent = am.send(&notices::many(2_000), None, &page()).await.expect("one took it");
    assert_eq!(sent.answer.as_deref(), Some("1 of 2 took it"));
    assert_eq!(well.requests().len(), 4);
    // Nobody else took it: it is tried again.
    slow.then([9, 9, 9, 9].map(|seconds| Meets::Slow(Duration::from_secs(seconds))));
    let error = channel(&[&slow.url]).send(&notices::many(2_000), None, &page()).await;
    assert_eq!(error.expect_err("it was too slow").reason(), "timeout");
}

#[tokio::test]
async fn where_no_member_takes_it_the_outbox_hears_why() {
    let check = async |answers: [&'static str; 2], is_permanent: bool| {
        let (one, other) = (Sink::start().await, Sink::start().await);
        one.then([Meets::Answer(answers[0])]);
        other.then([Meets::Answer(answers[1])]);
        let sent = channel(&[&one.url, &other.url]).send(&notices::critical(), None, &page()).await;
        let error = sent.expect_err("both refuse it");
        assert_eq!(matches!(error, SendError::Permanent { .. }), is_permanent, "{error:?}");
    };
    check(["400 No", "400 No"], true).await;
    check(["400 No", "503 Busy"], false).await;
    check(["500 Oh", "404 No"], false).await;
}

#[tokio::test]
async fn two_thousand_alerts_come_in_whole_requests() {
    let sink = Sink::start().await;
    channel(&[&sink.url]).send(&notices::many(2_000), None, &page()).await.expect("it is taken");
    let told = sink
        .requests()
        .iter()
        .map(|request| request.json().as_array().map_or(0, Vec::len))
        .collect::<Vec<_>>();
    assert_eq!(told, [500; 4]);
}

#[tokio::test]
async fn a_probe_tells_an_alertmanager_from_something_else() {
    let sink = Sink::start().await;
    let error = channel(&[&sink.url]).probe().await.expect_err("it is no Alertmanager");
    assert!(error.to_string().contains("not as an Alertmanager"), "{error}");
    assert_eq!(sink.requests()[0].line, "GET /api/v2/status");
}
