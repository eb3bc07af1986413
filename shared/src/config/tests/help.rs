//! `--help` and `--version`.

use super::*;

fn help_of(exit: Exit) -> String {
    assert_eq!((exit.code, exit.to_stdout), (0, true));
    // Lines may be wrapped anywhere between words.
    exit.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn help_gives_every_setting_with_its_variable_and_default() {
    let process = Process::with("--help");
    for (help, sections) in [
        (help_of(process.issuer().unwrap_err()), settings::ISSUER),
        (help_of(process.verifier().unwrap_err()), settings::VERIFIER),
        (help_of(process.up().unwrap_err()), settings::UP),
    ] {
        for setting in settings::of(sections) {
            assert!(help.contains(setting.help), "{}", setting.name);
            let (flag, variable) = (format!("--{}", setting.name), setting.variable());
            if setting.is_secret() {
                assert!(!help.contains(&format!("{flag} ")), "{flag}");
                assert!(help.contains(&format!("{variable}, or {variable}_FILE")), "{variable}");
            } else {
                assert!(help.contains(&flag), "{flag}");
                assert!(help.contains(&format!("[env: {variable}]")), "{variable}");
            }
            if let Some(default) = setting.default {
                assert!(
                    help.contains(&format!("[env: {variable}] [default: {default}]")),
                    "{flag}"
                );
            }
        }
        for section in sections {
            assert!(help.contains(&format!("{}:", section.heading)));
        }
    }
}

#[test]
fn help_gives_the_bounds_that_are_enforced() {
    let help = help_of(Process::with("--help").issuer().unwrap_err());
    for bounds in ["[100ms to 1m]", "[1m to 24h]", "[8 to 64]", "[ES256, EdDSA, RS256]"] {
        assert!(help.contains(bounds), "{bounds}");
    }
}

#[test]
fn version_is_that_of_the_workspace() {
    let exit = Process::with("--version").verifier().unwrap_err();
    let text = format!("tessera-verifier {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(exit, Exit { code: 0, text, to_stdout: true });
}

#[test]
fn the_table_makes_sound_commands() {
    up_command().debug_assert();
    for setting in settings::all() {
        assert!(setting.help.ends_with('.'), "{}", setting.name);
        assert!(setting.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    }
}
