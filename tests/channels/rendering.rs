//! The text of messages: what a person woken at night reads.

use postwatch::channel::render::{self, Tone, blocks, html, own_words, plain};
use postwatch::domain::notify::wording::Wording;
use postwatch::domain::notify::{AlertFacts, AlertStatus, Notice, NoticeReason};
use postwatch::domain::policy::DeactivationCounts;
use postwatch::domain::rules::Severity;
use postwatch::domain::time::Timestamp;
use postwatch::domain::window::in_a_row::{InARow, Stand};
use postwatch::domain::window::streak::Bounds;

use crate::page;
use crate::support::notices::{self, BEGAN};

const ENDED: Timestamp = Timestamp(BEGAN.0 + 1500);

fn plain_text(notice: &Notice) -> String {
    plain::text(&render::compose(notice, &page()))
}

fn with(status: AlertStatus) -> AlertFacts {
    AlertFacts { status, ..notices::failing() }
}

#[test]
fn the_first_line_does_alone() {
    let check = |reason, alerts: Vec<AlertFacts>, expected: &str| {
        let notice = notices::notice(reason, alerts);
        assert_eq!(plain_text(&notice).lines().next(), Some(expected));
    };
    let what = "Acme Media (7): trk.acme.example fails 83 % of postbacks (tls)";
    let firing = || with(AlertStatus::Firing);
    let cured = || with(AlertStatus::Resolved { resolved_at: ENDED });
    use NoticeReason::{Escalated, First, NewAlerts, Reminder, Resolved};
    check(First, vec![firing()], &format!("CRITICAL: {what}"));
    check(First, vec![firing(), firing()], &format!("CRITICAL: {what} (+1 more)"));
    check(Escalated, vec![firing()], &format!("ESCALATED to CRITICAL: {what}"));
    check(NewAlerts, vec![firing(); 3], &format!("CRITICAL, 3 alerts now: {what} (+2 more)"));
    check(Reminder, vec![firing()], &format!("STILL CRITICAL: {what}, for 8 min"));
    check(Resolved, vec![cured()], &format!("RESOLVED: {what}, after 25 min"));
    check(
        Resolved,
        vec![firing(), cured()],
        &format!("1 of 2 ENDED, still CRITICAL: {what} (+1 more)"),
    );
    check(Reminder, vec![with(AlertStatus::Quiet)], &format!("STILL CRITICAL: {what}, for 8 min"));
    check(
        Resolved,
        vec![with(AlertStatus::Expired { resolved_at: ENDED })],
        &format!("EXPIRED: {what}: no traffic, not proven cured"),
    );
    check(
        Resolved,
        vec![with(AlertStatus::Removed { resolved_at: ENDED })],
        &format!("REMOVED: {what}: no longer watched"),
    );
}

#[test]
fn what_is_held_back_is_listed_and_not_what_the_message_is_about() {
    let silenced = || AlertFacts {
        summary: "Other (8) fails".to_owned(),
        held_back: Some("Silenced: while that lasts, …".to_owned()),
        ..notices::failing()
    };
    let warning = || AlertFacts { severity: Severity::Warning, ..notices::failing() };
    let cured = || with(AlertStatus::Resolved { resolved_at: ENDED });
    let what = "Acme Media (7): trk.acme.example fails 83 % of postbacks (tls)";
    let check = |reason, alerts: Vec<AlertFacts>, tone, expected: &str| {
        let letter = render::compose(&notices::notice(reason, alerts), &page());
        assert_eq!((letter.tone, letter.headline.as_str()), (tone, expected));
        let text = plain::text(&letter);
        assert!(text.contains("HELD BACK") && text.contains("Silenced: while"), "{text}");
    };
    use NoticeReason::{Reminder, Resolved};
    check(
        Reminder,
        vec![warning(), silenced()],
        Tone::Warning,
        &format!("STILL WARNING: {what}, for 8 min (+1 held back)"),
    );
    // Nothing that is not cured looks cured.
    check(
        Resolved,
        vec![cured(), silenced()],
        Tone::Unproven,
        &format!("RESOLVED: {what}, after 25 min (+1 held back)"),
    );
    check(
        Resolved,
        vec![warning(), cured(), silenced()],
        Tone::Warning,
        &format!("1 of 2 ENDED, still WARNING: {what} (+1 more, 1 held back)"),
    );
}

