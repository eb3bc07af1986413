use super::*;
use crate::store::redis::{Endpoint, Login, Topology};

fn redis(text: &str) -> RedisUrl {
    match StoreUrl::parse(text) {
        Ok(StoreUrl::Redis(url)) => *url,
        other => panic!("{text}: {other:?}"),
    }
}

fn options(ca_file: Option<&str>, password: Option<&str>) -> StoreOptions {
    StoreOptions {
        ca_file: ca_file.map(PathBuf::from),
        password: password.map(str::to_owned),
        ..StoreOptions::default()
    }
}

fn at(host: &str, port: u16) -> Endpoint {
    Endpoint { host: host.to_owned(), port }
}

fn password(login: &Login) -> Option<&str> {
    login.password.as_ref().map(|password| password.as_str())
}

#[test]
fn embedded_url_is_a_directory() {
    for (url, dir) in [("embedded:./data", "./data"), ("embedded:/var/lib/t#1?x", "/var/lib/t#1?x")]
    {
        assert_eq!(StoreUrl::parse(url), Ok(StoreUrl::Embedded(PathBuf::from(dir))));
    }
}

#[test]
fn redis_url_may_say_everything() {
    let url = redis("redis://us%40er:p%2Fa%3Ass@db.example:7000/3?prefix=a%3Ab:");
    assert_eq!(url.transport, Transport::One(at("db.example", 7000)));
    assert_eq!(url.login.username.as_deref(), Some("us@er"));
    assert_eq!(password(&url.login), Some("p/a:ss"));
    assert_eq!((url.database, url.prefix.as_str(), url.is_tls), (3, "a:b:", false));
}

#[test]
fn redis_url_need_say_little() {
    for text in ["redis://h", "redis://h/", "redis://h:6379", "redis://h:6379/0", "redis://@h"] {
        let url = redis(text);
        assert_eq!(url.transport, Transport::One(at("h", 6379)), "{text}");
        assert_eq!((url.database, url.prefix.as_str()), (0, "tessera:"), "{text}");
        assert_eq!((url.login.username.as_deref(), password(&url.login)), (None, None), "{text}");
    }
    let url = redis("redis://:secret@h");
    assert_eq!((url.login.username.as_deref(), password(&url.login)), (None, Some("secret")));
}

#[test]
fn hosts_are_names_and_addresses_of_both_kinds() {
    for (host, read) in
        [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("redis-0.local", "redis-0.local")]
    {
        assert_eq!(redis(&format!("redis://{host}")).transport, Transport::One(at(read, 6379)));
        assert_eq!(redis(&format!("redis://{host}:1")).transport, Transport::One(at(read, 1)));
    }
}

#[test]
fn unix_url_is_a_path() {
    let url = redis("redis+unix:///run/my%20redis/r.sock?db=2&prefix=p&user=u");
    assert_eq!(url.transport, Transport::Unix(PathBuf::from("/run/my redis/r.sock")));
    let user = url.login.username.as_deref();
    assert_eq!((url.database, url.prefix.as_str(), user), (2, "p", Some("u")));
}

