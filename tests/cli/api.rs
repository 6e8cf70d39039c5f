//! The API of a running service: pages of what is looked for, and answers in the shapes
//! that its own document promises.

use serde_json::Value;

use crate::program::{Place, Program, network, rules, to_slack};
use crate::support::slack::FakeSlack;

/// 40 of 100 deliveries fail, and somebody was told.
async fn serve() -> (Place, Program) {
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let program = place.serve();
    program.shows("", "exactly 40 fail").await;
    // Both must outlive the test.
    std::mem::forget((network, slack));
    (place, program)
}

async fn json(program: &Program, path: &str) -> Value {
    let text = program.get(path).await;
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} is no JSON: {text}"))
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap_or_else(|| panic!("no items in {page}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_found_page_by_page_and_by_what_it_is_like() {
    let (_place, program) = serve().await;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = json(&program, &format!("api/v1/deliveries?limit=7{cursor}")).await;
        all.extend(items(&page).clone());
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(items(&page).len(), 7);
        cursor = format!("&cursor={next}");
    }
    let ids: std::collections::BTreeSet<&str> =
        all.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!((all.len(), ids.len()), (40, 40));
    let moments: Vec<&str> = all.iter().filter_map(|one| one["timestamp"].as_str()).collect();
    assert!(moments.is_sorted_by(|one, next| one >= next), "{moments:?}");

    let one = &all[0];
    let conversion = one["said"]["conversion_id"].as_str().expect("its words are kept");
    let affiliate = &one["affiliate_id"];
    let count = async |query: &str| {
        items(&json(&program, &format!("api/v1/deliveries?{query}")).await).len()
    };
    assert!(count(&format!("conversion={conversion}")).await >= 1);
    let of_affiliate = all.iter().filter(|one| one["affiliate_id"] == *affiliate).count();
    assert_eq!(count(&format!("affiliate={affiliate}")).await, of_affiliate);
    assert_eq!(count("host=*&state=failing&source=acme").await, 40);
    for nothing in
        ["state=recovered", "source=other", "conversion=nowhere", "since=2099-01-01T00:00:00Z"]
    {
        assert_eq!(count(nothing).await, 0, "{nothing}");
    }
    let postbacks = json(&program, "api/v1/postbacks").await;
    let failures: u64 = items(&postbacks).iter().filter_map(|one| one["failures"].as_u64()).sum();
    assert_eq!(failures, 40);

    let text = program.get("api/v1/deliveries").await;
    for (at, _) in text.match_indices("click_id=") {
        assert!(text[at..].starts_with("click_id=…"), "{}", &text[at..at + 40]);
    }
    for wrong in ["afiliate=7", "limit=0", "limit=501", "state=lost", "since=now", "cursor=x"] {
        let problem = json(&program, &format!("api/v1/deliveries?{wrong}")).await;
        assert_eq!(problem["status"], 400, "{wrong}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_them_in_a_table() {
    let (_place, program) = serve().await;
    let url = program.page();
    let check = async |words: &str, code: i32, expected: &str| {
        let ended = Place::new("").start_with(words, &[("POSTWATCH_URL", &url)]).ends().await;
        let said = format!("{}{}", ended.out, ended.err);
        assert_eq!(ended.code, Some(code), "{words}: {said}");
        assert!(said.contains(expected), "{words}: no {expected:?} in\n{said}");
        ended.out
    };
    let all = check("deliveries", 0, "failing").await;
    assert_eq!(all.lines().count(), 41, "{all}");
    check("deliveries --limit 3", 0, "There are more: --cursor ").await;
    check("deliveries state=recovered", 0, "No delivery like that").await;
    check("deliveries --conversion nowhere", 0, "No delivery like that").await;
    check("deliveries afiliate=7", 2, "did you mean `affiliate`?").await;
    check("deliveries --json", 0, "\"items\":").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shapes_of_the_document() {
    let (_place, program) = serve().await;
    let document = json(&program, "api/openapi.json").await;
    let silence = "silence add rule=some-fail --for 2h --comment x";
    let url = program.page();
    let ended = Place::new("").start_with(silence, &[("POSTWATCH_URL", &url)]).ends().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let page = json(&program, "api/v1/deliveries?limit=1").await;
    let conversion = items(&page)[0]["said"]["conversion_id"].as_str().expect("it is kept");
    let questions = [
        "api/openapi.json",
        "api/v1/alerts",
        "api/v1/deliveries",
        "api/v1/postbacks",
        "api/v1/silences",
        "api/v1/outbox",
        "api/v1/explain?rule=some-fail",
        &format!("api/v1/explain?conversion={conversion}"),
    ];
    for question in questions {
        let path = format!("/{}", question.split('?').next().unwrap_or_default());
        let answered = &document["paths"][&path]["get"]["responses"]["200"];
        let shape = &answered["content"]["application/json"]["schema"];
        let differs = differs(&document, shape, &json(&program, question).await, "$");
        assert_eq!(differs, Vec::<String>::new(), "{question}");
    }
    let problem = &document["components"]["responses"]["Problem"]["content"];
    let shape = &problem["application/problem+json"]["schema"];
    for question in ["api/v1/nothing", "api/v1/deliveries?x=1", "api/v1/explain?rule=x"] {
        let mut told = json(&program, question).await;
        // What could have been asked stands beside the standard's members.
        told.as_object_mut().expect("it is a map").remove("known");
        assert_eq!(differs(&document, shape, &told, "$"), Vec::<String>::new(), "{question}");
    }
}

/// Where `value` is not of this shape: types, members that are missing, and members of
/// which the shape says nothing.
fn differs(document: &Value, shape: &Value, value: &Value, at: &str) -> Vec<String> {
    let shape = resolved(document, shape);
    let mut found = Vec::new();
    for choice in ["anyOf", "oneOf"] {
        let Some(shapes) = shape[choice].as_array() else { continue };
        let fits = |one: &&Value| differs(document, one, value, at).is_empty();
        // Beside members of its own a choice adds others, which are known below.
        let has_own = shape.get("properties").is_some();
        if !has_own && shapes.iter().find(fits).is_none() {
            found.push(format!("{at} is none of {choice}: {value}"));
        }
    }
    if let Some(kind) = shape.get("type") {
        let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        if !kinds.iter().any(|kind| is_of(kind, value)) {
            found.push(format!("{at} is no {kind}: {value}"));
        }
    }
    if let Some(allowed) = shape["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at} is none of {allowed:?}: {value}"));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        if shape.get("items").is_some() {
            found.extend(differs(document, &shape["items"], item, &format!("{at}[{number}]")));
        }
    }
    let required = shape["required"].as_array().into_iter().flatten();
    let missing = required.filter_map(Value::as_str).filter(|name| value.get(*name).is_none());
    found.extend(missing.map(|name| format!("{at}.{name} is missing")));
    for (name, member) in value.as_object().into_iter().flatten() {
        match member_of(document, shape, name) {
            Some(of) => found.extend(differs(document, of, member, &format!("{at}.{name}"))),
            None if shape.get("properties").is_some() => {
                found.push(format!("{at}.{name} is not described"));
            }
            None => {}
        }
    }
    found
}

fn member_of<'a>(document: &'a Value, shape: &'a Value, name: &str) -> Option<&'a Value> {
    let shape = resolved(document, shape);
    let own = shape["properties"].get(name);
    let parts = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| shape[key].as_array());
    let of_parts = || parts.flatten().find_map(|part| member_of(document, part, name));
    own.or_else(of_parts).or_else(|| shape.get("additionalProperties").filter(|of| of.is_object()))
}

fn resolved<'a>(document: &'a Value, shape: &'a Value) -> &'a Value {
    match shape["$ref"].as_str() {
        Some(to) => document.pointer(to.trim_start_matches('#')).expect("it leads somewhere"),
        None => shape,
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => value.is_null(),
    }
}
