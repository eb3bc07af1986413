//! Secrets: where they may come from, and that nothing shows them.

use super::*;

#[test]
fn a_secret_comes_from_a_variable_a_file_or_a_key() {
    let password = |process: &Process| process.issuer().unwrap().store_options.password;
    let expected = Some("hunter2".to_owned());
    assert_eq!(password(&Process::dev("").variable("TESSERA_STORE_PASSWORD", "hunter2")), expected);
    assert_eq!(password(&Process::dev("").file("store-password = 'hunter2'")), expected);

    let mut process = Process::dev("");
    let path = process.path("password");
    std::fs::write(&path, "hunter2\n").unwrap();
    let keyed = format!("store_password_file = '{}'", path.display());
    assert_eq!(password(&process.variable("TESSERA_STORE_PASSWORD_FILE", &path)), expected);
    let process = Process::dev("").file(&keyed);
    // The first process took its folder along; its password must be written again.
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "hunter2").unwrap();
    assert_eq!(password(&process), expected);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn a_byte_order_mark_and_one_trailing_newline_of_a_secrets_file_are_trimmed_and_nothing_else() {
    for (content, secret) in [
        ("a\n", "a"),
        ("a\r\n", "a"),
        ("a\n\n", "a\n"),
        (" a ", " a "),
        ("a", "a"),
        ("\u{feff}a\n", "a"),
    ] {
        let mut process = Process::dev("");
        let path = process.path("password");
        std::fs::write(&path, content).unwrap();
        let config = process.variable("TESSERA_STORE_PASSWORD_FILE", path).issuer().unwrap();
        assert_eq!(config.store_options.password.unwrap(), secret, "{content:?}");
    }
}

#[test]
fn a_secret_given_twice_is_refused_whatever_the_two_sources() {
    let both = Process::dev("")
        .variable("TESSERA_ADMIN_PASSWORD", "hunter2")
        .variable("TESSERA_ADMIN_PASSWORD_FILE", "/nonexistent");
    assert_eq!(
        both.issuer_error(),
        "TESSERA_ADMIN_PASSWORD and TESSERA_ADMIN_PASSWORD_FILE give the same secret twice; keep one of them"
    );
    let across = Process::dev("")
        .variable("TESSERA_STORE_PASSWORD_FILE", "/nonexistent")
        .file("store-password = 'hunter2'");
    assert_eq!(
        across.issuer_error(),
        "store-password in tessera.toml and TESSERA_STORE_PASSWORD_FILE give the same secret twice; keep one of them"
    );
    let keys = Process::dev("").file("store-password = 'hunter2'\nstore-password-file = 'f'");
    assert!(keys.issuer_error().contains("give the same secret twice"));
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    for flags in ["--admin-password=hunter2", "--admin-password hunter2"] {
        assert_eq!(
            Process::dev(flags).issuer_error(),
            "--admin-password: a secret is never given on the command line, where other processes can read it; \
             set TESSERA_ADMIN_PASSWORD, TESSERA_ADMIN_PASSWORD_FILE or, in the configuration file, admin-password"
        );
    }
}

#[test]
fn no_error_of_the_command_line_repeats_a_stray_value() {
    for flags in [
        "--stor=redis://u:hunter2@h",
        "--stor redis://u:hunter2@h",
        "redis://u:hunter2@h",
        "-phunter2",
    ] {
        let exit = Process::dev(flags).issuer().unwrap_err();
        assert!(!exit.text.contains("hunter2"), "{flags}: {}", exit.text);
    }
}

#[test]
fn an_empty_or_unreadable_secret_is_refused() {
    let mut process = Process::dev("");
    let path = process.path("password");
    std::fs::write(&path, "\n").unwrap();
    assert_eq!(
        process.variable("TESSERA_ADMIN_PASSWORD_FILE", path).issuer_error(),
        "TESSERA_ADMIN_PASSWORD_FILE: the secret is empty"
    );
    let text =
        Process::dev("").variable("TESSERA_ADMIN_PASSWORD_FILE", "/nonexistent/p").issuer_error();
    assert!(text.starts_with("TESSERA_ADMIN_PASSWORD_FILE: can't read /nonexistent/p: "), "{text}");
}

