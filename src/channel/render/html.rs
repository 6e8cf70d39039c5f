//! The letter as the HTML part of a mail: tables and inline styles, which every
//! mail program shows; no scripts, no images, nothing loaded from anywhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use url::Url;

use super::plain::sentence;
use super::sample::Example;
use super::{Entry, Letter, Row};

/// Programs that know dark mode get its colours; the others keep the inline ones.
const DARK: &str = "@media (prefers-color-scheme:dark){\
.bg{background:#16181c!important}.card{background:#202329!important;border-left-color:#3a3f47!important;border-right-color:#3a3f47!important;border-bottom-color:#3a3f47!important}\
.ink{color:#eceef1!important}.dim{color:#a9b0ba!important}.box{background:#2a2e35!important}\
.line{border-color:#3a3f47!important}.link{color:#8ab8ff!important}}";
const SANS: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";
const MONO: &str = "font-family:Consolas,Menlo,'DejaVu Sans Mono',monospace;";

/// A whole HTML document.
pub fn page(letter: &Letter) -> String {
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="supported-color-schemes" content="light dark";
                title { (letter.headline) }
                style { (PreEscaped(DARK)) }
            }
            body.bg style="margin:0;padding:0;background:#f2f3f5" { (preheader(letter)) (frame(letter)) }
        }
    };
    body.into_string()
}

/// What mail programs show beside the subject; the blanks keep the rest out of it.
fn preheader(letter: &Letter) -> Markup {
    let first = letter.entries.first();
    let cause =
        first.and_then(|entry| entry.cause.as_ref()).map_or("", |(_, cause)| cause.as_str());
    let status = first.map(|entry| sentence(&entry.row.status)).unwrap_or_default();
    html! {
        div style="display:none;max-height:0;overflow:hidden;mso-hide:all;font-size:1px;line-height:1px;color:#f2f3f5" {
            (status) " · " (cause) (PreEscaped("&#847;&zwnj;&nbsp;".repeat(40)))
        }
    }
}

fn frame(letter: &Letter) -> Markup {
    let alone = letter.entries.len() == 1;
    html! {
        table.bg role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f2f3f5" {
            tr { td align="center" style="padding:16px 8px" {
                table.card role="presentation" width="100%" cellpadding="0" cellspacing="0"
                    style={ "max-width:640px;background:#ffffff;border:1px solid #d9dce1;border-top:6px solid " (letter.tone.colour()) ";text-align:left" } {
                    tr { td style={ "padding:20px 24px 8px;" (SANS) } { (head(letter)) } }
                    @for entry in &letter.entries {
                        tr { td.line style={ "padding:8px 24px 16px;" (SANS) (if alone { "" } else { "border-top:1px solid #e3e5e9;" }) } { (entry_part(entry, alone)) } }
                    }
                    (rows_part(letter))
                    tr { td style={ "padding:8px 24px 20px;" (SANS) } { (button(letter)) } }
                }
                p.dim style={ "max-width:640px;margin:12px auto 0;font-size:12px;line-height:18px;color:#69707a;" (SANS) } { (letter.footer) }
            } }
        }
    }
}

fn head(letter: &Letter) -> Markup {
    html! {
        h1.ink style="margin:0;font-size:20px;line-height:27px;font-weight:700;color:#16181c" { (letter.headline) }
        @for sentence in &letter.lead {
            p.ink style="margin:8px 0 0;font-size:15px;line-height:22px;color:#30343a" { (sentence) }
        }
        @for line in &letter.body {
            p.ink style="margin:8px 0 0;font-size:14px;line-height:21px;color:#30343a" { (line) }
        }
    }
}

fn entry_part(entry: &Entry, alone: bool) -> Markup {
    html! {
        @if !alone { (title(&entry.row)) }
        p.dim style="margin:0 0 12px;font-size:14px;line-height:21px;color:#565d66" { (sentence(&entry.row.status)) }
        (readings(entry))
        @if let Some((word, cause)) = &entry.cause { (cause_box(word, cause, entry)) }
        @for note in &entry.notes {
            p.ink style="margin:0 0 10px;font-size:14px;line-height:21px;color:#30343a" { b { "Note: " } (note) }
        }
        @if !entry.examples.is_empty() {
            p.dim style="margin:14px 0 2px;font-size:12px;font-weight:700;letter-spacing:.04em;text-transform:uppercase;color:#69707a" { "Examples" }
        }
        @for example in &entry.examples { (example_part(example)) }
        p.dim style="margin:12px 0 0;font-size:13px;line-height:19px;color:#69707a" {
            "Rule " b { (entry.rule) } " · " (entry.labels)
            @if let Some(runbook) = &entry.runbook { br; "Runbook: " (linked(runbook)) }
        }
    }
}