#[test]
fn a_message_answers_what_since_when_how_much_why_and_where() {
    let text = plain_text(&notices::critical());
    for needed in [
        "Since 2026-03-01 03:12 CET, for 8 min",
        "failure rate  83 %   (rule: >= 50 %)",
        "Likely cause: host trk.acme.example: 94 % of the failures (6 % of all deliveries), mostly tls, for 9 affiliates",
        "ask the partner to renew",
        "Note: Postback 1201",
        "2026-03-01 03:13:37 CET",
        "conversion 4f1c9be07ad24a1e8d01b3c2",
        "2 failed tries, tls",
        "Summer Sale DE (11) · Acme Media (7)",
        "https://trk.acme.example/postback?click_id=…",
        "answer: x509: certificate has expired",
        "http://127.0.0.1:9467/",
        "Runbook: https://wiki.example.com/postbacks#tls",
        "Rule partner-endpoint-failing",
        "on-call",
    ] {
        assert!(text.contains(needed), "{needed} is missing in\n{text}");
    }
}

#[test]
fn what_is_not_proven_is_said_plainly() {
    let check = |status, expected: &str| {
        let text = plain_text(&notices::notice(NoticeReason::Resolved, vec![with(status)]));
        assert!(text.contains(expected), "{text}");
    };
    check(AlertStatus::Quiet, "no failures any more, but no success proves a cure");
    check(AlertStatus::Expired { resolved_at: ENDED }, "without traffic: not proven cured");
    check(AlertStatus::Removed { resolved_at: ENDED }, "taken out of the configuration");
}

#[test]
fn what_is_cured_asks_nobody_to_act() {
    let text = plain_text(&notices::resolved());
    assert!(text.contains("Resolved at 2026-03-01 03:37 CET, after 25 min"), "{text}");
    assert!(text.contains("Likely cause was: host trk.acme.example"), "{text}");
    assert!(!text.contains("ask the partner") && !text.contains("Examples"), "{text}");
}

#[test]
fn a_batch_says_which_part_has_ended() {
    let mut cured = with(AlertStatus::Resolved { resolved_at: ENDED });
    cured.summary = "Beta (8): b.example fails".to_owned();
    let alerts = vec![notices::failing(), cured];
    let text = plain_text(&notices::notice(NoticeReason::Resolved, alerts));
    assert!(text.contains("Ended: Beta (8): b.example fails. Still open: 1."), "{text}");
}

#[test]
fn a_large_batch_lists_whole_rows_and_counts_the_rest() {
    let text = plain_text(&notices::many(40));
    assert!(text.contains("+17 more: http://127.0.0.1:9467/"), "{text}");
    let letter = render::compose(&notices::many(40), &page());
    let slack = serde_json::to_string(&blocks::root(&letter)).expect("blocks are JSON");
    assert!(slack.contains("more>"), "{slack}");
    let listed = (0..40).filter(|n| slack.contains(&format!("Partner {n} ({n})"))).count();
    assert!(slack.contains(&format!("+{} more>", 40 - listed)), "{listed} are listed: {slack}");
}

#[test]
fn a_fallback_says_whom_it_stands_in_for() {
    let notice = Notice { instead_of: Some("on-call".to_owned()), ..notices::critical() };
    assert!(plain_text(&notice).contains("receiver on-call could not be reached"));
    let notice = Notice { is_back: true, instead_of: notice.instead_of, ..notices::resolved() };
    let text = plain_text(&notice);
    assert!(text.contains("You were told of this in place of receiver on-call, which works again"));
    assert!(!text.contains("could not be reached"), "{text}");
}

