//! Deliveries in a compact notation: one character is one step of time.
//!
//! `.` a success, `f` a failure, `r` a failure that a retry cures, `_` nothing; `20.`
//! that many in one step, `[20. 3f]` several kinds in one, `.x60` repeated, and
//! `(..f)x10` too. Blanks mean nothing.

/// Deliveries of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    pub successes: u32,
    pub failures: u32,
    pub recovering: u32,
}

/// What is wrong, and what to write instead.
type Wrong = (String, &'static str);

const MOST_STEPS: usize = 100_000;
const MOST_AT_ONCE: u32 = 100_000;
const DEEPEST: usize = 8;

pub fn parse(text: &str) -> Result<Vec<Step>, Wrong> {
    let mut reader = Reader { rest: text, depth: 0 };
    let steps = reader.steps()?;
    match reader.next() {
        None => Ok(steps),
        Some(c) => Err(stray(c)),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Up to the end, or a bracket that closes.
    fn steps(&mut self) -> Result<Vec<Step>, Wrong> {
        let mut steps = Vec::new();
        while let Some(c) = self.peek() {
            let group = match c {
                ')' | ']' => break,
                '(' => self.group()?,
                '[' => vec![self.together()?],
                _ => vec![self.one()?],
            };
            let times = self.repetition()?;
            if steps.len() + group.len() * times > MOST_STEPS {
                return Err((format!("the series has more than {MOST_STEPS} steps"), "shorten it"));
            }
            for _ in 0..times {
                steps.extend_from_slice(&group);
            }
        }
        Ok(steps)
    }

    fn group(&mut self) -> Result<Vec<Step>, Wrong> {
        self.next();
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(("brackets are nested too deeply".to_owned(), "write it out"));
        }
        let steps = self.steps()?;
        self.depth -= 1;
        match self.next() {
            Some(')') => Ok(steps),
            _ => Err(("a `(` has no `)`".to_owned(), "write `(..f)x10`")),
        }
    }

    fn together(&mut self) -> Result<Step, Wrong> {
        self.next();
        let mut all = Step::default();
        loop {
            match self.peek() {
                Some(']') => {
                    self.next();
                    return Ok(all);
                }
                None => return Err(("a `[` has no `]`".to_owned(), "write `[20. 3f]`")),
                Some(_) => {
                    let one = self.one()?;
                    all.successes += one.successes;
                    all.failures += one.failures;
                    all.recovering += one.recovering;
                }
            }
        }
    }

    fn one(&mut self) -> Result<Step, Wrong> {
        let count = self.number()?.unwrap_or(1);
        let none = Step::default();
        match self.next() {
            Some('.') => Ok(Step { successes: count, ..none }),
            Some('f') => Ok(Step { failures: count, ..none }),
            Some('r') => Ok(Step { recovering: count, ..none }),
            Some('_') => Ok(none),
            Some(c) => Err(stray(c)),
            None => Err(("the series ends with a number".to_owned(), "write `3f`: three failures")),
        }
    }

    fn repetition(&mut self) -> Result<usize, Wrong> {
        if self.peek() != Some('x') {
            return Ok(1);
        }
        self.next();
        let times = self.number()?;
        let hint = "write `.x60`: sixty times";
        times.map(|times| times as usize).ok_or_else(|| ("an `x` has no number".to_owned(), hint))
    }

    fn number(&mut self) -> Result<Option<u32>, Wrong> {
        self.peek();
        let digits =
            self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Ok(None);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let count = number.parse().ok().filter(|count| *count <= MOST_AT_ONCE);
        count.map(Some).ok_or_else(|| (format!("{number} are too many"), "write at most 100000"))
    }
}

fn stray(c: char) -> Wrong {
    let hint = "write `.` success, `f` failure, `r` failure that a retry cures, `_` nothing, `20.` \
                twenty in one step, `[20. 3f]` several kinds in one, `.x60` sixty times, `(..f)x10`";
    (format!("`{c}` has no meaning in a series"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps as `successes/failures/recovering`.
    fn check(text: &str, expected: &str) {
        let shown = match parse(text) {
            Ok(steps) => {
                let step =
                    |of: &Step| format!("{}/{}/{}", of.successes, of.failures, of.recovering);
                steps.iter().map(step).collect::<Vec<_>>().join(" ")
            }
            Err((what, _)) => what,
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn a_character_is_a_step() {
        check(".f_r", "1/0/0 0/1/0 0/0/0 0/0/1");
        check("20. 3f", "20/0/0 0/3/0");
        check("[20. 3f r]", "20/3/1");
        check(".x3 f", "1/0/0 1/0/0 1/0/0 0/1/0");
        check("(.f)x2", "1/0/0 0/1/0 1/0/0 0/1/0");
        check("([9. f]x2 _)x2", "9/1/0 9/1/0 0/0/0 9/1/0 9/1/0 0/0/0");
        check("", "");
    }

    #[test]
    fn what_has_no_meaning_is_told() {
        check("..q", "`q` has no meaning in a series");
        check("..)", "`)` has no meaning in a series");
        check("(..", "a `(` has no `)`");
        check("[3f", "a `[` has no `]`");
        check("..3", "the series ends with a number");
        check(".x", "an `x` has no number");
        check("9999999f", "9999999 are too many");
        check("(.x1000)x1000", "the series has more than 100000 steps");
        check(&"(".repeat(100), "brackets are nested too deeply");
    }
}
