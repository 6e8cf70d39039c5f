//! An SMTP server's URL, checked: where, how encrypted, and as whom.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use url::{Url, form_urlencoded};

/// A server and how to speak to it.
pub(super) struct Server {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub credentials: Option<Credentials>,
}

/// When the connection becomes encrypted.
pub(super) enum Tls {
    /// From the first byte: `smtps://`.
    Wrapped(TlsParameters),
    /// By STARTTLS, or not at all.
    Required(TlsParameters),
    /// By STARTTLS where the server offers it.
    Opportunistic(TlsParameters),
    None,
}

impl Server {
    /// No message repeats the URL: it holds a password.
    pub fn parse(text: &str) -> Result<Server, String> {
        let wanted = "write `smtps://user:password@host:465` or `smtp://host:25?tls=opportunistic`";
        let url = Url::parse(text.trim())
            .map_err(|e| format!("`smtp` is no address ({e}); {wanted}; write special characters of a password as %XX"))?;
        let host = match url.host_str() {
            Some(host) if !host.is_empty() => host.trim_matches(['[', ']']).to_owned(),
            _ => return Err(format!("`smtp` names no host; {wanted}")),
        };
        let options = Query::parse(&url)?;
        let credentials = credentials(&url)?;
        let tls = tls(&url, &host, &options, credentials.is_some())?;
        let port = url.port().unwrap_or(match (&tls, &credentials) {
            (Tls::Wrapped(_), _) => 465,
            (_, Some(_)) => 587,
            (_, None) => 25,
        });
        Ok(Server { host, port, tls, credentials })
    }
}

/// What stands behind the `?`.
#[derive(Default)]
struct Query {
    tls: Option<String>,
    ca: Option<String>,
}

impl Query {
    fn parse(url: &Url) -> Result<Query, String> {
        let mut query = Query::default();
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "tls" => query.tls = Some(value.into_owned()),
                "ca" => query.ca = Some(value.into_owned()),
                _ => return Err("`smtp` knows only `tls=` and `ca=` behind the `?`".to_owned()),
            }
        }
        Ok(query)
    }
}

fn tls(url: &Url, host: &str, query: &Query, has_password: bool) -> Result<Tls, String> {
    let default = if has_password { "required" } else { "opportunistic" };
    let mode = query.tls.as_deref();
    let parameters = || parameters(host, query.ca.as_deref());
    match (url.scheme(), mode.unwrap_or(default)) {
        ("smtps", _) if mode.is_none_or(|mode| mode == "required") => {
            Ok(Tls::Wrapped(parameters()?))
        }
        ("smtps", _) => Err("`smtps://` is always encrypted: drop `tls=`".to_owned()),
        ("smtp", "required") => Ok(Tls::Required(parameters()?)),
        ("smtp", "opportunistic" | "none") if has_password => {
            Err("`smtp` would send the password in the clear; write `tls=required`, or `smtps://`"
                .to_owned())
        }
        ("smtp", "opportunistic") => Ok(Tls::Opportunistic(parameters()?)),
        ("smtp", "none") => Ok(Tls::None),
        ("smtp", _) => Err("`tls=` is `required`, `opportunistic` or `none`".to_owned()),
        _ => Err("`smtp` must begin with `smtps://` or `smtp://`".to_owned()),
    }
}

fn parameters(host: &str, ca: Option<&str>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|e| format!("cannot read `ca={file}`: {e}"))?;
        let authority = Certificate::from_pem(&pem)
            .map_err(|_| format!("`ca={file}` holds no certificate in PEM"))?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build_rustls().map_err(|e| format!("cannot set up TLS for the SMTP server: {e}"))
}

fn credentials(url: &Url) -> Result<Option<Credentials>, String> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err("`smtp` holds a password and no user".to_owned()),
        (_, None) => Err("`smtp` holds a user and no password; write `user:password@`".to_owned()),
        (user, Some(password)) => Ok(Some(Credentials::new(decoded(user), decoded(password)))),
    }
}

/// `%40` → `@`. A form's decoder reads `+` as a blank, and `&` as an end: a URL's user does not.
fn decoded(text: &str) -> String {
    let form = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(form.as_bytes()).map(|(text, _)| text.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_travels_in_the_clear() {
        let check = |url: &str, expected: &str| {
            let error = Server::parse(url).map(|_| "fine".to_owned()).unwrap_or_else(|e| e);
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        };
        check("smtps://u:s3cret@mail.example", "fine");
        check("smtp://u:s3cret@mail.example", "fine");
        check("smtp://u:s3cret@mail.example?tls=opportunistic", "in the clear");
        check("smtp://u:s3cret@mail.example?tls=none", "in the clear");
        check("smtp://mail.example?tls=none", "fine");
        check("smtp://mail.example?tls=maybe", "opportunistic");
        check("smtps://mail.example?tls=none", "always encrypted");
        check("smtp://mail.example?tsl=none", "knows only");
        check("smtp://u@mail.example", "no password");
        check("http://u:s3cret@mail.example", "must begin");
        check("mail.example:s3cret", "names no host");
        check("smtp://u:s3cret/@mail.example", "no address");
        check("smtp://mail.example?ca=/nowhere/ca.pem", "cannot read");
    }

    #[test]
    fn ports_and_encryption_have_safe_defaults() {
        let check = |url: &str, port: u16, tls: &str| {
            let server = Server::parse(url).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(server.port, port, "{url}");
            assert_eq!(word(&server.tls), tls, "{url}");
        };
        check("smtps://u:p@h", 465, "Wrapped");
        check("smtp://u:p@h", 587, "Required");
        check("smtp://h", 25, "Opportunistic");
        check("smtp://h:2525?tls=none", 2525, "None");
    }

    fn word(tls: &Tls) -> &'static str {
        match tls {
            Tls::Wrapped(_) => "Wrapped",
            Tls::Required(_) => "Required",
            Tls::Opportunistic(_) => "Opportunistic",
            Tls::None => "None",
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        for (raw, expected) in
            [("a%40b", "a@b"), ("a+b", "a+b"), ("a&b=c", "a&b=c"), ("%E2%82%AC", "€")]
        {
            assert_eq!(decoded(raw), expected);
        }
    }
}
