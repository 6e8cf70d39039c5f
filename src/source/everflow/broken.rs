//! Bodies that others collected to break parsers, as the network's answers, and
//! answers that are too large: none is half read, and nothing hangs.

use serde::de::IgnoredAny;

use super::tests::{ROW, failures, lines, ok, setup};
use super::*;
use crate::source::ReportApi;

#[path = "../../../tests/support/suites.rs"]
#[expect(dead_code, clippy::duplicate_mod, reason = "only the bodies are of interest here")]
mod suites;

/// Rows that could be read, and those that could not.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Counted {
    good: usize,
    bad: usize,
}

impl Counted {
    fn add(&mut self, page: &Page) {
        let good = page.rows().filter(Result::is_ok).count();
        self.good += good;
        self.bad += page.len() - good;
    }
}

impl PageSink for Counted {
    async fn page(&mut self, page: Page) -> bool {
        self.add(&page);
        true
    }
}

/// Whole, by the report and by the export; `None` where it was refused.
async fn read(body: &[u8]) -> [Option<Counted>; 2] {
    let script = || vec![ok(body.to_vec()); 3];
    let (mut by_report, mut by_export) = (Counted::default(), Counted::default());
    let report = match setup(script()).await.api.report(&failures()).await {
        Ok(Report::Whole(page)) => {
            by_report.add(&page);
            Some(by_report)
        }
        Ok(Report::Truncated) | Err(_) => None,
    };
    let export = setup(script()).await.api.export(&failures(), &mut by_export).await;
    [report, export.ok().map(|()| by_export)]
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

#[tokio::test]
async fn no_body_is_half_read() {
    for (name, body) in suites::json_bodies() {
        let is_blank = body.trim_ascii().is_empty();
        for read in read(&body).await.into_iter().flatten() {
            assert_eq!(read.good, 0, "{name} holds no row");
            let is_told = is_blank || read.bad > 0 || !name.starts_with("n_");
            assert!(is_told, "{name} is no JSON: {read:?}");
        }
    }
}

#[tokio::test]
async fn no_body_hides_the_rows_beside_it() {
    for (name, body) in suites::json_bodies() {
        let row = ROW.as_bytes();
        let document = [b"{\"pixels\":[", row, b",", &body, b",", row, b"]}"].concat();
        let is_valid = is_json(&document);
        let [report, export] = read(&document).await;
        assert_eq!(report.is_some(), is_valid, "{name} in a report");
        for read in [report, export].into_iter().flatten() {
            assert!(read.good == 2 && (is_valid || read.bad > 0), "{name}: {read:?}");
        }
        let among_lines = [row, b"\n", &body, b"\n", row, b"\n"].concat();
        if let [_, Some(read)] = read(&among_lines).await {
            let is_counted = read.bad > 0 || body.trim_ascii().is_empty();
            assert!(read.good == 2 && is_counted, "{name} among lines: {read:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_and_counted() {
    let setup = setup(vec![ok(vec![b' '; (64 << 20) + 1])]).await;
    let error = setup.api.report(&failures()).await.expect_err("it is too large");
    assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
    assert_eq!(limits(&setup.metrics, "body"), 1);
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_is_dropped_and_counted_and_the_others_are_read() {
    let long = [b"{\"payload\":\"".as_slice(), &vec![b'x'; 100 << 20], b"\"}\n"].concat();
    let body = [lines(3).as_bytes(), &long, lines(2).as_bytes()].concat();
    let setup = setup(vec![ok(body)]).await;
    let mut read = Counted::default();
    setup.api.export(&failures(), &mut read).await.expect("whole");
    assert_eq!(read, Counted { good: 5, bad: 1 });
    assert_eq!(limits(&setup.metrics, "row"), 1);
}

fn limits(metrics: &Metrics, limit: &str) -> u64 {
    metrics.limits_reached.with_label_values(&["acme", limit]).get()
}
