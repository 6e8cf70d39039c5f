//! Silences: what nobody wants to hear of for a while, and what is told all the same.

use postwatch::domain::explain::{Question, explain_rule};
use postwatch::domain::policy::Policy;
use postwatch::domain::rules::{Label, Level, Measure, Severity};
use postwatch::domain::silence::matcher::{Matcher, Op};
use postwatch::domain::silence::{
    Draft, KEPT_FOR, MOST_EXPIRED, MOST_STANDING, Refused, Silence, SilenceId, Silences, Stage,
    Wish, grant,
};
use postwatch::domain::time::{Timestamp, seconds as whole_seconds};
use postwatch::domain::turn::News;

use super::world::{DAY, HOUR, NOON, World, at_least, policy, rule, seconds};

/// An alert for each partner whose deliveries fail twice.
fn partners() -> Policy {
    let mut partner = rule("partner", 300, vec![at_least(Measure::Failures, 2.0)]);
    partner.per = vec![Label::Affiliate];
    policy(vec![partner])
}

/// A warning at two, critical at eight; told again after `remind_every` seconds.
fn partners_that_get_worse(remind_every: i64) -> Policy {
    let mut policy = partners();
    policy.routes[0].timing.remind_every = seconds(remind_every);
    policy.rules[0].levels[0].severity = Severity::Warning;
    policy.rules[0].levels.push(Level {
        severity: Severity::Critical,
        conditions: vec![at_least(Measure::Failures, 8.0)],
    });
    policy
}

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts.iter().map(|text| Matcher::parse(text).expect("it can be read")).collect()
}

fn draft(texts: &[&str], starts_at: i64, ends_at: i64) -> Draft {
    Draft {
        matchers: matchers(texts),
        starts_at: Timestamp(starts_at),
        ends_at: Timestamp(ends_at),
        created_by: "ann".into(),
        comment: "their server moves".into(),
    }
}

fn id(name: &str) -> SilenceId {
    SilenceId(name.to_owned())
}

impl World {
    /// From `starts_in` until `ends_in` from now.
    pub fn silence(&mut self, name: &str, texts: &[&str], starts_in: i64, ends_in: i64) {
        let draft = draft(texts, self.now + starts_in, self.now + ends_in);
        self.turn(News::Silence { wish: &Wish::Put { draft, of: None, fresh: id(name) } });
        assert!(self.state.silences.contains_key(&id(name)), "it was taken");
    }

    fn expire(&mut self, name: &str) {
        self.turn(News::Silence { wish: &Wish::Expire { id: id(name) } });
    }
}

#[test]
fn what_is_silenced_before_it_fires_is_never_told() {
    let mut world = World::calm(partners());
    world.silence("s", &["affiliate=7"], 0, 2 * HOUR);
    world.fail_of(7);
    world.pass(120);
    assert_eq!(world.shows("partner"), "critical", "the alert stands");
    world.restart();
    world.cure_of(7);
    world.pass(900);
    assert_eq!(world.shows("partner"), "inactive");
    world.pass(3 * HOUR);
    assert_eq!(world.told(), [""; 0]);
    assert!(world.state.batches.is_empty());
}

#[test]
fn who_was_told_hears_the_end_and_neither_reminder_nor_escalation_before() {
    let mut world = World::calm(partners_that_get_worse(600));
    world.fail_of(7);
    world.pass(120);
    assert_eq!(world.told(), ["ops: first [partner warning]"]);
    world.silence("s", &["alertname=partner", "affiliate=7"], 0, 3 * HOUR);
    for _ in 0..15 {
        world.fail_of(7);
        world.fail_of(7);
        world.fail(&format!("more{}", world.now));
        world.pass(120);
    }
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    world.restart();
    world.cure_of(7);
    world.pass(900);
    assert_eq!(world.told()[1..], ["ops: resolved [partner resolved]"]);
}

#[test]
fn a_message_for_others_lists_what_is_silenced_and_is_not_about_it() {
    let mut world = World::calm(partners_that_get_worse(HOUR));
    world.fail_of(7);
    world.pass(120);
    world.silence("s", &["affiliate=7"], 0, 2 * HOUR);
    world.fail_of(8);
    world.pass(600);
    for _ in 0..3 {
        world.fail_of(7);
        world.pass(10);
    }
    for _ in 0..30 {
        world.fail(&format!("8-{}", world.now)).affiliate = 8;
        world.pass(120);
    }
    world.cure_of(8);
    world.pass(900);
    assert_eq!(
        world.told(),
        [
            "ops: first [partner warning]",
            "ops: new_alerts [partner warning, partner held back warning]",
            "ops: reminder [partner warning, partner held back warning]",
            "ops: resolved [partner resolved, partner held back warning]",
        ]
    );
    let why = world.notices[3].alerts[1].held_back.as_deref().unwrap_or_default();
    assert!(why.starts_with("Silenced"), "{why}");
    // Its escalation is news once the silence is over.
    world.fail_of(7);
    for _ in 0..5 {
        world.fail_of(7);
        world.pass(60);
    }
    world.expire("s");
    world.pass(60);
    assert_eq!(world.told()[4..], ["ops: escalated [partner critical]"]);
}

