//! The letter as Slack's Block Kit, within every limit of Slack's: whole
//! alerts go in while there is room, the rest is counted. Lengths are counted
//! in UTF-16, the strictest reading of Slack's word "characters".

use slack_morphism::prelude::*;
use url::Url;

use super::plain::sentence;
use super::sample::Example;
use super::{Entry, Letter, Row, Tone};

/// Slack takes 50; the last three are kept for the count, the link and the footer.
const BLOCKS: usize = 47;
/// Slack refuses messages of more than about 13,000 characters in blocks.
const TOTAL: usize = 9_000;
/// Slack takes 3,000 in a section's text.
const SECTION: usize = 2_900;
/// Slack takes 150 in a header.
const HEADER: usize = 150;

/// The root message's blocks: the batch as it stands, in full.
pub fn root(letter: &Letter) -> Vec<SlackBlock> {
    message(letter, &letter.state, &[])
}

/// A reply in the thread: what changed, and the alerts in full.
pub fn reply(letter: &Letter) -> Vec<SlackBlock> {
    message(letter, &letter.headline, &letter.lead)
}

/// The text beside the blocks: what a phone shows as its notification.
pub fn fallback(letter: &Letter, headline: &str) -> String {
    format!("{} {}", emoji(letter.tone), escape(headline, 1_000))
}

fn message(letter: &Letter, headline: &str, lead: &[String]) -> Vec<SlackBlock> {
    let mut room = Room { blocks: Vec::new(), characters: 0 };
    room.take(vec![header(&format!("{} {headline}", emoji(letter.tone)))]);
    if !lead.is_empty() {
        room.take(vec![section(&escape(&lead.join(" "), SECTION))]);
    }
    if !letter.body.is_empty() {
        room.take(vec![section(&escape(&letter.body.join("\n"), SECTION))]);
    }
    let alone = letter.entries.len() == 1;
    let whole = letter.entries.iter().take_while(|e| room.take(entry(e, alone))).count();
    let short = letter.entries.iter().skip(whole).map(|entry| &entry.row);
    let rows: Vec<&Row> = short.chain(&letter.rows).collect();
    let listed = rows.iter().take_while(|row| room.take(vec![section(&row_text(row))])).count();
    let mut blocks = room.blocks;
    let more = letter.more + rows.len() - listed;
    let link = escape(&letter.link, 500);
    if more > 0 {
        blocks.push(section(&format!("<{link}|+{more} more>")));
    }
    blocks.push(section(&format!("<{link}|Open postwatch>")));
    blocks.push(context(&escape(&letter.footer, SECTION)));
    blocks
}

/// Blocks gathered so far; what does not fit whole stays out.
struct Room {
    blocks: Vec<SlackBlock>,
    characters: usize,
}

impl Room {
    fn take(&mut self, blocks: Vec<SlackBlock>) -> bool {
        let characters: usize = blocks.iter().map(length).sum();
        let fits =
            self.blocks.len() + blocks.len() <= BLOCKS && self.characters + characters <= TOTAL;
        if fits {
            self.blocks.extend(blocks);
            self.characters += characters;
        }
        fits
    }
}

/// Characters of a block with its frame: an overestimate is what is wanted.
fn length(block: &SlackBlock) -> usize {
    serde_json::to_string(block)
        .map_or(TOTAL, |json| json.encode_utf16().count().saturating_sub(50))
}

fn entry(entry: &Entry, alone: bool) -> Vec<SlackBlock> {
    let mut blocks = Vec::new();
    if !alone {
        blocks.push(SlackDividerBlock::new().into());
        blocks.push(section(&title(&entry.row)));
    }
    blocks.push(section(&facts(entry)));
    if let Some((word, cause)) = &entry.cause {
        let advice = entry.advice.as_deref().map(|advice| format!("\n{}", escape(advice, 900)));
        let advice = advice.unwrap_or_default();
        blocks.push(section(&format!("*{word}:* {}{advice}", escape(cause, 900))));
    }
    if !entry.notes.is_empty() {
        let notes: Vec<String> =
            entry.notes.iter().map(|note| format!("*Note:* {}", escape(note, 500))).collect();
        blocks.push(section(&notes.join("\n")));
    }
    blocks.extend(entry.examples.iter().map(|example| section(&example_text(example))));
    blocks.push(context(&rule_line(entry)));
    blocks
}

