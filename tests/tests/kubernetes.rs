//! The manifests of `deploy/kubernetes` fit Kubernetes's schemas and the programs' settings,
//! and the programs run with the very environment, files and probes of the manifests.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;
use tessera_tests::{
    http, port,
    process::{Process, built, clean},
    redis::Redis,
    service::ADMIN_PASSWORD,
    tls::Authority,
    tools::{repository, succeed, venv},
    watch::eventually,
};

fn manifests() -> PathBuf {
    repository().join("deploy/kubernetes")
}

#[test]
fn the_manifests_fit_the_schemas_and_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let help = ["tessera-issuer", "tessera-verifier"].map(|name| {
        let file = folder.path().join(name);
        std::fs::write(&file, succeed(clean(&built(name)).arg("--help"))).unwrap();
        file
    });
    let output = succeed(
        venv("python")
            .arg(repository().join("tests/kubernetes/check.py"))
            .arg(manifests())
            .args(help),
    );
    assert!(output.trim().ends_with("resources"), "{output}");
}

/// The pod of the one Deployment in a file.
fn pod(file: &str) -> Value {
    let read = "import sys, json, yaml\n\
                for it in yaml.safe_load_all(open(sys.argv[1])):\n    \
                if it['kind'] == 'Deployment': print(json.dumps(it['spec']['template']['spec']))";
    let text = succeed(venv("python").args(["-c", read]).arg(manifests().join(file)));
    serde_json::from_str(&text).unwrap()
}

/// A pod's one container, as a process of this machine.
struct Running {
    process: Process,
    container: Value,
    health: SocketAddr,
}

impl Running {
    /// Starts it. What is mounted is in `files`, with the paths of the container below it; Redis
    /// is where it is here, and so are the listeners.
    fn start(pod: &Value, redis: &Redis, files: &Path, dir: &Path) -> Self {
        let container = pod["containers"][0].clone();
        let program = container["args"][0].as_str().unwrap();
        let (mut command, mut health) = (clean(&built(program)), None);
        for variable in container["env"].as_array().unwrap() {
            let (name, value) = (variable["name"].as_str().unwrap(), &variable["value"]);
            let value = value.as_str().unwrap();
            let value = match name {
                "TESSERA_STORE" => {
                    value.replace("redis.tessera.svc:6379", &redis.address().to_string())
                }
                _ if name.ends_with("_LISTEN") => {
                    let here = port::free();
                    if name == "TESSERA_HEALTH_LISTEN" {
                        health = Some(here);
                    }
                    here.to_string()
                }
                _ if value.starts_with('/') => format!("{}{value}", files.display()),
                _ => value.to_owned(),
            };
            command.env(name, value);
        }
        let process = Process::start(program, command, dir);
        Self { process, container, health: health.expect("a health listener") }
    }

    async fn passes(&mut self, probe: &str) {
        let path = self.container[probe]["httpGet"]["path"].as_str().unwrap().to_owned();
        eventually(&format!("the {probe}"), || {
            if let Some(status) = self.process.ended() {
                panic!("ended, {status}:\n{}", self.process.log());
            }
            let (health, path) = (self.health, path.clone());
            async move {
                tokio::net::TcpStream::connect(health).await.ok()?;
                (http::fetch(health, &path).await.status == 200).then_some(())
            }
        })
        .await;
    }
}

/// The Secrets and the ConfigMap that README.md there asks for.
fn secrets(redis: &Redis, user: &str) -> TempDir {
    let files = TempDir::new().unwrap();
    let put = |path: &str, text: String| {
        let file = files.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    let readme = std::fs::read_to_string(manifests().join("README.md")).unwrap();
    assert!(readme.contains("`key-encryption-key` (`openssl rand -hex 32`)"), "{readme}");
    let key = succeed(std::process::Command::new("openssl").args(["rand", "-hex", "32"]));
    put("run/secrets/tessera/store-password", redis.users().password(user));
    if user == "issuer" {
        put("run/secrets/tessera/key-encryption-key", key);
        put("run/secrets/tessera/admin-password", ADMIN_PASSWORD.to_owned());
    }
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    put("run/store-ca/ca.crt", read(redis.authority().certificate()));
    let authority = Authority::new();
    put("run/tls/tls.crt", read(authority.server_certificate()));
    put("run/tls/tls.key", read(authority.server_key()));
    files
}

#[tokio::test]
async fn the_programs_run_as_the_manifests_say_and_pass_their_probes() {
    let (redis, dir) = (Redis::start_tls().await, TempDir::new().unwrap());
    let mut all = Vec::new();
    for (file, user) in [("issuer.yaml", "issuer"), ("verifier.yaml", "verifier")] {
        let (files, pod) = (secrets(&redis, user), pod(file));
        let mut running = Running::start(&pod, &redis, files.path(), dir.path());
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            running.passes(probe).await;
        }
        all.push((running, files));
    }
    for (running, _) in &mut all {
        running.process.signal("TERM");
    }
    for (running, _) in &mut all {
        assert_eq!(running.process.exit().await.code(), Some(0), "{}", running.process.log());
    }
}