#[test]
fn sentinel_url_names_sentinels_and_the_primary() {
    let text =
        "redis+sentinel://u:p@h1:1,[::1]:2,h3/my%2Dmaster/4?sentinel_user=s&sentinel_password=q";
    let url = redis(text);
    let sentinels = vec![at("h1", 1), at("::1", 2), at("h3", 26379)];
    assert_eq!(url.transport, Transport::Sentinel(sentinels, "my-master".to_owned()));
    assert_eq!((url.login.username.as_deref(), password(&url.login)), (Some("u"), Some("p")));
    let sentinel = &url.sentinel_login;
    assert_eq!((sentinel.username.as_deref(), password(sentinel)), (Some("s"), Some("q")));
    assert_eq!(url.database, 4);
    assert_eq!(format!("{url}"), "redis+sentinel://h1:1,[::1]:2,h3:26379/my-master");
    assert_eq!(redis("redis+sentinel://h/m").database, 0);
    let apart = || StoreOptions { sentinel_password: Some("r".to_owned()), ..options(None, None) };
    let twice = url.settings(apart());
    assert!(matches!(twice, Err(OpenError::TwoPasswords("the sentinels' password"))));
    match redis("redis+sentinel://h/m?sentinel_user=s").settings(apart()).unwrap().topology {
        Topology::Sentinel(settings) => assert_eq!(password(&settings.login), Some("r")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cluster_url_names_nodes() {
    let url = redis("redis+cluster://u:p@h1:1,h2?prefix=p:");
    assert_eq!(url.transport, Transport::Cluster(vec![at("h1", 1), at("h2", 6379)]));
    assert_eq!((url.prefix.as_str(), password(&url.login)), ("p:", Some("p")));
    for text in ["redis+cluster://h", "redis+cluster://h/", "redis+cluster://h/0"] {
        assert_eq!(redis(text).transport, Transport::Cluster(vec![at("h", 6379)]), "{text}");
    }
}

#[test]
fn each_network_url_has_a_form_with_tls() {
    for text in ["rediss://h", "rediss+sentinel://h/m", "rediss+cluster://h"] {
        let url = redis(&format!("{text}?ca_file=a&cert_file=b&key_file=c"));
        assert!(url.is_tls && format!("{url}").starts_with("rediss"), "{text}");
        let files = [url.ca_file, url.cert_file, url.key_file];
        assert_eq!(files, ["a", "b", "c"].map(|file| Some(PathBuf::from(file))), "{text}");
    }
}

#[test]
fn wrong_urls_are_told_what_would_be_right() {
    use StoreUrlError as E;
    let cases = [
        ("", E::Scheme),
        ("./data", E::Scheme),
        ("http://h", E::Scheme),
        ("embedded:", E::Directory),
        ("embedded://data", E::Directory),
        ("redis+other://h", E::Scheme),
        ("rediss+unix:///s", E::Scheme),
        ("redisss://h", E::Scheme),
        ("redis://h1,h2", E::OneHost),
        ("redis+sentinel://h", E::Primary),
        ("redis+sentinel://h//0", E::Primary),
        ("redis+sentinel://h/m/x", E::Database),
        ("redis+sentinel://h,/m", E::Host),
        ("redis+cluster://h1,,h2", E::Host),
        ("redis+cluster://h/1", E::ClusterDatabase),
        ("redis+cluster://h/name/0", E::ClusterDatabase),
        ("redis+cluster://h?prefix={t}:", E::Braces),
        ("redis:", E::Host),
        ("redis:///0", E::Host),
        ("redis://h:port", E::Syntax),
        ("redis://h:70000", E::Syntax),
        ("redis://h/zero", E::Database),
        ("redis://h/0/1", E::Database),
        ("redis://h/-1", E::Database),
        ("redis://h/65536", E::Database),
        ("redis://u:p%ff@h", E::Encoding),
        ("redis://h#insecure", E::Fragment),
        ("redis+unix://host/path", E::Socket),
        ("redis+unix:", E::Socket),
        ("redis+unix:///", E::Socket),
        ("redis+unix:///s?db=x", E::Database),
    ];
    for (text, error) in cases {
        assert_eq!(StoreUrl::parse(text), Err(error), "{text}");
    }
    for text in [
        "redis://h?ca_file=x",
        "redis://h?db=1",
        "redis://h?prefix=a&prefix=b",
        "rediss://h?insecure",
        "redis+unix:///s?password=x",
        "redis+sentinel://h/m?ca_file=x",
        "redis+cluster://h?sentinel_user=x",
    ] {
        assert!(matches!(StoreUrl::parse(text), Err(E::Parameter(_))), "{text}");
    }
}

#[test]
fn password_is_in_no_text() {
    let store_url = StoreUrl::parse("redis://user:hunter2@h").unwrap();
    let StoreUrl::Redis(url) = &store_url else { panic!("{store_url:?}") };
    let settings = url.settings(options(None, None)).unwrap();
    let store = crate::store::redis::RedisStore::new(settings.clone());
    let given = options(None, Some("hunter2"));
    for text in [format!("{store_url}"), format!("{store_url:?} {settings:?} {store:?} {given:?}")]
    {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for wrong in [
        "redis://user:hunter2@h:port",
        "redis://:hunter2@h/x",
        "redis://a:hunter2@",
        "x://a:hunter2@h",
        "redis+cluster://a:hunter2@h/9",
        "redis+sentinel://a:hunter2@h?sentinel_password=hunter2",
    ] {
        let error = StoreUrl::parse(wrong).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn a_password_stands_in_the_url_or_apart() {
    for (url, apart, is) in [
        ("redis://u:a@h", None, "a"),
        ("redis://u@h", Some("b"), "b"),
        ("redis://h", Some("b"), "b"),
    ] {
        let settings = redis(url).settings(options(None, apart)).unwrap();
        assert_eq!(password(&settings.login), Some(is));
    }
    let twice = redis("redis://u:a@h").settings(options(None, Some("b")));
    assert!(matches!(twice, Err(OpenError::TwoPasswords("the password"))));
}

#[test]
fn tls_needs_an_authority_and_an_authority_needs_tls() {
    let open = |url: &str, ca_file| redis(url).settings(options(ca_file, None)).map(|_| ());
    assert!(matches!(open("rediss://h", None), Err(OpenError::NoCaFile)));
    assert!(matches!(open("redis://h", Some("ca.pem")), Err(OpenError::FileWithoutTls(_))));
    let unreadable = open("rediss://h?ca_file=/no/such/file", None);
    assert!(matches!(unreadable, Err(OpenError::Unreadable { .. })));
    assert!(matches!(open("rediss://h", Some("/dev/null")), Err(OpenError::Tls { .. })));
    let half = StoreOptions { cert_file: Some("x".into()), ..options(Some("/dev/null"), None) };
    let half = redis("rediss://h").settings(half).map(|_| ());
    assert!(matches!(half, Err(OpenError::HalfIdentity(_))));
    let plain = StoreOptions { key_file: Some("x".into()), ..options(None, None) };
    let plain = redis("redis+cluster://h").settings(plain).map(|_| ());
    assert!(matches!(plain, Err(OpenError::FileWithoutTls(_))));
    let lost = StoreOptions { sentinel_password: Some("x".into()), ..options(None, None) };
    assert!(matches!(redis("redis://h").settings(lost), Err(OpenError::NoSentinels)));
}