#[test]
fn what_still_fires_when_its_silence_ends_is_told_then() {
    let check = |ends: &dyn Fn(&mut World)| {
        let mut world = World::calm(partners());
        world.silence("s", &["affiliate=7"], 0, HOUR / 2);
        let until = world.now + HOUR / 2;
        world.fail_of(7);
        world.pass(120);
        ends(&mut world);
        while world.now < until + 60 {
            world.fail_of(7);
            world.pass(60);
        }
        assert_eq!(world.told(), ["ops: first [partner critical]"]);
        (world.notices[0].created_at.0 - until, world)
    };
    let (after, mut world) = check(&|_| ());
    assert!((0..=10).contains(&after), "{after} s after its end");
    world.pass(whole_seconds(KEPT_FOR));
    assert!(world.state.silences.is_empty(), "it is forgotten in time");
    let (after, _) = check(&|world| world.expire("s"));
    assert!(after < 0, "ended by hand, {after} s after its end");
}

#[test]
fn a_silence_begins_when_it_is_to_begin() {
    let mut world = World::calm(partners());
    world.silence("s", &["affiliate=7"], HOUR, 2 * HOUR);
    let told = |world: &mut World| {
        world.fail_of(7);
        world.pass(120);
        world.cure_of(7);
        world.pass(900);
        std::mem::take(&mut world.notices).len()
    };
    assert_eq!(told(&mut world), 2, "before it");
    world.restart();
    world.pass(HOUR - 900);
    assert_eq!(told(&mut world), 0, "in it");
    world.pass(HOUR);
    assert_eq!(told(&mut world), 2, "after it");
}

#[test]
fn only_what_all_matchers_match_is_silenced() {
    let check = |texts: &[&str], told: &[u64]| {
        let mut world = World::calm(partners());
        world.policy.routes[0].timing.batch_by = vec!["affiliate".into()];
        world.silence("s", texts, 0, HOUR);
        (7..=9).for_each(|affiliate| world.fail_of(affiliate));
        world.pass(120);
        let of = |notice: &postwatch::domain::notify::Notice| {
            let labels = &notice.alerts[0].labels;
            let affiliate = labels.iter().find(|(label, _)| label == "affiliate");
            affiliate.expect("it has one").1.parse().expect("it is a number")
        };
        let mut heard: Vec<u64> = world.notices.iter().map(of).collect();
        heard.sort_unstable();
        assert_eq!(heard, told, "{texts:?}");
    };
    check(&["affiliate=7"], &[8, 9]);
    check(&["affiliate!=7", "rule=partner"], &[7]);
    check(&["affiliate=~7|8"], &[9]);
    check(&["affiliate=~[78]", "affiliate!=8"], &[8, 9]);
    check(&["affiliate!~7|8", "severity=critical"], &[7, 8]);
    check(&["affiliate=~7", "severity=warning"], &[7, 8, 9]);
    check(&["source=acme", "offer!=77"], &[]);
    check(&["affiliate=7", "nothing="], &[8, 9]);
    check(&["affiliate=7", "nothing!="], &[7, 8, 9]);
}

#[test]
fn explain_names_every_silence_that_holds_an_alert_back() {
    let mut world = World::calm(partners());
    world.silence("one", &["affiliate=7"], 0, HOUR);
    world.silence("other", &["rule=~part.*"], 0, HOUR);
    world.silence("later", &["affiliate=7"], HOUR / 2, HOUR);
    world.fail_of(7);
    world.pass(120);
    let question = Question { rule: "partner".into(), labels: Vec::new() };
    let now = Timestamp(world.now);
    let told = explain_rule(now, &world.policy, &world.state, &question).expect("it is known");
    let gates = told.groups[0].messages[0].gates.iter().map(|gate| gate.says.as_str());
    let gates: Vec<&str> = gates.filter(|says| says.contains("silence")).collect();
    let [one, other] = gates[..] else { panic!("{gates:?}") };
    assert!(one.starts_with("the silence one of ann is on until "), "{one}");
    assert!(other.starts_with("the silence other "), "{other}");
}

#[test]
fn a_silence_that_hides_nothing_for_a_day_is_told_once() {
    let mut world = World::calm(partners());
    world.silence("used", &["affiliate=7"], 0, 4 * DAY);
    world.silence("wrong", &["affiliate=700"], HOUR, 4 * DAY);
    let unused = |world: &World| -> Vec<String> {
        let all = world.state.silences.iter().filter(|(_, silence)| silence.is_unused);
        all.map(|(id, _)| id.to_string()).collect()
    };
    world.fail_of(7);
    world.pass(120);
    world.restart();
    world.pass(DAY);
    assert_eq!(unused(&world), [""; 0], "a day and its beginning are not over");
    world.pass(HOUR);
    assert_eq!(unused(&world), ["wrong"], "the alert of the other stands still");
    world.restart();
    world.fail_of(700);
    world.pass(120);
    assert_eq!(unused(&world), [""; 0]);
}

