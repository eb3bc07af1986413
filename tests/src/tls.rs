//! A certificate authority that lives as long as a test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::{process::clean, tools::succeed};

/// A certificate and its key.
pub struct Files {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// An authority and one server certificate of it.
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// Makes both, the server's for `127.0.0.1` and `localhost`.
    pub fn new() -> Self {
        Self::of_server("IP:127.0.0.1,DNS:localhost")
    }

    /// Makes both, the server's for these names, with openssl.
    pub fn of_server(names: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let config = format!("{OPENSSL}subjectAltName = {names}\n");
        fs::write(dir.path().join("openssl.cnf"), config).unwrap();
        let make = |name: &str, more: &[&str]| {
            let mut openssl = clean(Path::new("openssl"));
            openssl.current_dir(dir.path());
            openssl.args(["req", "-config", "openssl.cnf", "-x509", "-days", "30", "-nodes"]);
            openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            openssl.args(["-subj", &format!("/CN={name} of the tests"), "-extensions", name]);
            openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
            succeed(openssl.args(more));
        };
        make("authority", &[]);
        make("server", &["-CA", "authority.pem", "-CAkey", "authority.key"]);
        Self { dir }
    }

    /// A certificate for a caller with this name, such as `URI:spiffe://a/b` or `DNS:c`.
    pub fn caller(&self, name: &str, alternative: &str) -> Files {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = |extension: &str| self.dir.path().join(format!("{name}.{extension}"));
        let config = format!(
            "{OPENSSL}[caller]
extendedKeyUsage = clientAuth
subjectAltName = {alternative}
"
        );
        fs::write(path("cnf"), config).unwrap();
        let mut openssl = clean(Path::new("openssl"));
        openssl.current_dir(self.dir.path());
        openssl.arg("req").arg("-config").arg(path("cnf")).args(["-x509", "-days", "30", "-nodes"]);
        openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-subj", &format!("/CN={name}"), "-extensions", "caller"]);
        openssl.args(["-CA", "authority.pem", "-CAkey", "authority.key"]);
        succeed(openssl.arg("-keyout").arg(path("key")).arg("-out").arg(path("pem")));
        Files { certificate: path("pem"), key: path("key") }
    }

    /// The file of the authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("authority.pem")
    }

    /// The file of the server's certificate.
    pub fn server_certificate(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    /// The file of the server's key.
    pub fn server_key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

const OPENSSL: &str = "
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
";
