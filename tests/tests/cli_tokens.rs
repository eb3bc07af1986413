//! The command line: permanent tokens and verdicts on them.

use serde_json::{Value, json};
use tessera_tests::{
    cli::{Cli, Ran},
    on_every_backend,
    service::ADMIN_PASSWORD,
    system::{Backend, System},
};

on_every_backend!(
    a_token_is_made_listed_changed_rotated_and_revoked,
    a_token_is_shown_once_and_alone_on_standard_output,
    tokens_are_verified_one_or_many_and_the_exit_code_says_how,
    a_permanent_token_stands_for_its_owner,
);

fn admin(system: &System) -> Cli {
    let cli = Cli::of(system);
    cli.login("admin", ADMIN_PASSWORD);
    cli
}

/// Makes a token; its plain string and its id.
fn create(cli: &Cli, rest: &str) -> (String, i64) {
    let made = cli.run(&format!("--output json token create {rest}")).json();
    let plain = made["token"].as_str().unwrap().to_owned();
    (plain, made["permanent_token"]["id"].as_i64().unwrap())
}

/// The objects that stand on a line each.
fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn a_token_is_made_listed_changed_rotated_and_revoked(backend: Backend) {
    let system = backend.start().await;
    let cli = admin(&system);
    let rest = "deploy --role Engineers --audience cdn --allow-cidr 127.0.0.1 --expires-in 90d";
    let (first, id) = create(&cli, rest);
    let shown = cli.run(&format!("--output json token show {id}")).json();
    assert_eq!((&shown["name"], &shown["role"]), (&json!("deploy"), &json!("Engineers")));
    assert_eq!(shown["allowed_cidrs"], json!(["127.0.0.1/32"]));
    assert_eq!((&shown["state"], &shown["secret_version"]), (&json!("ACTIVE"), &json!(1)));
    assert!(shown["expires_at"].is_string(), "{shown}");
    assert!(shown.get("token").is_none());

    let line = format!("--output json token update {id} --name ship --any-address --never");
    let changed = cli.run(&line).json();
    assert_eq!((&changed["name"], &changed["expires_at"]), (&json!("ship"), &Value::Null));
    assert_eq!(changed["allowed_cidrs"], json!([]));
    cli.run(&format!("token update {id}")).fails(2, "required");
    cli.run(&format!("token update {id} --role Kings")).fails(13, "role: ");

    let rotated = cli.run(&format!("--output json token rotate {id} --overlap 1h")).json();
    let second = rotated["token"].as_str().unwrap().to_owned();
    assert_eq!(rotated["permanent_token"]["secret_version"], 2);
    for plain in [&first, &second] {
        cli.pipe(plain, "verify --audience cdn").ok();
    }
    let third = cli.run(&format!("token rotate {id}")).ok();
    cli.pipe(&third, "verify").ok();
    for plain in [&first, &second] {
        assert_eq!(cli.pipe(plain, "verify --max-staleness 0").code, 1);
    }

    let list = cli.run("--output json token list --state active").json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["ship"]);
    let table = cli.run("token list --state active").ok();
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["ID", "NAME", "ROLE", "STATE"]);
    assert_eq!(rows[1][..4], [id.to_string().as_str(), "ship", "Engineers", "active"]);

    let revoked = cli.run(&format!("--output json token revoke {id}")).json();
    assert_eq!(revoked["state"], "REVOKED");
    let answer = cli.pipe(&third, "--output json verify --max-staleness 0");
    assert_eq!(answer.code, 1);
    assert_eq!(lines(&answer)[0]["denial"]["reason"], "REVOKED");
    cli.run(&format!("token rotate {id}")).fails(19, "[TOKEN_ENDED]");
    cli.run("token show 99").fails(15, "[NOT_FOUND]");
}