#[test]
fn a_change_keeps_the_name_where_it_is_the_same_silence() {
    let check = |texts: &[&str], starts_in: i64, ends_in: i64, expected: &str| {
        let mut silences = Silences::new();
        let mut ask = |at: i64, draft, of: Option<SilenceId>, fresh: &str| {
            let wish = Wish::Put { draft, of, fresh: id(fresh) };
            grant(Timestamp(at), &mut silences, &wish).expect("it is taken")
        };
        ask(NOON, draft(&["affiliate=7"], NOON, NOON + HOUR), None, "old");
        let now = NOON + 60;
        let changed = draft(texts, NOON + starts_in, NOON + ends_in);
        ask(now, changed, Some(id("old")), "new");
        let told = silences.iter().map(|(id, silence)| {
            let stage = silence.stage(Timestamp(now)).as_str();
            let Draft { starts_at, ends_at, .. } = silence.draft;
            format!("{id} {stage} {}..{}", starts_at.0 - NOON, ends_at.0 - NOON)
        });
        assert_eq!(told.collect::<Vec<_>>().join(", "), expected, "{texts:?}");
    };
    check(&["affiliate=7"], 0, 2 * HOUR, "old active 0..7200");
    check(&["affiliate=7"], 0, 70, "old active 0..70");
    check(&["affiliate=8"], 0, 2 * HOUR, "new active 60..7200, old expired 0..60");
    check(&["affiliate=7"], HOUR, 2 * HOUR, "new pending 3600..7200, old expired 0..60");
}

#[test]
fn what_cannot_be_a_silence_is_refused_in_words() {
    let check = |wish: Wish, expected: &str| {
        let mut silences = Silences::new();
        let over = draft(&["affiliate=7"], NOON - HOUR, NOON - 1);
        let known = |draft| Silence {
            draft,
            updated_at: Timestamp(NOON),
            matched_at: None,
            is_unused: false,
        };
        silences.insert(id("over"), known(over));
        let before = silences.clone();
        let refused = grant(Timestamp(NOON), &mut silences, &wish).expect_err("it is refused");
        assert!(refused.to_string().contains(expected), "{refused}");
        assert_eq!(silences, before);
    };
    let put = |draft, of: Option<&str>| Wish::Put { draft, of: of.map(id), fresh: id("new") };
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft(&["affiliate=7"], NOON, NOON + HOUR);
        change(&mut draft);
        put(draft, None)
    };
    check(with(&|d| d.matchers.clear()), "every alert");
    check(with(&|d| d.matchers = matchers(&["a=", "b!=7", "c=~.*"])), "every alert");
    check(with(&|d| d.ends_at = Timestamp(NOON)), "would have ended by now");
    check(with(&|d| d.starts_at = Timestamp(NOON + 2 * HOUR)), "before it starts");
    check(with(&|d| d.comment = "x".repeat(2_001)), "2001 characters in its comment; 2000");
    check(with(&|d| d.created_by = "x".repeat(201)), "201 characters in its author; 200");
    let matcher = Matcher::new("a", Op::Equal, "1").expect("it can be read");
    check(with(&|d| d.matchers = vec![matcher.clone(); 51]), "51 matchers; 50");
    let unknown = put(draft(&["affiliate=7"], NOON, NOON + HOUR), Some("nobody's"));
    check(unknown, "there is no silence nobody's");
    check(Wish::Expire { id: id("nobody's") }, "there is no silence nobody's");
    check(Wish::Expire { id: id("over") }, "ended already, at ");
}

#[test]
fn silences_have_a_limit_and_reaching_it_is_told() {
    let mut world = World::calm(partners());
    let mut ask = |number: usize, of: Option<usize>| {
        let name = |number: usize| id(&format!("{number:04}"));
        let draft = draft(&[&format!("affiliate={number}")], world.now, world.now + HOUR);
        let wish = Wish::Put { draft, of: of.map(name), fresh: name(number) };
        let now = Timestamp(world.now);
        grant(now, &mut world.state.silences, &wish).map(|touched| touched.len())
    };
    for number in 0..MOST_STANDING {
        assert_eq!(ask(number, None), Ok(1));
    }
    assert_eq!(ask(9_000, None), Err(Refused::Full));
    assert_eq!(ask(9_001, Some(0)), Ok(2), "one that takes another's place has room");

    // Those that are over go, the oldest first.
    let mut world = World::calm(partners());
    for number in 0..MOST_EXPIRED + 5 {
        let name = format!("{number:04}");
        world.silence(&name, &["affiliate=7"], 0, HOUR);
        world.expire(&name);
        world.now += 1;
    }
    world.restart();
    let now = Timestamp(world.now);
    let mut left = world.state.silences.iter();
    assert_eq!(left.len(), MOST_EXPIRED);
    assert!(left.clone().all(|(_, silence)| silence.stage(now) == Stage::Expired));
    assert_eq!(left.next().map(|(id, _)| id.to_string()).as_deref(), Some("0005"));
}
