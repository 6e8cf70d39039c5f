//! What a request to the postback report asks for, read as strictly as the
//! network reads it.

use serde::Deserialize;

use crate::domain::time::Timestamp;

use super::network::{Delivery, Network};
use super::zones;

/// A checked request: a span, ends included, and what to keep of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub from: Timestamp,
    pub to: Timestamp,
    pub format: Option<Format>,
    filters: Choice,
    exclusions: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    Json,
    Csv,
}

/// Values by type: any of one type matches it, an empty type says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
struct Choice {
    offers: Vec<u64>,
    affiliates: Vec<u64>,
    successes: Vec<bool>,
}

#[derive(Deserialize)]
struct Written {
    timezone_id: Option<u64>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    query: WrittenQuery,
    format: Option<Format>,
}

#[derive(Deserialize, Default)]
struct WrittenQuery {
    #[serde(default)]
    filters: Vec<WrittenFilter>,
    #[serde(default)]
    exclusions: Vec<WrittenFilter>,
}

#[derive(Deserialize)]
struct WrittenFilter {
    resource_type: String,
    /// Always a string: the network refuses a number.
    filter_id_value: String,
}

impl Question {
    /// Reads a request's body; an error is the network's message.
    pub(super) fn parse(body: &[u8]) -> Result<Question, String> {
        let written: Written =
            serde_json::from_slice(body).map_err(|error| format!("invalid body: {error}"))?;
        let id = written.timezone_id.ok_or("timezone_id is required")?;
        let zone = zones::zone(id).ok_or("unknown timezone_id")?;
        let moment = |text: Option<String>, name: &str, ends| {
            let text = text.ok_or(format!("{name} is required"))?;
            zones::moment(&text, &zone, ends).ok_or(format!("{name} is no valid date"))
        };
        let question = Question {
            from: moment(written.from, "from", false)?,
            to: moment(written.to, "to", true)?,
            format: written.format,
            filters: Choice::parse(written.query.filters)?,
            exclusions: Choice::parse(written.query.exclusions)?,
        };
        match question.from <= question.to {
            true => Ok(question),
            false => Err("from is after to".into()),
        }
    }

    /// Whether the delivery shows and is asked for.
    pub(super) fn takes(&self, network: &Network, delivery: &Delivery) -> bool {
        let offer = network.cast.offers[usize::from(delivery.offer)].id;
        let affiliate = network.cast.affiliates[usize::from(delivery.affiliate)].id;
        let success = delivery.reason.is_none();
        network.is_visible(delivery)
            && self.filters.all_match(offer, affiliate, success)
            && !self.exclusions.any_matches(offer, affiliate, success)
    }
}

impl Choice {
    fn parse(filters: Vec<WrittenFilter>) -> Result<Choice, String> {
        let mut choice = Choice::default();
        for WrittenFilter { resource_type, filter_id_value: value } in filters {
            let number = || value.parse::<u64>().map_err(|_| format!("invalid {resource_type} id"));
            match (resource_type.as_str(), value.as_str()) {
                ("offer", _) => choice.offers.push(number()?),
                ("affiliate", _) => choice.affiliates.push(number()?),
                ("delivery_status", "success") => choice.successes.push(true),
                ("delivery_status", "failure") => choice.successes.push(false),
                (_, _) => return Err(format!("invalid filter {resource_type}")),
            }
        }
        Ok(choice)
    }

    fn all_match(&self, offer: u64, affiliate: u64, success: bool) -> bool {
        (self.offers.is_empty() || self.offers.contains(&offer))
            && (self.affiliates.is_empty() || self.affiliates.contains(&affiliate))
            && (self.successes.is_empty() || self.successes.contains(&success))
    }

    fn any_matches(&self, offer: u64, affiliate: u64, success: bool) -> bool {
        self.offers.contains(&offer)
            || self.affiliates.contains(&affiliate)
            || self.successes.contains(&success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: &str = r#""timezone_id":67,"from":"2024-02-07","to":"2024-02-08 10:00:00""#;

    #[test]
    fn what_the_network_refuses_is_refused() {
        let filter = |filter: &str| format!(r#"{{{SPAN},"query":{{"filters":[{filter}]}}}}"#);
        for (body, told) in [
            (r#"{"from":"2024-02-07","to":"2024-02-08"}"#.into(), "timezone_id is required"),
            (r#"{"timezone_id":67,"to":"2024-02-08"}"#.into(), "from is required"),
            (r#"{"timezone_id":67,"from":"2024-02-08"}"#.into(), "to is required"),
            (r#"{"timezone_id":67,"from":"x","to":"2024-02-08"}"#.into(), "from is no valid date"),
            (r#"{"timezone_id":670,"from":"x","to":"y"}"#.into(), "unknown timezone_id"),
            (filter(r#"{"resource_type":"offer","filter_id_value":11}"#), "invalid type: integer"),
            (filter(r#"{"resource_type":"offer","filter_id_value":"x"}"#), "invalid offer id"),
            (filter(r#"{"resource_type":"pixel","filter_id_value":"1"}"#), "invalid filter pixel"),
        ] {
            let error = Question::parse(body.as_bytes()).expect_err(&body);
            assert!(error.contains(told), "{body}: {error}");
        }
        let good = filter(r#"{"resource_type":"offer","filter_id_value":"11"}"#);
        assert!(Question::parse(good.as_bytes()).is_ok());
    }

    #[test]
    fn filters_are_ored_in_a_type_and_anded_over_types() {
        let choice = Choice { offers: vec![11, 12], affiliates: vec![3], successes: Vec::new() };
        for (offer, affiliate, all, any) in [
            (11, 3, true, true),
            (12, 3, true, true),
            (13, 3, false, true),
            (11, 4, false, true),
            (13, 4, false, false),
        ] {
            assert_eq!(choice.all_match(offer, affiliate, true), all);
            assert_eq!(choice.any_matches(offer, affiliate, true), any);
        }
    }
}
