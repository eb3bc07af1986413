//! The embedded store when what it stands on fails: a torn write at the end of its file, a
//! disk that is full, a folder that it may not write. Clear words, and nothing lost.

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use tempfile::TempDir;
use tessera_proto::v1::{DenialReason, LoginRequest, RevokePermanentTokenRequest};
use tessera_tests::{
    ask::{ask, verdict},
    client::{self, Credentials, Issuer, Verifier},
    process::{Process, built, clean},
    promise::dice::Dice,
    service::{self, ADMIN_PASSWORD, Place},
    system::{Backend, System, named},
    tools::run,
};
use tonic::Code;

/// What the file may grow to, in bytes.
const ROOM: u64 = 4 << 20;

async fn two_tokens(system: &System) -> (String, String) {
    let admin = system.admin().await;
    let good = system.permanent(&admin, named("kept")).await.token;
    let ended = system.permanent(&admin, named("ended")).await;
    let request = RevokePermanentTokenRequest { id: ended.permanent_token.unwrap().id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    (good, ended.token)
}

#[tokio::test]
async fn a_torn_write_at_the_end_of_the_file_loses_nothing() {
    let mut dice = Dice::new(7, 7);
    let mut system = Backend::Embedded.start().await;
    // As a file looks that had grown for a write which was then torn: anything, in whole pages
    // and not.
    for length in [4096, 64 << 10, 1 << 20, 1, 1000, 4095, 70_001] {
        let (good, ended) = two_tokens(&system).await;
        system.kill9().await;
        let torn: Vec<u8> = (0..length).map(|_| dice.roll().to_le_bytes()[0]).collect();
        let path = system.data().join("tessera.redb");
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(&torn).unwrap();
        drop(file);
        system.begin().await;
        assert_eq!(system.verdict(ask(&good)).await.unwrap().name, "kept", "{length} bytes");
        assert_eq!(system.verdict(ask(&ended)).await, Err(DenialReason::Revoked));
    }
}

/// `tessera up` whose files may not grow beyond [`ROOM`], so that to grow is an error.
fn up_with_little_room(data: &Path, places: [Place; 2], dir: &Path) -> Process {
    let whole = service::up_command(data, places[0], places[1], &many());
    let mut limited = clean(Path::new("sh"));
    limited
        .args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" -- \"$@\"", &ROOM.to_string()])
        .arg(whole.get_program())
        .args(whole.get_args());
    for (name, value) in whole.get_envs() {
        limited.env(name, value.unwrap());
    }
    Process::start("up", limited, dir)
}

fn many() -> [String; 1] {
    ["--tokens-per-account=100000".to_owned()]
}

async fn clients(up: &mut Process, places: [Place; 2]) -> (Issuer, Verifier) {
    for place in places {
        service::serving(up, place.grpc).await;
    }
    let request = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    let mut issuer = client::issuer(places[0].grpc, &Credentials::none());
    let session = issuer.login(request).await.unwrap().into_inner();
    let issuer = client::issuer(places[0].grpc, &Credentials::bearer(&session.access_token));
    (issuer, client::verifier(places[1].grpc))
}

async fn all_are_good(verifier: &mut Verifier, tokens: &[String]) {
    for token in tokens {
        let answer = verifier.verify(ask(token)).await.expect("a verdict").into_inner();
        assert!(verdict(answer).is_ok(), "lost");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_and_more_room_mends_it() {
    let (dir, places) = (TempDir::new().unwrap(), [Place::free(), Place::free()]);
    let data = dir.path().join("data");
    let mut up = up_with_little_room(&data, places, dir.path());
    let (issuer, mut verifier) = clients(&mut up, places).await;
    let mut kept = Vec::new();
    let refused = 'full: loop {
        // Several at once, since each batch is a flush of the disk.
        let creating: Vec<_> = (0..32)
            .map(|_| {
                let mut issuer = issuer.clone();
                let mut request = named("until it is full");
                request.description = "x".repeat(1000);
                tokio::spawn(async move { issuer.create_permanent_token(request).await })
            })
            .collect();
        let mut refused = None;
        for created in creating {
            match created.await.unwrap() {
                Ok(made) => kept.push(made.into_inner().token),
                Err(status) => refused = Some(status),
            }
        }
        if let Some(status) = refused {
            break 'full status;
        }
        assert!(kept.len() < 50_000, "{} tokens in {ROOM} bytes", kept.len());
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(kept.len() > 100, "{} tokens", kept.len());
    assert!(up.log().contains("the disk is full"), "{}", up.log());
    // What is there is told or not, and no outage is a denial.
    for token in &kept[..100] {
        match verifier.verify(ask(token)).await {
            Ok(answer) => assert!(verdict(answer.into_inner()).is_ok(), "an outage is no denial"),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
    }
    up.signal("TERM");
    up.exit().await;

    let mut up = service::up(&data, places[0], places[1], &many(), dir.path());
    let (mut issuer, mut verifier) = clients(&mut up, places).await;
    all_are_good(&mut verifier, &kept).await;
    issuer.create_permanent_token(named("there is room again")).await.unwrap();
}

/// Runs `tessera up` as somebody who may not write what root owns.
fn as_nobody(program: &Path, data: &Path) -> Command {
    let up = ["up", "--data"];
    if run(clean(Path::new("id")).arg("-u")).stdout != b"0\n" {
        let mut command = clean(program);
        command.args(up).arg(data);
        return command;
    }
    let mut command = clean(Path::new("setpriv"));
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(program).args(up).arg(data);
    command
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_told_and_left_as_it_is() {
    let mut system = Backend::Embedded.start().await;
    system.end().await;
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    // Where nobody can get at it.
    let program = dir.path().join("tessera");
    fs::copy(built("tessera"), &program).unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("data/tessera.redb"));
    fs::create_dir(&data).unwrap();
    fs::copy(system.data().join("tessera.redb"), &file).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o555)).unwrap();
    let before = fs::read(&file).unwrap();
    for place in [data.clone(), data.join("new")] {
        let output = run(&mut as_nobody(&program, &place));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("can't be written: give this user write access"), "{said}");
        assert!(said.contains(place.to_str().unwrap()), "{said}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    // So that the folder can be removed.
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
}
