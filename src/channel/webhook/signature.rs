//! The headers of Standard Webhooks: <https://www.standardwebhooks.com>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{self, Key};

/// Names the message, the same at every try; says when this try was made, in
/// seconds; and, where there is a key, proves both and the body.
pub fn headers(
    key: Option<&Key>,
    id: &str,
    sent_at: i64,
    body: &str,
) -> Vec<(&'static str, String)> {
    let id: String = id.chars().filter(char::is_ascii_graphic).collect();
    let mut headers = vec![("webhook-timestamp", sent_at.to_string())];
    if let Some(key) = key {
        let proof = hmac::sign(key, format!("{id}.{sent_at}.{body}").as_bytes());
        headers.push(("webhook-signature", format!("v1,{}", STANDARD.encode(proof))));
    }
    headers.push(("webhook-id", id));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples that Standard Webhooks and Svix publish.
    #[test]
    fn signatures_are_those_of_the_published_examples() {
        let check = |secret: &str, id: &str, sent_at, body: &str, expected: &str| {
            let secret = STANDARD.decode(secret).expect("a constant");
            let key = Key::new(hmac::HMAC_SHA256, &secret);
            let headers = headers(Some(&key), id, sent_at, body);
            let signature = headers.iter().find(|(name, _)| *name == "webhook-signature");
            assert_eq!(signature.map(|(_, value)| value.as_str()), Some(expected));
        };
        check(
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        );
        check(
            "plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1_731_705_121,
            r#"{"event_type":"ping","data":{"success":true}}"#,
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        );
    }

    #[test]
    fn without_a_key_nothing_is_claimed() {
        let headers = headers(None, "a-1\r\nX: y", 7, "{}");
        let expected = [("webhook-timestamp", "7".to_owned()), ("webhook-id", "a-1X:y".to_owned())];
        assert_eq!(headers, expected);
    }
}
