//! The JSON Schema of `rules.yaml`, made of the tables by which the file is read:
//! editors complete and check it. Describes shapes; what fits together is for `check`.

use serde_json::{Map, Value, json};

use crate::domain::rules::{Label, Measure, Severity, Unit};

use super::decode::Shape;
use super::{FILE, METRICS, gates, receivers, routes, rules, sources};

/// The schema of the whole file.
pub fn schema() -> Value {
    let mut schema = object(
        &FILE,
        &["sources"],
        &[
            ("sources", one_or_many(reference("source"))),
            (
                "evaluate_every",
                duration("Rules are evaluated at every multiple of this; default 10s"),
            ),
            ("rules", one_or_many(reference("rule"))),
            ("receivers", one_or_many(reference("receiver"))),
            ("routes", one_or_many(reference("route"))),
            ("notify", notify()),
            ("inhibit", one_or_many(reference("inhibition"))),
            ("mute", one_or_many(reference("mute"))),
            ("heartbeat", heartbeat()),
            ("metrics", metrics()),
            ("retain", duration("Deliveries that failed are kept this long; default 30d")),
            ("auth_token", text("The page and the API ask for it; 16 characters or more")),
            ("auth_token_file", text("A file that holds the token")),
            (
                "protect_metrics",
                described(
                    or_variable(json!({ "type": "boolean" })),
                    "Whether /metrics asks for the token too; default false",
                ),
            ),
        ],
    );
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("postwatch's rules.yaml");
    schema["definitions"] = json!({
        "source": source(),
        "scope": scope(),
        "rule": rule(),
        "conditions": conditions(),
        "receiver": receiver(),
        "route": route(),
        "inhibition": inhibition(),
        "mute": mute(),
    });
    schema
}

