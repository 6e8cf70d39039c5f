//! The letter as Slack's Block Kit, within every limit of Slack's: whole alerts go
//! in while there is room, the rest is counted. What matters at once stands in the
//! message itself; the rest in attachments, which Slack folds where they are long,
//! beside a bar in the colour of its severity.

use slack_morphism::prelude::*;

use super::plain::sentence;
use super::sample::Example;
use super::{Entry, Letter, Row, Tone};

mod mrkdwn;

use mrkdwn::{escape, escape_code, linked, web_address};

/// Slack takes 50; three are kept for the count, the buttons and the footer.
const BLOCKS: usize = 47;
/// Slack refuses messages of more than about 13,000 characters in blocks.
const TOTAL: usize = 9_000;
/// Slack takes 3,000 in a section's text.
const SECTION: usize = 2_900;
/// Slack takes 150 in a header.
const HEADER: usize = 150;
/// Of an example in a code block: three fit into a section.
const EXAMPLE: usize = 900;
/// Slack takes 3,000 in a button's address.
const ADDRESS: usize = 3_000;

/// A message as Slack lays it out.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Message {
    pub blocks: Vec<SlackBlock>,
    pub attachments: Vec<SlackMessageAttachment>,
}

/// The root message: the batch as it stands, in full.
pub fn root(letter: &Letter) -> Message {
    message(letter, &letter.state, &[])
}

/// A reply in the thread: what changed, and the alerts in full.
pub fn reply(letter: &Letter) -> Message {
    message(letter, &letter.headline, &letter.lead)
}

/// The text beside the blocks: what a phone shows as its notification.
pub fn fallback(letter: &Letter, headline: &str) -> String {
    format!("{} {}", emoji(letter.tone), escape(headline, 1_000))
}

fn message(letter: &Letter, headline: &str, lead: &[String]) -> Message {
    let mut room = Room { blocks: BLOCKS, characters: TOTAL };
    let mut blocks = room.take(head(letter, headline, lead)).unwrap_or_default();
    let (above, mut attachments, whole) = match &letter.entries[..] {
        [alone] => alone_in(&mut room, alone),
        several => several_in(&mut room, several),
    };
    let rest = rest(&mut room, letter, whole);
    attachments.extend((!rest.is_empty()).then(|| attachment(letter.tone, rest)));
    blocks.extend(above);
    blocks.extend(buttons(letter));
    let footer = context(&escape(&letter.footer, SECTION));
    match attachments.last_mut().and_then(|last| last.blocks.as_mut()) {
        Some(last) => last.push(footer),
        None => blocks.push(footer),
    }
    Message { blocks, attachments }
}

/// What is left of what Slack takes.
struct Room {
    blocks: usize,
    characters: usize,
}

impl Room {
    /// `blocks`, where all of them fit.
    fn take(&mut self, blocks: Vec<SlackBlock>) -> Option<Vec<SlackBlock>> {
        let left = self.blocks.checked_sub(blocks.len())?;
        let characters: usize = blocks.iter().map(length).sum();
        self.characters = self.characters.checked_sub(characters)?;
        self.blocks = left;
        Some(blocks)
    }
}

/// Characters of a block with its frame: an overestimate is what is wanted.
fn length(block: &SlackBlock) -> usize {
    serde_json::to_string(block)
        .map_or(TOTAL, |json| json.encode_utf16().count().saturating_sub(50))
}

fn head(letter: &Letter, headline: &str, lead: &[String]) -> Vec<SlackBlock> {
    let mut blocks = vec![header(&format!("{} {headline}", emoji(letter.tone)))];
    for lines in [lead.join(" "), letter.body.join("\n")] {
        blocks.extend((!lines.is_empty()).then(|| section(&escape(&lines, SECTION))));
    }
    blocks
}

/// What a message shows of its alerts: above the buttons and beside a coloured bar;
/// and how many are whole.
type Shown = (Vec<SlackBlock>, Vec<SlackMessageAttachment>, usize);

/// The only alert: the headline names it, and nothing of it that matters is folded.
fn alone_in(room: &mut Room, entry: &Entry) -> Shown {
    let Some(above) = room.take(outline(entry)) else { return Shown::default() };
    let beside = room.take(details(entry)).map(|details| attachment(entry.row.tone, details));
    (above, beside.into_iter().collect(), 1)
}

/// Each beside a bar of its own.
fn several_in(room: &mut Room, entries: &[Entry]) -> Shown {
    let attachments = entries.iter().map_while(|entry| {
        let mut blocks = vec![section(&title(&entry.row))];
        blocks.append(&mut outline(entry));
        blocks.append(&mut details(entry));
        room.take(blocks).map(|blocks| attachment(entry.row.tone, blocks))
    });
    let attachments: Vec<SlackMessageAttachment> = attachments.collect();
    let whole = attachments.len();
    (Vec::new(), attachments, whole)
}

