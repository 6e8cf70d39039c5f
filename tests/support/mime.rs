//! Reads a mail back: headers and parts, as far as the tests look at them.

/// Headers, unfolded, in order; and the body as it came.
pub struct Mime {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Mime {
    pub fn parse(text: &str) -> Mime {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").expect("a blank line ends the headers");
        let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
        let headers = unfolded.lines().map(|line| {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Mime { headers: headers.collect(), body: body.to_owned() }
    }

    /// The header's value; it must be there exactly once.
    pub fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        let (_, value) = found.next().unwrap_or_else(|| panic!("no header {name}"));
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    /// `(content type, decoded text)` of each part of a multipart.
    pub fn parts(&self) -> Vec<(String, String)> {
        let kind = self.header("content-type");
        let boundary = kind.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
        let boundary = format!("--{}", boundary.expect("a multipart names its boundary"));
        let parts = self.body.split(&boundary).skip(1).filter(|part| !part.starts_with("--"));
        parts.map(|part| Mime::parse(part.trim_start_matches('\n')).decoded()).collect()
    }

    fn decoded(&self) -> (String, String) {
        let text = match self.header("content-transfer-encoding") {
            "quoted-printable" => quoted_printable(&self.body),
            "7bit" => self.body.clone(),
            "base64" => base64(&self.body),
            other => panic!("{other} is not expected"),
        };
        (self.header("content-type").to_owned(), text)
    }
}

fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'=' && after.len() >= 2 {
            let hex = std::str::from_utf8(&after[..2]).expect("two hexadecimal digits");
            bytes.push(u8::from_str_radix(hex, 16).expect("two hexadecimal digits"));
            rest = &after[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn base64(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for digit in text.chars().filter_map(|c| ALPHABET.find(c)) {
        bits = bits << 6 | u32::try_from(digit).expect("below 64");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
