//! What a newcomer reads first.

use crate::program::Place;

#[tokio::test]
async fn every_help_has_examples_and_exit_codes() {
    let place = Place::new("");
    for command in ["demo", "run", "check", "notify", "deliveries", "completions", "simulate"] {
        let shown = place.run(&format!("{command} --help")).await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        for part in ["Examples:", &format!("postwatch {command}"), "Exit codes: 0", "Usage:"] {
            assert!(shown.out.contains(part), "{command}: no {part:?} in\n{}", shown.out);
        }
        assert_eq!(place.run(&format!("help {command}")).await.out, shown.out);
    }
    let shown = place.run("--help").await;
    for part in ["postwatch demo", "postwatch check", "postwatch run", "Exit codes: 0 fine"] {
        assert!(shown.out.contains(part), "no {part:?} in\n{}", shown.out);
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_says_what_was_wrong() {
    let place = Place::new("");
    for (words, told) in [
        ("", "Usage:"),
        ("frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("run --listen nonsense", "--listen"),
        ("demo --for 5", "has no unit: write `5s` or `5m`"),
        ("simulate --speed 0", "must be a number above 0"),
        ("check --log-format yaml", "text, json"),
        ("check nowhere.yaml", "nowhere.yaml cannot be read"),
        ("run --rules nowhere.yaml", "nowhere.yaml cannot be read"),
        ("run --rules .", "it is a folder"),
        ("simulate --scenario nowhere.yaml", "cannot read nowhere.yaml"),
    ] {
        let ended = place.run(words).await;
        assert_eq!(ended.code, Some(2), "{words}: {ended:?}");
        assert!(ended.err.contains(told), "{words}: {}", ended.err);
    }
}

#[tokio::test]
async fn shells_learn_every_command() {
    let place = Place::new("");
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&format!("completions {shell}")).await;
        assert_eq!(script.code, Some(0), "{script:?}");
        for word in ["deliveries", "silence", "token-file"] {
            assert!(script.out.contains(word), "{shell}: no {word}");
        }
    }
}

#[tokio::test]
async fn the_version_is_one_line() {
    let shown = Place::new("").run("--version").await;
    assert_eq!(shown.out, format!("postwatch {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(shown.code, Some(0));
}
