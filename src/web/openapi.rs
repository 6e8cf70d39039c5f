//! `GET /api/openapi.json`: what the API takes and answers, after OpenAPI 3.1. The shapes
//! are made of the types that are answered, so that they cannot differ.

use axum::Json;
use axum::extract::State as Shared;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Web;
use super::outbox::{SentAgain, Shown};
use super::problem::{Nothing, Problem};
use super::reload::Reloaded;
use crate::domain::delivery::Ended;
use crate::domain::explain::{Conversion, Explanation, SilenceStanding, Standing};
use crate::domain::rules::Label;
use crate::domain::search::{DeliveryFound, Found, LIMITS, MOST_VALUES, PostbackFound};

const ABOUT: &str = "What postwatch knows of a network's postbacks, and of itself. Errors are \
problem details (RFC 9457). Beside this API stands Alertmanager's own, version 2, under /api/v2.";

/// What may go wrong wherever one asks.
const ALWAYS: [(u16, &str); 7] = [
    (401, "No token was shown, or a wrong one"),
    (403, "Without a token others may not ask, and no page of another address may change anything"),
    (408, "The body came too slowly"),
    (413, "The body is too large"),
    (429, "Too many wrong tokens came from this address"),
    (500, "It could not be shown"),
    (503, "The store is in trouble, or the service is stopping"),
];

const UNCLEAR: &str =
    "A key or a value means nothing, or a key has too many values: ask several times";

/// The document, as it is for whoever asks now.
pub async fn show(Shared(web): Shared<Web>) -> Json<Value> {
    Json(document(web.door.asks_for_a_token()))
}

/// Everything that the API answers.
pub fn document(asks_for_a_token: bool) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut shapes = settings
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = shapes.subschema_for::<Problem<Nothing>>();
    let paths = paths(&mut shapes);
    let components = json!({
        "schemas": shapes.take_definitions(true),
        "responses": { "Problem": {
            "description": "Why it was not done, in words that say what to do instead",
            "content": { "application/problem+json": { "schema": problem } },
        } },
        "securitySchemes": {
            "bearer": { "type": "http", "scheme": "bearer", "description": "auth_token of the rules file" },
            "basic": { "type": "http", "scheme": "basic", "description": "Any user; the token as password" },
        },
    });
    let security = match asks_for_a_token {
        true => json!([{ "bearer": [] }, { "basic": [] }]),
        false => json!([]),
    };
    json!({
        "openapi": "3.1.0",
        "info": { "title": "postwatch", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT },
        "paths": paths,
        "components": components,
        "security": security,
    })
}

fn paths(shapes: &mut SchemaGenerator) -> Value {
    let mut explained = answers::<Explanation>(shapes);
    explained = json!({ "anyOf": [explained, answers::<Conversion>(shapes)] });
    json!({
        "/api/openapi.json": { "get": does("This document", &[], json!({ "type": "object" }), &[]) },
        "/api/v1/alerts": { "get": does(
            "The alerts that stand, the worst first, and what holds their messages back",
            &[several("filter", "A matcher that their labels must match: affiliate=\"7\", host=~\"s2s.*\"")],
            answers::<Standing>(shapes),
            &[(400, "A filter is no matcher")],
        ) },
        "/api/v1/deliveries": { "get": does(
            "Deliveries that failed within the look-back, the latest first, each with its whole life",
            &of_deliveries(),
            answers::<Found<DeliveryFound>>(shapes),
            &[(400, UNCLEAR)],
        ) },
        "/api/v1/explain": { "get": does(
            "Why a rule's alerts fire or do not; or what became of a conversion",
            &of_explain(),
            explained,
            &[(400, "It asks for nothing, or for several things"), (404, "What it asks for is not known")],
        ) },
        "/api/v1/outbox": { "get": does(
            "Messages that nobody has got yet, and those that were given up; oldest first",
            &[], answers::<Shown>(shapes), &[],
        ) },
        "/api/v1/outbox/resend": { "post": does(
            "Sends given-up messages again, with their ids: one by its number, or all",
            &[
                one("number", "As /api/v1/outbox has it", json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })),
                one("all", "Every one of them", json!({ "type": "boolean" })),
            ],
            answers::<SentAgain>(shapes),
            &[(400, "It does not say which"), (404, "There is no such given-up message")],
        ) },
        "/api/v1/postbacks": { "get": does(
            "Postbacks with a failure in the look-back, and how near each is to being switched off; by source and number",
            &of_postbacks(),
            answers::<Found<PostbackFound>>(shapes),
            &[(400, UNCLEAR)],
        ) },
        "/api/v1/reload": { "post": does(
            "Reads the rules file again: all of it is taken up, or nothing",
            &[], answers::<Reloaded>(shapes),
            &[(409, "There is no file, as in the demo"), (422, "The file has mistakes, which are told")],
        ) },
        "/api/v1/silences": { "get": does(
            "All silences that are known, with what each hides",
            &[], answers::<Vec<SilenceStanding>>(shapes), &[],
        ) },
    })
}

