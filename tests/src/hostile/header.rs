//! Members of the header that name a key, or ask for more than we do.

use ring::rand::SystemRandom;
use tessera_proto::v1::DenialReason::{BadSignature, Malformed};
use tessera_shared::keys::{Algorithm, PrivateKey};

use super::{
    Case,
    forge::{Forge, joined, message, replaced, signature},
};

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = kids(forge);
    cases.extend(keys_of_the_attackers(forge));
    cases.extend(extensions(forge));
    cases.extend(twice(forge));
    cases.extend(json(forge));
    cases
}

fn kids(forge: &Forge) -> Vec<Case> {
    let kid = forge.key(Algorithm::Es256).public().kid().to_owned();
    let swapped: String =
        kid.chars()
            .map(|c| {
                if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
            })
            .collect();
    let own = |end: &str| format!("{kid}{end}");
    let mut cases: Vec<Case> = [
        ("is empty", "RFC 8725 3.10", String::new()),
        ("is NUL", "RFC 8725 3.10", "\0".into()),
        ("is a path: ../../../../dev/null", "RFC 8725 3.10", "../../../../dev/null".into()),
        (
            "is a path: /proc/sys/kernel/randomize_va_space",
            "RFC 8725 3.10",
            "/proc/sys/kernel/randomize_va_space".into(),
        ),
        ("is SQL", "RFC 8725 3.10", "x' UNION SELECT 'secret' --".into()),
        ("is an LDAP filter", "RFC 8725 3.10", "*)(uid=*))(|(uid=*".into()),
        ("is a shell command", "RFC 8725 3.10", "key.pem; sleep 10".into()),
        ("is a URL", "RFC 8725 3.10", "https://evil.example/jwks.json".into()),
        ("is a Redis command", "RFC 8725 3.10", "x\r\nGET jwk\r\n".into()),
        ("is `__proto__`", "own", "__proto__".into()),
        ("is a key that nobody holds", "RFC 7515 4.1.4", "x".repeat(43)),
        ("is ours in the other case", "RFC 7515 4.1.4", swapped),
        ("is ours with a space after it", "RFC 7515 5.3", own(" ")),
        ("is ours with NUL after it", "RFC 7515 5.3", own("\0")),
        ("is ours with padding", "RFC 7515 5.3", own("=")),
        ("is the beginning of ours", "RFC 7515 5.3", kid[..42].to_owned()),
        ("is 5,000 bytes long", "RFC 8725 3.10", "k".repeat(5000)),
    ]
    .into_iter()
    .map(|(what, source, kid)| {
        let header = forge.header_with("kid", &serde_json::to_string(&kid).unwrap());
        Case::new(format!("`kid` {what}"), source, BadSignature, forge.with_header(&header))
    })
    .collect();
    let array = format!("[{kid:?}]");
    let object = format!("{{\"$ne\":{kid:?}}}");
    for (what, value) in [
        ("is missing", ""),
        ("is null", "null"),
        ("is a number", "0"),
        ("is an array", &array),
        ("is an object", &object),
    ] {
        let token = forge.with_header(&forge.header_with("kid", value));
        cases.push(Case::new(format!("`kid` {what}"), "RFC 7515 4.1.4", Malformed, token));
    }
    let other = forge.key(Algorithm::Rs256).public().kid();
    let header = forge.header_with("kid", &format!("{other:?}"));
    let token = forge.with_header(&header);
    let name = "`kid` of our RS256 key over an ES256 signature";
    cases.push(Case::new(name, "RFC 8725 3.1", BadSignature, token).under(Algorithm::Rs256));
    let header = replaced(&header, "alg", r#""RS256""#);
    let name = "`kid` and `alg` of our RS256 key over an ES256 signature";
    let token = forge.with_header(&header);
    cases.push(Case::new(name, "RFC 7515 5.2", BadSignature, token).under(Algorithm::Rs256));
    cases
}

/// The token brings the key that signed it.
fn keys_of_the_attackers(forge: &Forge) -> Vec<Case> {
    let mallory = PrivateKey::generate(Algorithm::Es256, &SystemRandom::new()).unwrap();
    let jwk = mallory.public().jwk().to_string();
    let by_mallory = |header: &str| {
        let message = message(header.as_bytes(), forge.claims().as_bytes());
        joined(&message, &signature(&mallory, &message))
    };
    let ours = forge.key(Algorithm::Es256).public().jwk().to_string();
    let url = |path: &str| format!("\"https://evil.example/{path}\"");
    let mut cases: Vec<Case> = [
        ("jwk", "CVE-2018-0114, RFC 7515 4.1.3", jwk.clone()),
        ("jku", "RFC 8725 3.10, RFC 7515 4.1.2", url("jwks.json")),
        ("x5u", "RFC 8725 3.10, RFC 7515 4.1.5", url("chain.pem")),
        ("x5c", "RFC 7515 4.1.6", r#"["MIIB"]"#.to_owned()),
    ]
    .into_iter()
    .map(|(member, source, value)| {
        let token = by_mallory(&forge.header_with(member, &value));
        Case::new(format!("`{member}` of the attacker, who signed"), source, Malformed, token)
    })
    .collect();
    let unnamed = replaced(&forge.header_with("jwk", &jwk), "kid", "");
    let named =
        replaced(&forge.header_with("jwk", &jwk), "kid", &format!("{:?}", mallory.public().kid()));
    let internal = forge.header_with("jku", "\"http://169.254.169.254/latest/meta-data/\"");
    let ours = forge.header_with("jwk", &ours);
    let plain = by_mallory(&forge.header());
    cases.extend([
        Case::new("`jwk` and no `kid`", "CVE-2018-0114", Malformed, by_mallory(&unnamed)),
        Case::new("`jwk` with its own `kid`", "CVE-2018-0114", Malformed, by_mallory(&named)),
        Case::new(
            "`jwk` with our key, which signed",
            "RFC 7515 10.3",
            Malformed,
            forge.with_header(&ours),
        ),
        Case::new(
            "`jku` of the cloud's metadata",
            "RFC 8725 3.10",
            Malformed,
            forge.with_header(&internal),
        ),
        Case::new("another's signature under our `kid`", "RFC 7515 5.2", BadSignature, plain),
    ]);
    cases
}

fn extensions(forge: &Forge) -> Vec<Case> {
    [
        ("crit", r#"["bork"]"#, "names what nobody knows", "CVE-2025-59420, RFC 7515 4.1.11"),
        ("crit", "[]", "is empty", "RFC 7515 4.1.11"),
        ("crit", r#"["exp"]"#, "names `exp`", "RFC 7515 4.1.11"),
        ("crit", r#"["alg"]"#, "names `alg`", "RFC 7515 4.1.11"),
        ("crit", r#"["b64"]"#, "names `b64`", "RFC 7797 6"),
        ("crit", r#""exp""#, "is a string", "RFC 7515 4.1.11"),
        ("crit", "null", "is null", "RFC 7515 4.1.11"),
        ("b64", "false", "is false", "RFC 7797 6"),
        ("b64", "true", "is true", "own: RFC 7797 3 allows it, we write none"),
        ("zip", r#""DEF""#, "is \"DEF\"", "CVE-2024-33664, RFC 8725 3.6"),
        ("zip", r#""GZIP""#, "is \"GZIP\"", "RFC 7516 4.1.3"),
        ("cty", r#""JWT""#, "is \"JWT\"", "RFC 7515 4.1.10, RFC 7519 5.2"),
        ("cty", r#""at+jwt""#, "is \"at+jwt\"", "RFC 7519 5.2"),
    ]
    .into_iter()
    .map(|(member, value, what, source)| {
        let token = forge.with_header(&forge.header_with(member, value));
        Case::new(format!("`{member}` {what}"), source, Malformed, token)
    })
    .collect()
}

fn twice(forge: &Forge) -> Vec<Case> {
    let kid = forge.key(Algorithm::Es256).public().kid();
    [
        ("`alg` twice", r#""alg":"ES256""#.to_owned()),
        ("`alg` twice, the first \"none\"", r#""alg":"none""#.to_owned()),
        ("`alg` twice, once escaped", r#""\u0061lg":"none""#.to_owned()),
        ("`kid` twice", format!(r#""kid":"{kid}""#)),
        ("`typ` twice", r#""typ":"JWT""#.to_owned()),
        ("an unknown header member twice", r#""x":1,"x":2"#.to_owned()),
    ]
    .into_iter()
    .map(|(name, extra)| {
        let header = forge.header().replacen('{', &format!("{{{extra},"), 1);
        Case::new(name, "RFC 7515 4, CVE-2017-12635", Malformed, forge.with_header(&header))
    })
    .collect()
}

fn json(forge: &Forge) -> Vec<Case> {
    let header = forge.header();
    let deep = |length: usize| {
        forge.header_with("x", &format!("{}{}", "[".repeat(length), "]".repeat(length)))
    };
    [
        ("is empty", "RFC 7515 5.2", String::new()),
        ("is `null`", "RFC 7515 5.2", "null".into()),
        ("is an array", "RFC 7515 5.2", "[]".into()),
        ("is an empty object", "RFC 7515 4.1.1", "{}".into()),
        ("is a number", "RFC 7515 5.2", "1".into()),
        ("is a string", "RFC 7515 5.2", format!("{header:?}")),
        ("begins with a space", "own", format!(" {header}")),
        ("ends with a line break", "own", format!("{header}\r\n")),
        ("begins with a byte order mark", "RFC 8259 8.1", format!("\u{feff}{header}")),
        ("is cut off", "RFC 8259 2", header[..header.len() - 1].to_owned()),
        ("has a comma at its end", "RFC 8259 4", header.replace('}', ",}")),
        ("has a comment", "RFC 8259 2", header.replace('}', "/**/}")),
        ("has single quotes", "RFC 8259 7", header.replace('"', "'")),
        ("nests 2,000 arrays", "RFC 8259 9", deep(2000)),
        ("is two objects", "RFC 8259 2", format!("{header}{header}")),
    ]
    .into_iter()
    .map(|(what, source, header)| {
        Case::new(format!("the header {what}"), source, Malformed, forge.with_header(&header))
    })
    .collect()
}
