//! A certificate authority that lives as long as a test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{process::clean, tools::succeed};

/// An authority and one server certificate of it, for `127.0.0.1` and `localhost`.
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// Makes both, with openssl.
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("openssl.cnf"), OPENSSL).unwrap();
        let make = |name: &str, more: &[&str]| {
            let mut openssl = clean(Path::new("openssl"));
            openssl.current_dir(dir.path());
            openssl.args(["req", "-config", "openssl.cnf", "-x509", "-days", "2", "-nodes"]);
            openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            openssl.args(["-subj", &format!("/CN={name} of the tests"), "-extensions", name]);
            openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
            succeed(openssl.args(more));
        };
        make("authority", &[]);
        make("server", &["-CA", "authority.pem", "-CAkey", "authority.key"]);
        Self { dir }
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
subjectAltName = IP:127.0.0.1,DNS:localhost
authorityKeyIdentifier = keyid
";