fn answers<T: JsonSchema>(shapes: &mut SchemaGenerator) -> Value {
    shapes.subschema_for::<T>().to_value()
}

fn does(summary: &str, parameters: &[Value], answer: Value, problems: &[(u16, &str)]) -> Value {
    let mut responses = Map::new();
    let good = json!({ "description": "It is answered", "content": { "application/json": { "schema": answer } } });
    responses.insert("200".to_owned(), good);
    for (status, description) in problems.iter().chain(&ALWAYS) {
        let problem =
            json!({ "$ref": "#/components/responses/Problem", "description": description });
        responses.insert(status.to_string(), problem);
    }
    json!({ "summary": summary, "parameters": parameters, "responses": responses })
}

fn one(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// A parameter that may be there more than once.
fn several(name: &str, description: &str) -> Value {
    one(name, description, json!({ "type": "array", "items": { "type": "string" } }))
}

fn labels() -> impl Iterator<Item = Value> {
    Label::ALL.into_iter().map(|label| {
        let about = "A value, in which * and ? may stand; of several any will do";
        let mut label = several(label.as_str(), about);
        label["schema"]["maxItems"] = json!(MOST_VALUES);
        label
    })
}

/// `cursor` as [`crate::domain::search`] writes it.
fn pages(cursor: &str) -> [Value; 2] {
    let limit = json!({ "type": "integer", "minimum": LIMITS.start(), "maximum": LIMITS.end(), "default": 100 });
    let cursor = json!({ "type": "string", "pattern": cursor });
    [one("limit", "At most so many", limit), one("cursor", "`next` of the page before", cursor)]
}

fn of_postbacks() -> Vec<Value> {
    labels().chain(pages("^[a-z0-9_-]+[.][0-9]{1,18}$")).collect()
}

fn of_deliveries() -> Vec<Value> {
    let states: Vec<&str> = ["failing"].into_iter().chain(Ended::ALL.map(Ended::as_str)).collect();
    let text = || json!({ "type": "string" });
    let moment = || json!({ "type": "string", "format": "date-time" });
    let own = [
        one(
            "state",
            "failing, or how it ended; of several any will do",
            json!({ "type": "array", "items": { "enum": states }, "maxItems": MOST_VALUES }),
        ),
        one("conversion", "A conversion id of the network", text()),
        one("transaction", "A transaction id", text()),
        one("since", "Not before", moment()),
        one("until", "Before", moment()),
    ];
    own.into_iter().chain(labels()).chain(pages("^-?[0-9]{1,11}-[0-9a-f]{1,32}$")).collect()
}

fn of_explain() -> Vec<Value> {
    let text = || json!({ "type": "string" });
    let own = [
        one("rule", "A rule of the rules file, or a built-in one", text()),
        one("conversion", "A conversion id, in place of a rule", text()),
        one("transaction", "A transaction id, in place of a rule", text()),
    ];
    let labels = labels().map(|mut label| {
        label["schema"] = text();
        label["description"] =
            json!("With a rule: a label that its groups must have; * and ? may stand in it");
        label
    });
    own.into_iter().chain(labels).collect()
}