#[test]
fn the_first_administrators_password_has_the_length_of_any_password() {
    let said = |flags: &str, password: &str| {
        Process::dev(flags).variable("TESSERA_ADMIN_PASSWORD", password).issuer_error()
    };
    let text = |least: usize| {
        format!(
            "TESSERA_ADMIN_PASSWORD: the value is not a password for a user; expected {least} \
             characters to 1024 bytes"
        )
    };
    assert_eq!(said("", "fourteen chars"), text(15));
    assert_eq!(said("", &"x".repeat(1025)), text(15));
    assert_eq!(said("--password-min-length 20", "fifteen chars !"), text(20));
    for (flags, password) in [
        ("", "fifteen chars !".to_owned()),
        ("", "ü".repeat(15)),
        ("", "x".repeat(1024)),
        ("--password-min-length 8", "8 chars!".to_owned()),
    ] {
        let process = Process::dev(flags).variable("TESSERA_ADMIN_PASSWORD", &password);
        assert_eq!(process.issuer().unwrap().admin_password.unwrap().expose(), password);
    }
    let mut process = Process::dev("");
    let path = process.path("password");
    std::fs::write(&path, "hunter2\n").unwrap();
    let said = process.variable("TESSERA_ADMIN_PASSWORD_FILE", path).issuer_error();
    assert!(said.starts_with("TESSERA_ADMIN_PASSWORD_FILE: the value is not"), "{said}");
    let said = Process::dev("").file("admin-password = 'hunter2'").issuer_error();
    assert!(said.starts_with("admin-password in tessera.toml: the value is not"), "{said}");
}

#[test]
fn a_malformed_key_encryption_key_is_not_repeated() {
    for bad in ["hunter2".to_owned(), KEY.replace('0', "g"), format!("{KEY}00")] {
        assert_eq!(
            Process::dev("").variable("TESSERA_KEY_ENCRYPTION_KEY", &bad).issuer_error(),
            "TESSERA_KEY_ENCRYPTION_KEY: the value is not a key encryption key; expected 64 hexadecimal digits, \
             from `openssl rand -hex 32`"
        );
    }
    let config = Process::with("--store redis://h").variable("TESSERA_KEY_ENCRYPTION_KEY", KEY);
    let Some(KeyEncryptionKeySource::Given(key)) = config.issuer().unwrap().key_encryption_key
    else {
        panic!("no key")
    };
    assert_eq!(key.expose(), KEY);
}

#[test]
fn a_key_encryption_key_comes_from_a_variable_or_a_command_and_not_from_both() {
    let flags = "--store redis://h --key-encryption-key-command print-it";
    let source = Process::with(flags).issuer().unwrap().key_encryption_key;
    assert!(
        matches!(source, Some(KeyEncryptionKeySource::Command(command)) if command == "print-it")
    );
    let both = Process::with(flags).variable("TESSERA_KEY_ENCRYPTION_KEY", KEY);
    assert_eq!(
        both.issuer_error(),
        "TESSERA_KEY_ENCRYPTION_KEY and --key-encryption-key-command give the same secret twice; keep one of them"
    );
}

#[test]
fn other_key_encryption_keys_are_a_list_of_which_no_error_shows_a_part() {
    let with = |keys: &str| Process::dev("").variable("TESSERA_OTHER_KEY_ENCRYPTION_KEYS", keys);
    let keys = with(&format!("{KEY}, {KEY}")).issuer().unwrap().other_key_encryption_keys;
    assert_eq!(keys.iter().map(Secret::expose).collect::<Vec<_>>(), [KEY, KEY]);
    assert_eq!(
        with(&format!("{KEY},hunter2")).issuer_error(),
        "TESSERA_OTHER_KEY_ENCRYPTION_KEYS: the value is not a list of key encryption keys; expected \
         64 hexadecimal digits, from `openssl rand -hex 32`, with commas between several"
    );
}

#[test]
fn debug_shows_no_secret() {
    let process = Process::with("--dev --store redis://u:hunter2@h:1/0")
        .variable("TESSERA_ADMIN_PASSWORD", "hunter2, and then some")
        .variable("TESSERA_STORE_PASSWORD", "hunter2");
    let shown = format!("{:?} {:?}", process.issuer().unwrap(), process.verifier().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("redis://[redacted]@h:1/0"), "{shown}");
    assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret([redacted])");
}
