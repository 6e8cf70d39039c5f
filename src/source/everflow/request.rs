//! Sends requests, within the budget and again where that may help. Knows
//! status, headers and time; never what a body means.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AGE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::budget::{Gate, MAX_PAUSE};
use super::network_time::NetworkTime;
use super::refusal::{self, About, Failure, Retry};
use crate::domain::time::Timestamp;
use crate::source::ApiError;

/// The largest body that is held whole, bytes: far more than 1,000 rows.
const MAX_BODY: usize = 64 << 20;
/// As much of an error's body as is looked at, bytes.
const MAX_REFUSAL: usize = 16 << 10;
/// The network counts requests in windows of so many seconds.
const WINDOW: i64 = 30;

/// What is asked, as the metrics name it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Endpoint {
    Report,
    Export,
    Timezones,
    Networks,
    Pixels,
}

impl Endpoint {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Endpoint::Report => "report",
            Endpoint::Export => "export",
            Endpoint::Timezones => "timezones",
            Endpoint::Networks => "networks",
            Endpoint::Pixels => "pixels",
        }
    }
}

/// One request, which may be sent several times.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) endpoint: Endpoint,
    /// Below the base, its query included.
    pub(super) path: String,
    /// POST with this body, or GET.
    pub(super) body: Option<Bytes>,
}

/// A good answer whose body is still to be read. Its turn ends when it is dropped.
pub(super) struct Answer<'a> {
    response: Response,
    _permit: SemaphorePermit<'a>,
}

/// Everything that the requests of one source share.
pub(super) struct Caller {
    pub(super) client: Client,
    /// Without a slash at its end.
    pub(super) base: String,
    pub(super) host: String,
    pub(super) source: String,
    pub(super) key: super::ApiKey,
    pub(super) key_header: HeaderValue,
    pub(super) budget: crate::source::Budget,
    pub(super) gate: Gate,
    pub(super) clock: crate::clock::Clock,
    pub(super) metrics: std::sync::Arc<crate::metrics::Metrics>,
    pub(super) began_at: Instant,
    pub(super) network_time: Mutex<NetworkTime>,
}

impl Caller {
    /// The whole body, after as many tries as the budget allows.
    pub(super) async fn fetch(&self, call: &Call) -> Result<Bytes, ApiError> {
        let mut tries = 0;
        loop {
            let failure = match self.fetch_once(call).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            tries += 1;
            self.before_next(call, tries, failure).await?;
        }
    }

