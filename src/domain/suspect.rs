//! Payloads that were answered 200 and yet cannot have worked: a macro that nobody
//! replaced, or a click id that is empty. To the network they are successes.

/// The names of the parameters of `template` whose value is a macro for a click id. No
/// value of the template is kept: it may hold a token.
pub fn click_parameters(template: &str) -> Vec<String> {
    let is_of_click = |(name, value): &(&str, &str)| {
        let value = value.to_ascii_lowercase();
        let a_macro = value.strip_prefix('{').and_then(|value| value.strip_suffix('}'));
        a_macro.is_some_and(|a_macro| {
            matches!(a_macro, "sub1" | "transaction_id" | "click_id" | "clickid")
                || a_macro.starts_with("sub") && is_click_name(name)
        })
    };
    let found = parameters(template).filter(is_of_click);
    found.map(|(name, _)| name.to_owned()).take(MOST_PARAMETERS).collect()
}

/// A template with more of them is none that a partner wrote.
const MOST_PARAMETERS: usize = 20;

/// Whether `payload` holds an unreplaced macro, or no value where one of
/// `click_parameters` has its click id.
pub fn is_suspect(payload: &str, click_parameters: &[String]) -> bool {
    has_macro(payload)
        || !click_parameters.is_empty()
            && parameters(payload).any(|(name, value)| {
                value.is_empty() && click_parameters.iter().any(|known| known == name)
            })
}

/// `{sub5}`, or the same percent-encoded.
fn has_macro(payload: &str) -> bool {
    // Nearly no payload has one: most are told apart without a copy.
    let is_encoded = |(at, _): (usize, &str)| {
        payload.as_bytes()[at..].get(..3).is_some_and(|code| code.eq_ignore_ascii_case(b"%7b"))
    };
    if !payload.contains('{') && !payload.match_indices('%').any(is_encoded) {
        return false;
    }
    let lower = payload.to_ascii_lowercase();
    [("{", "}"), ("%7b", "%7d")].iter().any(|(open, close)| {
        lower.match_indices(open).any(|(at, _)| {
            let inner = lower[at + open.len()..].split(close).next().unwrap_or_default();
            let is_closed = at + open.len() + inner.len() < lower.len();
            is_closed && !inner.is_empty() && inner.bytes().all(is_of_name)
        })
    })
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_click_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("click") || matches!(name.as_str(), "cid" | "tid" | "txid" | "subid")
}

/// The query's names and values, as they stand there.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split('#').next().and_then(|url| url.split_once('?'));
    let pairs = query.map_or("", |(_, query)| query).split('&');
    pairs.filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str =
        "https://a.example/p?cid={sub1}&tid={transaction_id}&aff={affiliate_id}&s5={sub5}&token=x";

    #[test]
    fn click_parameters_are_those_whose_macro_is_a_click_id() {
        assert_eq!(click_parameters(TEMPLATE), ["cid", "tid"]);
        assert_eq!(click_parameters("https://a.example/p?click={SUB3}&x={sub4}"), ["click"]);
        assert!(click_parameters("https://a.example/p?cid=7").is_empty());
        assert!(click_parameters("<img src=x>").is_empty());
    }

    #[test]
    fn a_payload_is_suspect_with_a_macro_left_or_its_click_id_missing() {
        let known = click_parameters(TEMPLATE);
        let check = |query: &str, expected: bool| {
            let payload = format!("https://a.example/p?{query}");
            assert_eq!(is_suspect(&payload, &known), expected, "{query}");
        };
        check("cid=1&tid=2&s5=", false);
        check("cid=&tid=2&s5=9", true);
        check("cid&tid=2", true);
        check("tid=2", false);
        check("cid=1&s5={sub5}", true);
        check("cid=1&s5=%7Bsub5%7D", true);
        check("cid=1&s5=%7bsub5%7d", true);
        check("cid=1&json={\"a\":1}", false);
        check("cid=1&x={}", false);
        check("cid=1&x={open", false);
        assert!(!is_suspect("https://a.example/p?cid=", &[]), "no template is known");
    }
}