/// Whatever a receiver's own words leave out.
#[test]
fn a_body_of_ones_own_hides_neither_that_it_is_late_nor_whom_it_was_meant_for() {
    let words = Wording { title: None, body: Some("{{ count }} broken, ask Anna".to_owned()) };
    let shown = |notice: &Notice| {
        let mut letter = render::compose(notice, &page());
        assert_eq!(own_words::apply(&mut letter, &words, notice), None);
        let slack = serde_json::to_string(&blocks::reply(&letter)).expect("blocks are JSON");
        [plain::text(&letter), html::page(&letter), slack]
    };
    let late = Notice {
        instead_of: Some("on-call".to_owned()),
        late_since: Some(BEGAN),
        ..notices::critical()
    };
    let lines = [
        "receiver on-call could not be reached",
        "Late: this could not be delivered since 2026-03-01 03:12 CET",
        "1 broken, ask Anna",
    ];
    for text in shown(&late) {
        let places = lines.map(|line| text.find(line));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {text}");
    }
    for text in shown(&notices::critical()) {
        assert!(!text.contains("Late:") && !text.contains("You get this"), "{text}");
    }
}

#[test]
fn nasty_names_stay_text() {
    for nasty in notices::nasty().chain(["x<&\"".repeat(10_000)]) {
        let letter = render::compose(&notices::hostile(&nasty), &page());
        assert!(letter.headline.chars().count() <= 200, "{}", letter.headline);
        assert!(!letter.headline.contains(['\n', '\r', '\u{202E}']), "{:?}", letter.headline);
        let text = plain::text(&letter);
        assert!(!text.contains(['\r', '\u{1b}', '\u{202E}', '\0']), "{nasty:?}");
        assert!(text.len() < 100_000, "{} bytes", text.len());
        let html = html::page(&letter);
        for broken in ["<script", "<img", "onerror=alert(1)>", "href=\"javascript"] {
            assert!(!html.contains(broken), "{nasty:?}");
        }
        assert_eq!(html.matches("<table").count(), html.matches("</table>").count());
        assert_eq!(html.matches("</html>").count(), 1, "{nasty:?}");
    }
}

#[test]
fn only_web_addresses_become_links() {
    let mut notice = notices::critical();
    notice.alerts[0].runbook = Some("javascript:alert(1)".to_owned());
    let letter = render::compose(&notice, &page());
    assert!(!html::page(&letter).contains("href=\"javascript"));
    let slack = serde_json::to_string(&blocks::root(&letter)).expect("blocks are JSON");
    assert!(!slack.contains("<javascript"), "{slack}");
}

#[test]
fn colours_are_for_terminals() {
    let letter = render::compose(&notices::critical(), &page());
    assert!(!plain::text(&letter).contains('\u{1b}'));
    assert!(plain::coloured(&letter).contains("\u{1b}[31m"));
}

#[test]
fn failures_in_a_row_are_told_in_both_countings_in_every_form() {
    let exactly = |count: f64| Bounds { least: count, most: count };
    let in_a_row = InARow {
        postback: 108,
        deliveries: exactly(6.0),
        tries: exactly(14.0),
        limit: 10,
        counts: DeactivationCounts::Deliveries,
        first_at: BEGAN,
        last_at: Timestamp(BEGAN.0 + 450),
        stand: Stand::Growing,
    };
    let near = AlertFacts { in_a_row: Some(in_a_row), ..notices::failing() };
    let letter = render::compose(&notices::notice(NoticeReason::First, vec![near; 4]), &page());
    let slack = serde_json::to_string(&blocks::root(&letter)).expect("blocks are JSON");
    for text in [plain::text(&letter), html::page(&letter), slack] {
        for needed in [
            "6 deliveries in a row failed, 14 tries; the network switches off at 10",
            "comes in about 5 min (03:25 CET)",
            // The fourth has a line of its own only.
            "for 8 min; 6 deliveries in a row, 14 tries",
        ] {
            assert!(text.contains(needed), "{needed} is missing in\n{text}");
        }
    }
}
