//! What a message names as the cause, how much more that is than usual, and whom it hits.

use postwatch::domain::notify::{Cause, Part};
use postwatch::domain::rules::{Label, Measure};

use super::world::{World, at_least, policy, rule};

/// Who and what a delivery is of.
#[derive(Clone, Copy)]
struct Of {
    affiliate: u64,
    offer: u64,
    host: &'static str,
    /// The answer's status.
    status: u16,
}

const fn of(affiliate: u64, offer: u64, host: &'static str, status: u16) -> Of {
    Of { affiliate, offer, host, status }
}

/// `(count, of whom)` failing and delivered deliveries; the cause that is told.
fn cause(per: &[Label], failing: &[(usize, Of)], delivered: &[(usize, Of)]) -> Cause {
    let mut rule = rule("r", 900, vec![at_least(Measure::Failures, 3.0)]);
    rule.per = per.to_vec();
    let mut world = World::calm(policy(vec![rule]));
    let all = delivered.iter().map(|one| (one, true)).chain(failing.iter().map(|one| (one, false)));
    for (number, ((count, of), is_success)) in all.enumerate() {
        for place in 0..*count {
            let id = format!("{number}-{place}");
            let row = if is_success { world.succeed(&id) } else { world.fail(&id) };
            (row.affiliate, row.offer, row.postback) = (of.affiliate, of.offer, of.affiliate);
            row.payload = format!("https://{}/p?cid=1", of.host).into();
            if !is_success {
                row.debug_information = format!("Status: {}", of.status).into();
            }
        }
    }
    world.pass(120);
    let told = world.notices.first().and_then(|notice| notice.alerts[0].cause.clone());
    told.expect("a message with its cause")
}

fn shown(part: &Part) -> String {
    let usual = part.usual.map_or(String::new(), |usual| format!(", usually {:.2}", usual));
    format!("{} {} {:.2}{usual}", part.by, part.value, part.share)
}

#[test]
fn a_host_that_fails_for_several_partners_is_named_once_with_how_many() {
    let failing = [1, 2, 3, 4].map(|affiliate| (3, of(affiliate, 11, "shared.example", 503)));
    let delivered = [5, 6, 7, 8].map(|affiliate| (12, of(affiliate, 11, "fine.example", 200)));
    let cause = cause(&[], &failing, &delivered);
    assert_eq!(shown(&cause.part), "host shared.example 1.00, usually 0.20");
    assert_eq!((cause.affiliates, cause.hosts), (4, 1));
    assert!(cause.advice.contains("retries may cure"), "{}", cause.advice);
}

#[test]
fn equals_go_to_host_reason_affiliate_offer_in_this_order() {
    let failing = [(4, of(1, 11, "a.example", 404)), (4, of(1, 11, "b.example", 404))];
    assert_eq!(cause(&[], &failing, &[]).part.by, "reason");
    let failing = [(4, of(1, 11, "a.example", 404)), (4, of(1, 12, "a.example", 500))];
    assert_eq!(cause(&[], &failing, &[]).part.by, "host");
    let failing = [(4, of(1, 11, "a.example", 404)), (4, of(1, 12, "b.example", 500))];
    assert_eq!(cause(&[], &failing, &[]).part.by, "affiliate");
}

#[test]
fn what_no_part_explains_is_the_whole_network() {
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example"];
    let mut number = 0;
    let failing = hosts.map(|host| {
        number += 1;
        (3, of(number, 10 + number, host, 499 + number as u16))
    });
    let cause = cause(&[], &failing, &[]);
    assert_eq!(shown(&cause.part), "network  1.00");
    assert!(cause.advice.contains("look at the network first"), "{}", cause.advice);
    assert_eq!((cause.affiliates, cause.hosts), (5, 5));
}

#[test]
fn an_offer_that_fails_among_others_of_a_partner_is_told_beside_the_host() {
    let failing = [(6, of(1, 11, "a.example", 400)), (1, of(1, 12, "a.example", 503))];
    let delivered = [(30, of(1, 12, "a.example", 200)), (90, of(2, 11, "b.example", 200))];
    let cause = cause(&[Label::Affiliate, Label::Host], &failing, &delivered);
    assert_eq!(cause.part.by, "host");
    let within = cause.within.as_ref().map(shown);
    assert_eq!(within.as_deref(), Some("offer 11 0.86, usually 0.16"));
}
