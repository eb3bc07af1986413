//! The command line: a session from login to logout, and its file.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;
use tessera_tests::{cli::Cli, on_every_backend, service::ADMIN_PASSWORD, system::Backend};

on_every_backend!(
    a_session_lasts_from_login_to_logout,
    a_password_comes_from_input_a_variable_or_a_file_and_never_from_the_command_line,
    a_changed_password_keeps_the_session_and_ends_the_others,
    a_session_is_refreshed_by_itself,
);

const NEW_PASSWORD: &str = "a passphrase that replaces another";

fn mode(cli: &Cli) -> u32 {
    fs::metadata(cli.session_file()).unwrap().permissions().mode() & 0o7777
}

async fn a_session_lasts_from_login_to_logout(backend: Backend) {
    let system = backend.start().await;
    let cli = Cli::of(&system);
    cli.run("whoami").fails(26, "not logged in");
    let told = cli.pipe(ADMIN_PASSWORD, "--output json login -u admin --password-stdin").json();
    assert_eq!(told["username"], "admin");
    assert_eq!(told["session_file"], json!(cli.session_file()));
    assert_eq!(mode(&cli), 0o600);

    let me = cli.run("--output json whoami").json();
    assert_eq!((&me["kind"], &me["name"]), (&json!("SESSION"), &json!("admin")));
    assert_eq!(me["role"], "Administrators");
    let table = cli.run("whoami").ok();
    let role = table.lines().find(|line| line.starts_with("role ")).unwrap();
    assert_eq!(role.split_whitespace().collect::<Vec<_>>(), ["role", "Administrators"]);
    let sessions = cli.run("--output json sessions").json();
    let own: Vec<_> =
        sessions.as_array().unwrap().iter().filter(|session| session["current"] == true).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["id"], me["session_id"]);
    let table = cli.run("sessions").ok();
    assert!(table.starts_with("ID ") && table.contains(&me["session_id"].to_string()), "{table}");

    let kept = fs::read_to_string(cli.session_file()).unwrap();
    cli.run("logout").ok();
    assert!(!cli.session_file().exists());
    cli.run("whoami").fails(26, "not logged in");
    // Somebody who copied the file has nothing.
    fs::write(cli.session_file(), kept).unwrap();
    cli.run("whoami").fails(3, "is open to others");
    fs::set_permissions(cli.session_file(), fs::Permissions::from_mode(0o600)).unwrap();
    cli.run("whoami").fails(26, "UNAUTHENTICATED");
}

async fn a_password_comes_from_input_a_variable_or_a_file_and_never_from_the_command_line(
    backend: Backend,
) {
    let system = backend.start().await;
    let cli = Cli::of(&system);
    let login = "login --username admin";
    let file = cli.home().join("password");
    fs::write(&file, format!("{ADMIN_PASSWORD}\n")).unwrap();
    let file = file.display().to_string();
    cli.pipe(&format!("{ADMIN_PASSWORD}\n"), &format!("{login} --password-stdin")).ok();
    cli.run_with(login, "", &[("TESSERA_PASSWORD", ADMIN_PASSWORD)]).ok();
    cli.run_with(login, "", &[("TESSERA_PASSWORD_FILE", &file)]).ok();
    let both = [("TESSERA_PASSWORD", ADMIN_PASSWORD), ("TESSERA_PASSWORD_FILE", &file)];
    cli.run_with(login, "", &both).fails(2, "TESSERA_PASSWORD");
    cli.run(login).fails(2, "Password is needed");
    cli.run_with(login, "", &[("TESSERA_PASSWORD_FILE", "/nonexistent")]).fails(3, "/nonexistent");

    for line in [
        "login --username admin --password hunter2",
        "login --username admin --password=hunter2",
        "login --username admin hunter2",
        "verify hunter2",
        "password hunter2",
        "admin user create anna hunter2 --role Users",
    ] {
        let ran = cli.run(line);
        assert!(!format!("{ran:?}").contains("hunter2"), "{line}: {ran:?}");
        ran.fails(2, "error: ");
    }

    let before = fs::read(cli.session_file()).unwrap();
    let wrong = [("TESSERA_PASSWORD", "a passphrase that is not the one")];
    cli.run_with(login, "", &wrong).fails(26, "[LOGIN_FAILED]");
    cli.run_with("login --username nobody", "", &wrong).fails(26, "[LOGIN_FAILED]");
    assert_eq!(fs::read(cli.session_file()).unwrap(), before, "a failure keeps the session");
}

async fn a_changed_password_keeps_the_session_and_ends_the_others(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let (here, there) = (Cli::of(&system), Cli::of(&system));
    here.login(&user.username, &user.password);
    there.login(&user.username, &user.password);
    let wrong = format!("a passphrase that is not the one\n{NEW_PASSWORD}\n");
    here.pipe(&wrong, "password --password-stdin").fails(13, "current_password");
    let short = format!("{}\nshort\n", user.password);
    here.pipe(&short, "password --password-stdin").fails(13, "new_password");
    let right = format!("{}\n{NEW_PASSWORD}\n", user.password);
    here.pipe(&right, "password --password-stdin").ok();
    assert_eq!(mode(&here), 0o600);
    here.run("whoami").ok();
    there.run("whoami").fails(26, "UNAUTHENTICATED");
    let login = format!("login --username {} --password-stdin", user.username);
    there.pipe(&user.password, &login).fails(26, "[LOGIN_FAILED]");
    there.login(&user.username, NEW_PASSWORD);
    there.run("whoami").ok();
}

async fn a_session_is_refreshed_by_itself(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let (cli, admin) = (Cli::of(&system), Cli::of(&system));
    cli.login(&user.username, &user.password);
    admin.login("admin", ADMIN_PASSWORD);
    let before = fs::read(cli.session_file()).unwrap();
    // Ends the access tokens made under the old role, and no session.
    admin.run(&format!("admin user update {} --role Engineers", user.id)).ok();
    assert_eq!(cli.run("--output json whoami").json()["role"], "Engineers");
    assert_ne!(fs::read(cli.session_file()).unwrap(), before);
    assert_eq!(mode(&cli), 0o600);
    admin.run(&format!("admin user end-sessions {}", user.id)).ok();
    cli.run("whoami").fails(26, "UNAUTHENTICATED");
}