async fn a_token_is_shown_once_and_alone_on_standard_output(backend: Backend) {
    let system = backend.start().await;
    let cli = admin(&system);
    let made = cli.run("token create ci --role Users");
    assert!(made.stderr.contains("never shown again"), "{made:?}");
    let plain = made.ok();
    assert_eq!(plain.lines().count(), 1);
    assert!(plain.starts_with("tessera_") && plain.trim().len() > 60, "{plain}");
    cli.pipe(&plain, "verify").ok();
    let id = plain.split('_').nth(1).unwrap();
    let secret = plain.trim().rsplit('_').next().unwrap();
    for line in [format!("token show {id}"), "token list".into(), "--output json token list".into()]
    {
        let ran = cli.run(&line);
        assert!(!format!("{ran:?}").contains(secret), "{line}");
        ran.ok();
    }
}

async fn tokens_are_verified_one_or_many_and_the_exit_code_says_how(backend: Backend) {
    let system = backend.start().await;
    let cli = admin(&system);
    let (purge, _) = create(&cli, "purge --role Engineers --audience cdn");
    let (dns, _) = create(&cli, "dns --role Engineers --audience dns");

    let one = cli.pipe(&purge, "--output json verify --audience cdn --scope cdn:purge");
    assert_eq!(one.code, 0);
    let verdict = &lines(&one)[0];
    assert_eq!(
        (&verdict["granted"], &verdict["principal"]["name"]),
        (&json!(true), &json!("purge"))
    );
    let table = cli.pipe(&purge, "verify --audience cdn").ok();
    assert!(table.contains("granted") && table.contains("Engineers"), "{table}");
    let file = cli.home().join("token");
    std::fs::write(&file, &purge).unwrap();
    cli.run(&format!("verify --token-file {}", file.display())).ok();

    let many =
        cli.pipe(&format!("{purge}\n\nbogus\n{dns}\n"), "--output json verify --audience cdn");
    assert_eq!(many.code, 1);
    let answers = lines(&many);
    let told: Vec<_> = answers.iter().map(|it| (&it["line"], &it["granted"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(told, [(&json!(1), &yes), (&json!(3), &no), (&json!(4), &no)]);
    assert_eq!(answers[1]["denial"]["reason"], "MALFORMED");
    assert_eq!(answers[2]["denial"]["reason"], "WRONG_AUDIENCE");
    let all_good = format!("{purge}\n").repeat(1500);
    let table = cli.pipe(&all_good, "verify --audience cdn").ok();
    assert_eq!(table.lines().count(), 1501, "a line for each, over two calls");

    assert_eq!(cli.pipe(&purge, "verify --scope tessera:admin").code, 1);
    cli.pipe(&purge, "verify --scope no-scope").fails(13, "required_scopes[0]");
    cli.run("verify").fails(2, "the list of tokens is empty");
    // An outage is no denial.
    let nowhere = [("TESSERA_VERIFIER", "http://127.0.0.1:1")];
    cli.run_with("verify", &purge, &nowhere).fails(24, "UNAVAILABLE");
}

async fn a_permanent_token_stands_for_its_owner(backend: Backend) {
    let system = backend.start().await;
    let (owner, script) = (admin(&system), Cli::of(&system));
    let (plain, id) = create(&owner, "script --role Users --expires-in 1h");
    let file = script.home().join("token");
    std::fs::write(&file, format!("{plain}\n")).unwrap();
    let file = file.display().to_string();
    let by_file = [("TESSERA_TOKEN_FILE", file.as_str())];
    let by_value = [("TESSERA_TOKEN", plain.as_str())];
    for variables in [by_file, by_value] {
        let me = script.run_with("--output json whoami", "", &variables).json();
        assert_eq!((&me["kind"], &me["token_id"]), (&json!("PERMANENT_TOKEN"), &json!(id)));
    }
    let jwt = script.run_with("token exchange", "", &by_file).ok();
    script.pipe(&jwt, "verify").ok();
    script.run_with("token create more --role Users", "", &by_file).fails(17, "[OUTLIVES_CALLER]");
    script.run_with("admin user list", "", &by_file).fails(17, "[NOT_PERMITTED]");
    script.run_with("token revoke", "", &by_file).ok();
    script.run_with("whoami", "", &by_file).fails(26, "[CREDENTIALS_INVALID]");
    assert_eq!(script.pipe(&jwt, "verify --max-staleness 0").code, 1, "the exchanged one too");
}
