//! The token, and the sessions of browsers that showed it. A session is signed with a
//! key that is made of the token: it outlives a restart, and ends with the token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::config::Secret;
use crate::domain::time::Timestamp;

/// For how long a browser need not show the token again.
pub const SESSION_LASTS: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

/// What everybody must show. Compared in constant time.
pub struct Token {
    key: hmac::Key,
    /// What the right token comes to under the key.
    seal: hmac::Tag,
}

/// A browser that showed the token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    pub until: Timestamp,
    /// Tells it from the others.
    pub name: String,
}

impl Token {
    pub fn new(token: &Secret) -> Token {
        let token = token.expose().as_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, token);
        Token { seal: hmac::sign(&key, token), key }
    }

    /// Whether this is it.
    pub fn is(&self, shown: &str) -> bool {
        hmac::verify(&self.key, shown.as_bytes(), self.seal.as_ref()).is_ok()
    }

    /// The value of a new session's cookie.
    pub fn open_session(&self, now: Timestamp) -> String {
        let until = now + SESSION_LASTS;
        let session = Session { until, name: format!("{:032x}", fastrand::u128(..)) };
        let tag = hmac::sign(&self.key, signed(&session).as_bytes());
        format!("{}.{}.{}", session.until.0, session.name, URL_SAFE_NO_PAD.encode(tag))
    }

    /// The session of a cookie's value, while it lasts.
    pub fn session(&self, now: Timestamp, cookie: &str) -> Option<Session> {
        let mut parts = cookie.splitn(3, '.');
        let until = Timestamp(parts.next()?.parse().ok()?);
        let session = Session { until, name: parts.next()?.to_owned() };
        let tag = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        hmac::verify(&self.key, signed(&session).as_bytes(), &tag).ok()?;
        (now < until).then_some(session)
    }
}

/// No token is like it: a token has no blanks.
fn signed(session: &Session) -> String {
    format!("a session of postwatch {} {}", session.until.0, session.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_772_366_400);

    fn token(text: &str) -> Token {
        Token::new(&Secret::new(text))
    }

    #[test]
    fn only_the_token_is_the_token() {
        let token = token("correct-horse-battery");
        assert!(token.is("correct-horse-battery"));
        for other in
            ["", "correct-horse-batterx", "correct-horse-battery ", "CORRECT-HORSE-BATTERY"]
        {
            assert!(!token.is(other), "{other:?}");
        }
    }

    #[test]
    fn a_session_lasts_a_week_and_ends_with_its_token() {
        let (one, other) = (token("correct-horse-battery"), token("another-horse-battery"));
        let cookie = one.open_session(NOW);
        assert!(!cookie.contains("horse"), "{cookie}");
        let session = one.session(NOW, &cookie).expect("it was just opened");
        assert_ne!(one.session(NOW, &one.open_session(NOW)), Some(session.clone()));
        assert_eq!(other.session(NOW, &cookie), None);
        assert_eq!(one.session(NOW + SESSION_LASTS, &cookie), None);
        let longer = cookie.replacen(&session.until.0.to_string(), "9999999999", 1);
        for forged in [longer.as_str(), "", "..", "1.2.3", &cookie[..cookie.len() - 1]] {
            assert_eq!(one.session(NOW, forged), None, "{forged}");
        }
    }
}
