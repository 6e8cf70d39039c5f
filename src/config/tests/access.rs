//! `auth_token` and `protect_metrics`.

use super::*;

fn with(lines: &str) -> String {
    format!("sources: [{{ name: a, api_key: k }}]\n{lines}\n")
}

#[test]
fn the_token_is_taken_from_the_environment_or_a_file_and_never_shown() {
    for lines in [
        "auth_token: \"${EVERFLOW_API_KEY}-and-more\"\nprotect_metrics: true",
        "auth_token_file: /run/secrets/token\nprotect_metrics: true",
    ] {
        let text = with(lines);
        let read_file = |path: &str| match path {
            "/run/secrets/token" => Ok("everflow-secret-and-more\n".to_owned()),
            _ => Err(ErrorKind::NotFound.into()),
        };
        let env = |_: &str| Some("everflow-secret".to_owned());
        let (config, report) = parse(&text, &env, &read_file);
        assert_eq!(lines_of(&report), Vec::<String>::new());
        let access = config.expect("no mistake, so a config").access;
        assert!(!format!("{access:?}").contains("secret"), "{access:?}");
        let token = access.token.map(|token| token.expose().to_owned());
        assert_eq!(token.as_deref(), Some("everflow-secret-and-more"));
        assert!(access.protects_metrics);
    }
    let config = read(&with("")).0.expect("no mistake, so a config");
    assert_eq!(config.access, AccessConfig::default());
}

fn lines_of(report: &Report) -> Vec<String> {
    lines(&report.mistakes)
}

#[test]
fn a_token_that_can_be_guessed_or_protects_nothing_is_a_mistake() {
    let short =
        "is too short, or not plain ASCII; take 16 characters or more: openssl rand -hex 32";
    check(&with("auth_token: hunter2"), [&format!("2:13: `auth_token` {short}")]);
    check(&with("auth_token: ünsafe-and-long-enough"), [&format!("2:13: `auth_token` {short}")]);
    check(
        &with("auth_token_file: /run/secrets/key"),
        [&format!("2:18: `auth_token_file` {short}")],
    );
    check(
        &with("auth_token_file: /run/secrets/nowhere\nprotect_metrics: true"),
        [
            "2:18: the file of `auth_token_file` cannot be read: entity not found; check its path and who may read it",
        ],
    );
    check(
        &with("protect_metrics: true"),
        [
            "2:18: `protect_metrics` protects nothing without `auth_token`; write `auth_token: \"${POSTWATCH_TOKEN}\"` too, or remove it",
        ],
    );
}

#[test]
fn a_replay_needs_no_token() {
    let env = |_: &str| None;
    let read_file = |_: &str| Err(ErrorKind::NotFound.into());
    for lines in ["auth_token: \"${NOWHERE}\"", "auth_token_file: /run/secrets/nowhere"] {
        let (config, report) =
            understand(&with(lines), &env, &read_file, environment::Unset::Forgiven);
        assert_eq!(lines_of(&report), Vec::<String>::new());
        assert_eq!(config.expect("no mistake, so a config").access, AccessConfig::default());
    }
}