fn title(row: &Row) -> String {
    format!("{} *{}: {}*", emoji(row.tone), row.badge, escape(&row.title, 900))
}

fn row_text(row: &Row) -> String {
    format!("{}\n{}", title(row), escape(&sentence(&row.status), 500))
}

fn facts(entry: &Entry) -> String {
    let mut lines = vec![escape(&sentence(&entry.row.status), 500)];
    for (measure, value, threshold) in &entry.readings {
        let [measure, value, threshold] = [measure, value, threshold].map(|s| escape(s, 120));
        lines.push(format!("• {measure}: *{value}* (rule: {threshold})"));
    }
    lines.join("\n")
}

fn example_text(example: &Example) -> String {
    let code = |text: &String| format!("`{}`", escape(text, 600));
    let conversion = example.conversion.as_ref().map(|id| format!(" · conversion {}", code(id)));
    let mut lines = vec![
        format!("{} · *{}*", escape(&example.at, 60), escape(&example.tries, 120)),
        format!("{}{}", escape(&example.whose, 400), conversion.unwrap_or_default()),
    ];
    lines.extend(example.url.as_ref().map(code));
    lines.extend(example.answer.as_ref().map(|answer| format!("→ {}", code(answer))));
    lines.join("\n")
}

fn rule_line(entry: &Entry) -> String {
    let mut line = format!("Rule *{}* · {}", escape(&entry.rule, 200), escape(&entry.labels, 900));
    if let Some(runbook) = &entry.runbook {
        line.push_str(&format!(" · {}", linked(runbook)));
    }
    line
}

/// A link only where it is one to a web page.
fn linked(address: &str) -> String {
    match Url::parse(address) {
        // `|` ends the address in Slack's link syntax.
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            format!("<{}|Runbook>", escape_link(&url))
        }
        _ => format!("Runbook: {}", escape(address, 600)),
    }
}

fn escape_link(url: &Url) -> String {
    url.as_str().replace('&', "&amp;").replace('|', "%7C").replace(['<', '>'], "")
}

fn header(text: &str) -> SlackBlock {
    // Plain text takes no escapes, so what could call somebody gives way here.
    let plain = text.replace('<', "‹").replace('>', "›").replace('@', "@\u{2060}");
    let mut length = 0;
    let fits = |c: &char| {
        length += c.len_utf16();
        length <= HEADER
    };
    let clipped: String = plain.chars().take_while(fits).collect();
    SlackHeaderBlock::new(SlackBlockPlainText::new(clipped).with_emoji(true).into()).into()
}

/// `verbatim`: Slack must not find channels, people or addresses in it by itself.
fn section(mrkdwn: &str) -> SlackBlock {
    let text = SlackBlockMarkDownText::new(mrkdwn.to_owned()).with_verbatim(true);
    SlackSectionBlock::new().with_text(text.into()).into()
}

fn context(mrkdwn: &str) -> SlackBlock {
    let text = SlackBlockMarkDownText::new(mrkdwn.to_owned()).with_verbatim(true);
    SlackContextBlock::new(vec![SlackContextBlockElement::MarkDown(text)]).into()
}

/// `text` as mrkdwn that says just that, of at most `max` characters once it is
/// escaped, never cut within an entity.
pub fn escape(text: &str, max: usize) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for (at, c) in text.char_indices() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            // Marks that would end our own bold and code: look-alikes stay readable.
            '`' => "ˋ".to_owned(),
            '*' => "∗".to_owned(),
            '~' => "∼".to_owned(),
            '@' if calls_everybody(&text[at..]) => "@\u{2060}".to_owned(),
            c => c.to_string(),
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

fn emoji(tone: Tone) -> &'static str {
    match tone {
        Tone::Critical => "🔴",
        Tone::Warning => "🟠",
        Tone::Info => "🔵",
        Tone::Unproven => "🟣",
        Tone::Cured => "✅",
    }
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
