//! The command line: accounts and users.

use serde_json::{Value, json};
use tessera_tests::{cli::Cli, on_every_backend, service::ADMIN_PASSWORD, system::Backend};

on_every_backend!(an_account_and_its_users_are_administered, what_may_not_be_done_says_so);

const PASSWORD: &str = "a passphrase of anna's own";

fn id(record: &Value) -> i64 {
    record["id"].as_i64().unwrap()
}

async fn an_account_and_its_users_are_administered(backend: Backend) {
    let system = backend.start().await;
    let (admin, anna) = (Cli::of(&system), Cli::of(&system));
    admin.login("admin", ADMIN_PASSWORD);
    let account = admin.run("--output json admin account create Acme").json();
    let account = id(&account);
    let create = format!(
        "--output json admin user create Anna --role Users --account {account} --password-stdin"
    );
    let made = admin.pipe(&format!("{PASSWORD}\n"), &create).json();
    assert_eq!((&made["username"], &made["account_id"]), (&json!("anna"), &json!(account)));
    let user = id(&made);
    anna.login("anna", PASSWORD);
    assert_eq!(anna.run("--output json whoami").json()["user_id"], user);

    let users = admin.run(&format!("--output json admin user list --account {account}")).json();
    assert_eq!(users.as_array().unwrap().len(), 1);
    assert_eq!(users[0], admin.run(&format!("--output json admin user show {user}")).json());
    let table = admin.run(&format!("admin user list --account {account}")).ok();
    assert!(table.lines().nth(1).unwrap().starts_with(&user.to_string()), "{table}");
    let accounts = admin.run("--output json admin account list").json();
    let names: Vec<_> = accounts.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["First account", "Acme"]);

    admin.run(&format!("admin user disable {user}")).ok();
    anna.run("whoami").fails(26, "UNAUTHENTICATED");
    anna.pipe(PASSWORD, "login -u anna --password-stdin").fails(26, "[LOGIN_FAILED]");
    admin.run(&format!("admin user enable {user}")).ok();
    anna.login("anna", PASSWORD);
    admin.run(&format!("admin account disable {account}")).ok();
    anna.run("whoami").fails(26, "UNAUTHENTICATED");
    admin.run(&format!("admin account enable {account}")).ok();

    let set = format!("admin user set-password {user} --password-stdin");
    admin.pipe("another passphrase for anna\n", &set).ok();
    anna.pipe(PASSWORD, "login -u anna --password-stdin").fails(26, "[LOGIN_FAILED]");
    anna.login("anna", "another passphrase for anna");
    let variable = [("TESSERA_NEW_PASSWORD", PASSWORD)];
    admin.run_with(&format!("admin user set-password {user}"), "", &variable).ok();
    anna.login("anna", PASSWORD);
    let roles = admin.run("--output json admin role list").json();
    assert!(roles.as_array().unwrap().iter().any(|role| role["name"] == "Engineers"), "{roles}");
}

async fn what_may_not_be_done_says_so(backend: Backend) {
    let system = backend.start().await;
    let (admin, other) = (Cli::of(&system), Cli::of(&system));
    admin.login("admin", ADMIN_PASSWORD);
    let user = system.user("Users").await;
    other.login(&user.username, &user.password);
    other.run("admin user list").fails(17, "[NOT_PERMITTED]");
    other.run("token create t --role Administrators").fails(17, "[ROLE_ABOVE_CALLER]");
    admin.run("admin user disable 1").fails(19, "[SELF_DISABLE]");
    admin.run("admin user show 99").fails(15, "[NOT_FOUND]");
    let again = format!("admin user create {} --role Users --password-stdin", user.username);
    admin.pipe(PASSWORD, &again).fails(16, "[USERNAME_TAKEN]");
    let wrong = "admin user create a/b --role Kings --password-stdin";
    let refused = admin.pipe("short", wrong);
    for field in ["username: ", "password: ", "role: "] {
        assert!(refused.stderr.contains(field), "{refused:?}");
    }
    refused.fails(13, "[INVALID_FIELD]");
    admin.run("admin user show x").fails(2, "error: ");
    admin.run("no-such-command").fails(2, "error: ");
    let nowhere = [("TESSERA_ISSUER", "http://127.0.0.1:1")];
    // The session's tokens are sent to no other issuer, not even to look.
    admin.run_with("whoami", "", &nowhere).fails(2, "the session is with");
    let nobody = Cli::of(&system).and("TESSERA_ISSUER", "http://127.0.0.1:1");
    nobody.pipe(PASSWORD, "login -u admin --password-stdin").fails(24, "UNAVAILABLE");
}