/// A map of exactly the keys of `shape`.
///
/// # Panics
/// Where `keys` does not describe each of them once: a new key must not be forgotten here.
fn object(shape: &Shape, required: &[&str], keys: &[(&str, Value)]) -> Value {
    let described: Map<String, Value> =
        keys.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    let is_same = described.len() == shape.known.len()
        && shape.known.iter().all(|name| described.contains_key(*name));
    assert!(is_same, "the schema of {} must describe {:?}", shape.what, shape.known);
    json!({
        "type": "object",
        "description": shape.what,
        "properties": described,
        "required": required,
        "additionalProperties": false,
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// A list; a single one needs no brackets.
fn one_or_many(item: Value) -> Value {
    json!({ "anyOf": [{ "type": "array", "items": item.clone() }, item] })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// What came from the environment may stand for anything.
fn or_variable(of: Value) -> Value {
    json!({ "anyOf": [of, { "type": "string", "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" }] })
}

fn duration(description: &str) -> Value {
    let pattern = "^\\s*([0-9]+\\s*[smhd]|0+|\\$\\{[A-Za-z_][A-Za-z0-9_]*\\})\\s*$";
    json!({
        "description": description,
        "anyOf": [{ "type": "string", "pattern": pattern }, { "const": 0 }],
    })
}

fn described(mut of: Value, description: &str) -> Value {
    of["description"] = json!(description);
    of
}

fn count(description: &str) -> Value {
    described(or_variable(json!({ "type": "integer", "minimum": 1 })), description)
}

fn choice(description: &str, of: &[&str]) -> Value {
    json!({ "enum": of, "description": description })
}

fn ids(description: &str) -> Value {
    described(one_or_many(or_variable(json!({ "type": "integer", "minimum": 0 }))), description)
}

fn words(description: &str) -> Value {
    described(one_or_many(json!({ "type": ["string", "integer"] })), description)
}

fn globs() -> Value {
    words("Values; `*` stands for any characters, `?` for one")
}

fn severity() -> Value {
    choice("How bad it is", &Severity::ALL.map(Severity::as_str))
}

fn source() -> Value {
    object(
        &sources::SOURCE,
        &["name"],
        &[
            ("name", text("The label `source` everywhere")),
            ("api_key", text("A key of the network's API that may read reports")),
            ("api_key_file", text("A file that holds the key")),
            ("base_url", text("https://api.eflow.team/v1 by default")),
            ("timezone_id", count("The network's id of UTC; looked up by default")),
            ("poll_every", duration("Default 60s")),
            ("settle", duration("Rows may come this late; default 20s")),
            ("lookback", duration("How far back deliveries are followed; default 72h")),
            (
                "successes",
                choice("`off` spares the volume, then rates are unknown", &["read", "off"]),
            ),
            ("max_attempts", count("Failed tries after which the network gives up; default 10")),
            ("give_up_after", duration("Or no new try for this long; default 24h")),
            (
                "deactivates_after",
                count("Failures in a row that switch a postback off; default 10"),
            ),
            ("deactivation_counts", choice("What the network counts", &["deliveries", "attempts"])),
            ("scopes", one_or_many(reference("scope"))),
        ],
    )
}

fn scope() -> Value {
    object(
        &sources::SCOPE,
        &[],
        &[
            ("offers", ids("Only these offers")),
            ("affiliates", ids("Only these affiliates")),
            ("exclude_offers", ids("All offers but these")),
            ("exclude_affiliates", ids("All affiliates but these")),
        ],
    )
}

fn rule() -> Value {
    let conditions = reference("conditions");
    let levels: Map<String, Value> = Severity::ALL
        .iter()
        .map(|severity| (severity.as_str().to_owned(), conditions.clone()))
        .collect();
    let labels: Map<String, Value> =
        Label::ALL.iter().map(|label| (label.as_str().to_owned(), globs())).collect();
    let matches = json!({
        "type": "object", "properties": labels, "additionalProperties": false,
        "description": "Only deliveries that fit every entry",
    });
    let per = one_or_many(json!({ "enum": Label::ALL.map(Label::as_str) }));
    object(
        &rules::RULE,
        &["name"],
        &[
            ("name", text("Names the rule in messages and metrics")),
            ("summary", text("Template of the headline: {{ affiliate }}, {{ failure_rate }}, …")),
            ("match", matches),
            ("per", per),
            ("over", duration("The window; a multiple of evaluate_every")),
            (
                "levels",
                json!({ "type": "object", "properties": levels, "additionalProperties": false }),
            ),
            ("when", conditions),
            ("severity", severity()),
            ("for", duration("Must hold this long; default 0s")),
            ("keep_firing_for", duration("Must be clear this long; default 10m")),
            (
                "labels",
                json!({ "type": "object", "additionalProperties": { "type": ["string", "integer"] } }),
            ),
            ("runbook", text("A web address")),
        ],
    )
}

/// What rules compare, each in its unit.
fn conditions() -> Value {
    let of = |measure: &Measure| {
        let number = match measure.unit() {
            Unit::Count => "[0-9]+",
            Unit::Share => "[0-9.]+\\s*%",
            Unit::Seconds => "[0-9]+\\s*[smhd]",
        };
        let multiple = if measure.is_windowed() { "|[0-9.]+\\s*x\\s*previous" } else { "" };
        let pattern = format!("^\\s*(>=|<=|==|!=|>|<)?\\s*({number}{multiple}|.*\\$\\{{.*)\\s*$");
        let text = json!({ "type": "string", "pattern": pattern });
        let comparison = match measure.unit() {
            Unit::Count => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text] }),
            Unit::Share | Unit::Seconds => text,
        };
        (measure.as_str().to_owned(), comparison)
    };
    let measures: Map<String, Value> = Measure::ALL.iter().map(of).collect();
    json!({
        "type": "object", "properties": measures, "additionalProperties": false,
        "minProperties": 1, "description": "All must hold",
    })
}

fn receiver() -> Value {
    let slack = object(
        &receivers::SLACK,
        &["channel"],
        &[
            ("token", text("A bot's token with chat:write")),
            ("token_file", text("A file that holds the token")),
            ("channel", text("#channel, or its id")),
            ("api_url", text("For a proxy or a test server")),
        ],
    );
    let email = object(
        &receivers::EMAIL,
        &["from", "to"],
        &[
            ("smtp", text("smtps://user:pass@host:465 or smtp://host:587?tls=required")),
            ("smtp_file", text("A file that holds the address of the server")),
            ("from", text("postwatch <alerts@example.com>")),
            ("to", words("Who gets it")),
        ],
    );
    let webhook = object(
        &receivers::WEBHOOK,
        &[],
        &[
            ("url", text("Gets Alertmanager's version 4 payload by POST")),
            ("url_file", text("A file that holds the address")),
            ("secret", text("whsec_…: messages are signed with it after Standard Webhooks")),
            ("secret_file", text("A file that holds the secret")),
        ],
    );
    let urls = words("Its address, without /api; of a cluster those of all members");
    let alertmanager = object(
        &receivers::ALERTMANAGER,
        &[],
        &[("url", urls), ("url_file", text("A file that holds the address"))],
    );
    let keys = [
        ("name", text("What routes call it")),
        ("slack", slack),
        ("email", email),
        ("webhook", webhook),
        ("alertmanager", alertmanager),
        (
            "title",
            text("Template of the title: {{ title }}, {{ severity }}, {{ alerts[0].summary }}, …"),
        ),
        (
            "body",
            text(
                "Template of the text, in place of the built-in one; that a message is late, or was meant for another receiver, stays above it",
            ),
        ),
    ];
    object(&receivers::RECEIVER, &["name"], &keys)
}

fn heartbeat() -> Value {
    object(
        &receivers::HEARTBEAT,
        &[],
        &[
            ("url", text("Requested after each whole poll, unless a source is blind")),
            ("url_file", text("A file that holds the address")),
            ("every", duration("At most once in this time; default 1m")),
        ],
    )
}

fn metrics() -> Value {
    let most = json!({
        "description": "Series of offers, affiliates, hosts and postbacks; what is new beyond goes to `other`; default 20000",
        "type": "integer", "minimum": 1, "maximum": 1_000_000,
    });
    object(&METRICS, &[], &[("max_series", most)])
}

/// Labels of alerts and their patterns; a rule's own labels are among them.
fn alert_labels() -> Value {
    json!({ "type": "object", "additionalProperties": globs() })
}

fn timing() -> [(&'static str, Value); 5] {
    [
        ("batch_by", words("Alerts that agree in these labels share a message")),
        ("batch_wait", duration("Wait for more of them before the first message; default 30s")),
        ("min_gap", duration("Between changes of one message; default 5m")),
        ("remind_every", duration("While it lasts; default 4h")),
        ("timezone", text("IANA name of the zone in which times are written")),
    ]
}

fn notify() -> Value {
    object(&routes::NOTIFY, &[], &timing())
}

fn route() -> Value {
    let own = [
        ("match", alert_labels()),
        ("to", words("Receivers")),
        ("fallback", words("Receivers of what `to` could not deliver")),
        ("continue", or_variable(json!({ "type": "boolean" }))),
    ];
    let keys: Vec<_> = own.into_iter().chain(timing()).collect();
    object(&routes::ROUTE, &["to"], &keys)
}

fn inhibition() -> Value {
    object(
        &gates::INHIBITION,
        &["if", "mute"],
        &[
            ("if", alert_labels()),
            ("mute", alert_labels()),
            ("equal", words("Labels in which both must agree")),
        ],
    )
}

fn mute() -> Value {
    let times = json!({ "type": "string", "pattern": "^\\s*[0-9]{2}:[0-9]{2}\\s*-\\s*[0-9]{2}:[0-9]{2}\\s*$" });
    object(
        &gates::MUTE,
        &["name"],
        &[
            ("name", text("Names it on the page")),
            ("days", one_or_many(json!({ "enum": gates::DAYS.map(|(name, _)| name) }))),
            ("times", one_or_many(times)),
            ("timezone", text("IANA name; UTC by default")),
            ("match", alert_labels()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `UPDATE=1 cargo test --lib schema` writes the file anew.
    #[test]
    fn the_schema_in_the_repository_is_the_codes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.schema.json");
        let made = serde_json::to_string_pretty(&schema()).expect("a value is JSON") + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &made).expect("the file can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "rules.schema.json is not the code's: UPDATE=1 cargo test --lib schema"
        );
    }

    #[test]
    fn the_shipped_rules_name_it_in_their_first_line() {
        let shipped = include_str!("../../rules.yaml");
        let first = shipped.lines().next();
        assert_eq!(first, Some("# yaml-language-server: $schema=rules.schema.json"));
    }
}
