//! Text as Slack's mrkdwn that says just that and calls nobody. Lengths are counted
//! in UTF-16, the strictest reading of Slack's word "characters".

use url::Url;

/// `text` as mrkdwn that says just that, of at most `max` characters once it is
/// escaped, never cut within an entity.
pub fn escape(text: &str, max: usize) -> String {
    // Marks that would end our own bold: look-alikes stay readable.
    escaped(text, max, |c| match c {
        '*' => Some("∗"),
        '~' => Some("∼"),
        _ => None,
    })
}

/// The same between the marks of a code block, where an address keeps its signs.
pub fn escape_code(text: &str, max: usize) -> String {
    escaped(text, max, |_| None)
}

fn escaped(text: &str, max: usize, mark: impl Fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for (at, c) in text.char_indices() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            // It would end our own code.
            '`' => "ˋ".to_owned(),
            '@' if calls_everybody(&text[at..]) => "@\u{2060}".to_owned(),
            c => mark(c).map_or_else(|| c.to_string(), str::to_owned),
        };
        let width = piece.encode_utf16().count();
        if length + width >= max {
            escaped.push('…');
            return escaped;
        }
        escaped.push_str(&piece);
        length += width;
    }
    escaped
}

/// Slack has these words without any mark-up; an invisible joiner behind the
/// `@` keeps a name from calling people.
fn calls_everybody(text: &str) -> bool {
    let word: String = text.chars().take(9).collect::<String>().to_lowercase();
    ["@channel", "@here", "@everyone"].iter().any(|call| word.starts_with(call))
}

/// A link where the address is one to a web page; else it stays a text.
pub fn linked(address: &str, word: &str) -> String {
    match web_address(address) {
        Some(url) => format!("<{}|{word}>", escape_link(&url)),
        None => format!("{word}: {}", escape(address, 600)),
    }
}

/// An address that a browser may be sent to: `javascript:` is none.
pub fn web_address(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// `|` ends the address in Slack's link syntax.
fn escape_link(url: &Url) -> String {
    url.as_str().replace('&', "&amp;").replace('|', "%7C").replace(['<', '>'], "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_escaped_marks_nothing_up_and_keeps_its_limit(text in ".*", max in 1..60_usize) {
            let escaped = escape(&text, max);
            prop_assert!(escaped.encode_utf16().count() <= max);
            prop_assert!(!escaped.contains(['<', '>', '`', '*']));
            prop_assert!(!escape_code(&text, max).contains(['<', '>', '`']));
            let entities = ["amp;", "lt;", "gt;"];
            for rest in escaped.split('&').skip(1) {
                prop_assert!(entities.iter().any(|entity| rest.starts_with(entity)), "{escaped}");
            }
        }
    }

    #[test]
    fn an_address_keeps_its_sign_and_a_call_is_broken() {
        assert_eq!(escape("a@b.example", 40), "a@b.example");
        assert_eq!(escape("@Here", 40), "@\u{2060}Here");
    }
}