/// The alerts after the first `whole`, a row each, and how many more there are.
fn rest(room: &mut Room, letter: &Letter, whole: usize) -> Vec<SlackBlock> {
    let short = letter.entries.iter().skip(whole).map(|entry| &entry.row);
    let rows: Vec<&Row> = short.chain(&letter.rows).collect();
    let listed = rows.iter().map_while(|row| room.take(vec![section(&row_text(row))]));
    let mut blocks: Vec<SlackBlock> = listed.flatten().collect();
    let more = letter.more + rows.len() - blocks.len();
    if more > 0 {
        blocks.push(section(&linked(&letter.link, &format!("+{more} more"))));
    }
    blocks
}

fn attachment(tone: Tone, blocks: Vec<SlackBlock>) -> SlackMessageAttachment {
    SlackMessageAttachment::new().with_color(tone.colour().to_owned()).with_blocks(blocks)
}

/// How long, how much, why, and who must act.
fn outline(entry: &Entry) -> Vec<SlackBlock> {
    let mut blocks = vec![facts(entry)];
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
    blocks
}

/// Examples, and what the alert is called.
fn details(entry: &Entry) -> Vec<SlackBlock> {
    let examples: Vec<String> = entry.examples.iter().map(example_text).collect();
    let code = (!examples.is_empty())
        .then(|| section(&format!("*Examples*\n```{}```", examples.join("\n\n"))));
    code.into_iter().chain([context(&rule_line(entry))]).collect()
}

fn title(row: &Row) -> String {
    format!("{} *{}: {}*", emoji(row.tone), row.badge, escape(&row.title, 900))
}

fn row_text(row: &Row) -> String {
    format!("{}\n{}", title(row), escape(&sentence(&row.status), 500))
}

/// Since when, and each reading as a field: two stand beside each other.
fn facts(entry: &Entry) -> SlackBlock {
    let status = mrkdwn(&escape(&sentence(&entry.row.status), 500));
    let section = SlackSectionBlock::new().with_text(status);
    let fields = entry.readings.iter().map(|(measure, value, threshold)| {
        let [measure, value, threshold] = [measure, value, threshold].map(|s| escape(s, 120));
        mrkdwn(&format!("{measure}\n*{value}*  (rule: {threshold})"))
    });
    let fields: Vec<SlackBlockText> = fields.collect();
    match fields.is_empty() {
        true => section.into(),
        false => section.with_fields(fields).into(),
    }
}

fn example_text(example: &Example) -> String {
    let conversion = example.conversion.as_ref().map(|id| format!(" · conversion {id}"));
    let mut lines = vec![
        format!("{} · {}", example.at, example.tries),
        format!("{}{}", example.whose, conversion.unwrap_or_default()),
    ];
    lines.extend(example.url.clone());
    lines.extend(example.answer.as_ref().map(|answer| format!("→ {answer}")));
    escape_code(&lines.join("\n"), EXAMPLE)
}

fn rule_line(entry: &Entry) -> String {
    let mut line = format!("Rule *{}* · {}", escape(&entry.rule, 200), escape(&entry.labels, 900));
    if let Some(runbook) = &entry.runbook {
        line.push_str(&format!(" · {}", linked(runbook, "Runbook")));
    }
    line
}

/// To the page, and to the runbook where all alerts that are shown have the same.
fn buttons(letter: &Letter) -> Option<SlackBlock> {
    let page = button("postwatch", "Open postwatch", &letter.link);
    let mut runbooks: Vec<&str> =
        letter.entries.iter().map(|entry| entry.runbook.as_deref().unwrap_or_default()).collect();
    runbooks.dedup();
    let runbook = match runbooks[..] {
        [runbook] => button("runbook", "Runbook", runbook),
        _ => None,
    };
    let elements: Vec<SlackActionBlockElement> = page.into_iter().chain(runbook).collect();
    (!elements.is_empty()).then(|| SlackActionsBlock::new(elements).into())
}

fn button(id: &str, word: &str, address: &str) -> Option<SlackActionBlockElement> {
    let url = web_address(address).filter(|url| url.as_str().len() <= ADDRESS)?;
    let button = SlackBlockButtonElement::new(word.into()).with_action_id(id.into()).with_url(url);
    Some(button.into())
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

fn section(text: &str) -> SlackBlock {
    SlackSectionBlock::new().with_text(mrkdwn(text)).into()
}

fn context(text: &str) -> SlackBlock {
    let text = SlackBlockMarkDownText::new(text.to_owned()).with_verbatim(true);
    SlackContextBlock::new(vec![SlackContextBlockElement::MarkDown(text)]).into()
}

/// `verbatim`: Slack must not find channels, people or addresses in it by itself.
fn mrkdwn(text: &str) -> SlackBlockText {
    SlackBlockMarkDownText::new(text.to_owned()).with_verbatim(true).into()
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
