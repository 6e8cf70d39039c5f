//! Questions as the report and the export take them: JSON with times as text
//! and every value of a filter as a string.

use bytes::Bytes;
use serde::Serialize;

use crate::domain::time::Timestamp;
use crate::source::Ask;

#[derive(Serialize)]
struct Body {
    timezone_id: u32,
    from: String,
    to: String,
    query: Query,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
}

#[derive(Serialize)]
struct Query {
    filters: Vec<Filter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclusions: Vec<Filter>,
}

#[derive(Serialize)]
struct Filter {
    resource_type: &'static str,
    /// A number here is a 400.
    filter_id_value: String,
}

/// The body of a question. `format` is `Some("json")` for the export.
pub(super) fn body(ask: &Ask, timezone_id: u32, format: Option<&'static str>) -> Bytes {
    let scope = &ask.scope;
    let status = filter("delivery_status", ask.status.as_str());
    let mut filters = vec![status];
    filters.extend(scope.offers.iter().map(|id| filter("offer", id)));
    filters.extend(scope.affiliates.iter().map(|id| filter("affiliate", id)));
    let mut exclusions = Vec::new();
    exclusions.extend(scope.exclude_offers.iter().map(|id| filter("offer", id)));
    exclusions.extend(scope.exclude_affiliates.iter().map(|id| filter("affiliate", id)));
    let query = Query { filters, exclusions };
    let body = Body { timezone_id, from: time(ask.from), to: time(ask.to), query, format };
    serde_json::to_vec(&body).expect("a struct of texts and numbers is always JSON").into()
}

fn filter(resource_type: &'static str, value: impl ToString) -> Filter {
    Filter { resource_type, filter_id_value: value.to_string() }
}

/// `2024-02-07 00:00:00`, in UTC. Cut to the years 1970 to 9999.
fn time(at: Timestamp) -> String {
    let seconds = at.0.clamp(0, 253_402_200_000);
    let moment = jiff::Timestamp::from_second(seconds).expect("it lies between 1970 and 9999");
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Scope;
    use crate::source::Status;

    #[test]
    fn a_question_is_written_as_documented() {
        let mut ask = Ask {
            status: Status::Failure,
            from: Timestamp(1_707_264_000),
            to: Timestamp(1_707_350_400),
            scope: Scope::default(),
        };
        let check = |ask: &Ask, format, expected: &str| {
            assert_eq!(String::from_utf8_lossy(&body(ask, 67, format)), expected);
        };
        check(
            &ask,
            None,
            r#"{"timezone_id":67,"from":"2024-02-07 00:00:00","to":"2024-02-08 00:00:00","query":{"filters":[{"resource_type":"delivery_status","filter_id_value":"failure"}]}}"#,
        );
        ask.scope = Scope { offers: vec![11], exclude_affiliates: vec![7], ..Scope::default() };
        ask.status = Status::Success;
        check(
            &ask,
            Some("json"),
            r#"{"timezone_id":67,"from":"2024-02-07 00:00:00","to":"2024-02-08 00:00:00","query":{"filters":[{"resource_type":"delivery_status","filter_id_value":"success"},{"resource_type":"offer","filter_id_value":"11"}],"exclusions":[{"resource_type":"affiliate","filter_id_value":"7"}]},"format":"json"}"#,
        );
    }

    #[test]
    fn no_moment_is_too_far() {
        assert_eq!(time(Timestamp(i64::MIN)), "1970-01-01 00:00:00");
        assert!(time(Timestamp(i64::MAX)).starts_with("9999-12-30"));
    }
}
