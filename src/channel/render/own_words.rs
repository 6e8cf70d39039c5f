//! A letter in the receiver's own words, where it has templates and they work.

use crate::domain::notify::Notice;
use crate::domain::notify::wording::{self, Wording};

use super::words::{Zone, clean};
use super::{HEADLINE, Letter, frame};

/// Lines of a body that are shown, and how long each may be.
const LINES: usize = 60;
const LINE: usize = 500;

/// Puts `words` in the place of the title and the body of `letter`, and returns
/// why that failed: then the built-in text stays.
pub fn apply(letter: &mut Letter, words: &Wording, notice: &Notice) -> Option<String> {
    let title = words.title.as_ref().map(|template| {
        let of = |built_in: &str| wording::render(template, notice, built_in, &letter.link);
        Ok::<_, String>((of(&letter.headline)?, of(&letter.state)?))
    });
    let built_in = letter.headline.clone();
    let body = words.body.as_ref();
    let body = body.map(|template| wording::render(template, notice, &built_in, &letter.link));
    let mut failed = Vec::new();
    match title.transpose() {
        Ok(Some((headline, state))) => {
            let of = |text: String, built_in: &str| match clean(&text, HEADLINE) {
                empty if empty.is_empty() => built_in.to_owned(),
                title => title,
            };
            letter.headline = of(headline, &letter.headline);
            letter.state = of(state, &letter.state);
        }
        Ok(None) => {}
        Err(why) => failed.push(format!("title: {why}")),
    }
    match body.transpose() {
        Ok(Some(body)) => replace_body(letter, &body, notice),
        Ok(None) => {}
        Err(why) => failed.push(format!("body: {why}")),
    }
    (!failed.is_empty()).then(|| failed.join("; "))
}

fn replace_body(letter: &mut Letter, body: &str, notice: &Notice) {
    let lines: Vec<String> =
        body.trim().lines().take(LINES).map(|line| clean(line, LINE)).collect();
    if lines.iter().all(String::is_empty) {
        return;
    }
    letter.lead = frame(notice, &Zone::named(&notice.timezone));
    letter.entries.clear();
    letter.rows.clear();
    letter.more = 0;
    letter.body = lines;
}