fn title(row: &Row) -> Markup {
    html! {
        p.ink style="margin:8px 0 2px;font-size:16px;line-height:23px;font-weight:700;color:#16181c" {
            (badge(row)) " " (row.title)
        }
    }
}

fn badge(row: &Row) -> Markup {
    html! {
        span style={ "display:inline-block;padding:0 6px;border-radius:3px;font-size:11px;line-height:18px;font-weight:700;color:#ffffff;background:" (row.tone.colour()) } { (row.badge) }
    }
}

fn readings(entry: &Entry) -> Markup {
    html! {
        @if !entry.readings.is_empty() {
            table role="presentation" cellpadding="0" cellspacing="0" style="margin:0 0 14px" {
                @for (measure, value, threshold) in &entry.readings {
                    tr {
                        td.dim style={ "padding:2px 16px 2px 0;font-size:14px;color:#565d66;" (SANS) } { (measure) }
                        td.ink style={ "padding:2px 16px 2px 0;font-size:18px;font-weight:700;color:#16181c;white-space:nowrap;" (SANS) } { (value) }
                        td.dim style={ "padding:2px 0;font-size:13px;color:#69707a;" (SANS) } { "rule: " (threshold) }
                    }
                }
            }
        }
    }
}

fn cause_box(word: &str, cause: &str, entry: &Entry) -> Markup {
    html! {
        table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:0 0 12px" {
            tr { td.box style={ "padding:10px 14px;background:#f4f5f7;border-left:4px solid " (entry.row.tone.colour()) ";" (SANS) } {
                p.ink style="margin:0;font-size:15px;line-height:22px;color:#16181c" { b { (word) ": " } (cause) }
                @if let Some(advice) = &entry.advice {
                    p.ink style="margin:4px 0 0;font-size:14px;line-height:21px;color:#30343a" { (advice) }
                }
            } }
        }
    }
}

fn example_part(example: &Example) -> Markup {
    html! {
        table.line role="presentation" width="100%" cellpadding="0" cellspacing="0" style="border-bottom:1px solid #e3e5e9;table-layout:fixed" {
            tr { td style={ "padding:8px 0;word-wrap:break-word;overflow-wrap:anywhere;" (SANS) } {
                p.ink style="margin:0;font-size:14px;line-height:20px;color:#16181c" {
                    (example.at) " · " b { (example.tries) }
                }
                p.dim style="margin:0;font-size:13px;line-height:19px;color:#565d66" {
                    (example.whose)
                    @if let Some(id) = &example.conversion { " · conversion " span style=(MONO) { (id) } }
                }
                @if let Some(url) = &example.url {
                    p.dim style={ "margin:4px 0 0;font-size:12px;line-height:17px;color:#565d66;word-break:break-all;" (MONO) } { (url) }
                }
                @if let Some(answer) = &example.answer {
                    p.ink style={ "margin:2px 0 0;font-size:12px;line-height:17px;color:#30343a;" (MONO) } { "→ " (answer) }
                }
            } }
        }
    }
}

fn rows_part(letter: &Letter) -> Markup {
    html! {
        @for row in &letter.rows {
            tr { td.line style={ "padding:8px 24px;border-top:1px solid #e3e5e9;" (SANS) } {
                p.ink style="margin:0;font-size:14px;line-height:20px;color:#16181c" { (badge(row)) " " (row.title) }
                p.dim style="margin:0;font-size:13px;line-height:19px;color:#69707a" { (sentence(&row.status)) }
            } }
        }
        @if letter.more > 0 {
            tr { td.line style={ "padding:10px 24px;border-top:1px solid #e3e5e9;font-size:14px;" (SANS) } {
                a.link href=(letter.link) style="color:#1a5fd0" { "+" (letter.more) " more" }
            } }
        }
    }
}

fn button(letter: &Letter) -> Markup {
    html! {
        table role="presentation" cellpadding="0" cellspacing="0" { tr {
            td style="background:#1a5fd0;border-radius:4px" {
                a href=(letter.link) style={ "display:inline-block;padding:10px 18px;font-size:15px;font-weight:700;color:#ffffff;text-decoration:none;" (SANS) } { "Open postwatch" }
            }
        } }
    }
}

/// A link only where it is one to a web page: `javascript:` stays a text.
fn linked(address: &str) -> Markup {
    let web = Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    html! {
        @if web { a.link href=(address) style="color:#1a5fd0;word-break:break-all" { (address) } } @else { (address) }
    }
}