    async fn fetch_once(&self, call: &Call) -> Result<Bytes, Failure> {
        let mut answer = self.open(call).await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(&mut answer).await? {
            if body.len() + chunk.len() > MAX_BODY {
                self.count_limit("body", 1);
                let source = &self.source;
                let message =
                    format!("the network's answer is larger than 64 MiB (source \"{source}\")");
                return Err(refusal::rejected(message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Counts how often an answer went beyond a limit of ours.
    pub(super) fn count_limit(&self, limit: &str, times: u64) {
        let reached = self.metrics.limits_reached.with_label_values(&[&self.source, limit]);
        reached.inc_by(times);
    }

    /// One try, up to the headers of a good answer.
    pub(super) async fn open(&self, call: &Call) -> Result<Answer<'_>, Failure> {
        let permit = self.gate.enter().await;
        let response = self.send(call).await.map_err(|error| {
            self.count(call.endpoint, "error");
            self.about().transport(error)
        })?;
        self.count(call.endpoint, response.status().as_str());
        if !response.status().is_success() {
            return Err(self.refusal(call.endpoint, response).await);
        }
        self.note_time(response.headers());
        if response.headers().get("x-ratelimit-remaining").is_some_and(|left| left == "0") {
            // The next request would be refused. Not the whole window: other
            // customers of the same limit may have used it up in a burst.
            self.gate.hold(Duration::from_secs(2));
        }
        Ok(Answer { response, _permit: permit })
    }

    /// The next part of a body.
    pub(super) async fn chunk(&self, answer: &mut Answer<'_>) -> Result<Option<Bytes>, Failure> {
        answer.response.chunk().await.map_err(|error| self.about().transport(error))
    }

    /// Counted on from there by a clock that nobody sets: rows bear the network's
    /// time, and the machine's may be wrong.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.network_time().now(self.clock.passed(self.began_at))
    }

    /// An error may come from a proxy, and what bears an `Age` from a cache: their
    /// `Date` is not the network's.
    fn note_time(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|value| date(value.to_str().ok()?));
        let Some(at) = date.filter(|_| !headers.contains_key(AGE)) else { return };
        let uptime = self.clock.passed(self.began_at);
        let stepped = self.network_time().tell(at, uptime, self.clock.now());
        if let Some(expected) = stepped {
            tracing::warn!(
                source = self.source,
                told = %at,
                %expected,
                "the network's time is not what was expected, and several replies in a row agree on it: spans follow it from here on"
            );
        }
    }

    fn network_time(&self) -> MutexGuard<'_, NetworkTime> {
        self.network_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, call: &Call) -> reqwest::Result<Response> {
        let url = format!("{}{}", self.base, call.path);
        let mut request = match &call.body {
            Some(body) => self.client.post(url).body(body.clone()),
            None => self.client.get(url),
        };
        request = request.header("x-eflow-api-key", self.key_header.clone());
        request = request.header("content-type", "application/json");
        if call.endpoint != Endpoint::Export {
            // An export of any length is fine as long as something comes; the
            // client's idle time-out watches that.
            request = request.timeout(self.budget.request_timeout);
        }
        request.send().await
    }

    async fn refusal(&self, endpoint: Endpoint, mut response: Response) -> Failure {
        let status = response.status().as_u16();
        let after = self.asked_to_wait(status, response.headers());
        if status == 429 {
            let labels = [&*self.source, endpoint.as_str(), "429"];
            self.metrics.api_throttled.with_label_values(&labels).inc();
        }
        if let Some(after) = after {
            self.gate.hold(after);
        }
        let mut body = BytesMut::new();
        // A body that breaks off still has a status; its words are an extra.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_REFUSAL {
                break;
            }
        }
        body.truncate(MAX_REFUSAL);
        self.about().status(status, &body, after)
    }

    /// How long the network wants to be left alone, in the clock's time.
    fn asked_to_wait(&self, status: u16, headers: &HeaderMap) -> Option<Duration> {
        if status != 429 && status < 500 {
            return None;
        }
        let now = self.time().unwrap_or_else(|| self.clock.now());
        let told =
            headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        told.or_else(|| (status == 429).then(|| until_window_turns(now, fastrand::f64())))
    }

    /// Waits until another try makes sense.
    ///
    /// # Errors
    /// The failure itself, where none does.
    pub(super) async fn before_next(
        &self,
        call: &Call,
        tries: u32,
        failure: Failure,
    ) -> Result<(), ApiError> {
        let (source, endpoint) = (&*self.source, call.endpoint.as_str());
        tracing::debug!(source, endpoint, tries, error = %failure.error, "request failed");
        let is_last = tries >= self.budget.attempts;
        match failure.retry {
            Retry::BackOff if !is_last => self.clock.sleep(back_off(tries, fastrand::f64())).await,
            // The gate holds every request of this source back until then.
            Retry::After(pause) if !is_last && pause <= MAX_PAUSE => {}
            Retry::Never | Retry::BackOff | Retry::After(_) => return Err(failure.error),
        }
        Ok(())
    }

    pub(super) fn about(&self) -> About<'_> {
        About { source: &self.source, host: &self.host, key: self.key.reveal() }
    }

    fn count(&self, endpoint: Endpoint, status: &str) {
        let labels = [&*self.source, endpoint.as_str(), status];
        self.metrics.api_requests.with_label_values(&labels).inc();
    }
}

/// 1, 2, 4 … up to 60 s, of which chance (0 to 1) takes up to half: clients
/// that failed together do not come back together.
fn back_off(tries: u32, chance: f64) -> Duration {
    let whole =
        Duration::from_secs(1 << tries.saturating_sub(1).min(6)).min(Duration::from_secs(60));
    whole.mul_f64(0.5 + chance / 2.0)
}

/// Seconds, or a date.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    date(value).map(|at| at.since(now))
}

/// As HTTP writes dates.
fn date(value: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(Timestamp(date.as_second()))
}

/// To the next multiple of 30 s, and up to 2 s more by chance (0 to 1). Where
/// the network's windows lie is not known: another 429 waits for the next.
fn until_window_turns(now: Timestamp, chance: f64) -> Duration {
    let left = WINDOW - now.0.rem_euclid(WINDOW);
    Duration::from_secs(left.unsigned_abs()) + Duration::from_secs(2).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_back_off_doubles_up_to_a_minute() {
        let check = |tries, chance, millis: u128| {
            assert_eq!(back_off(tries, chance).as_millis(), millis, "{tries}");
        };
        check(1, 1.0, 1_000);
        check(1, 0.0, 500);
        check(2, 1.0, 2_000);
        check(6, 1.0, 32_000);
        check(7, 1.0, 60_000);
        check(u32::MAX, 1.0, 60_000);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(1_445_412_470);
        let check = |value: &str, seconds: Option<u64>| {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        };
        check("7", Some(7));
        check("Wed, 21 Oct 2015 07:28:00 GMT", Some(10));
        check("Wed, 21 Oct 2015 07:00:00 GMT", Some(0));
        check("soon", None);
        check("-1", None);
        check("", None);
    }

    #[test]
    fn a_window_turns_within_its_length() {
        let check = |now, chance, millis: u128| {
            assert_eq!(until_window_turns(Timestamp(now), chance).as_millis(), millis);
        };
        check(60, 0.0, 30_000);
        check(89, 0.0, 1_000);
        check(61, 1.0, 31_000);
        check(-1, 0.0, 1_000);
    }
}
