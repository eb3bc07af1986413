use super::*;

fn redis(text: &str) -> RedisUrl {
    match StoreUrl::parse(text) {
        Ok(StoreUrl::Redis(url)) => url,
        other => panic!("{text}: {other:?}"),
    }
}

fn options(ca_file: Option<&str>, password: Option<&str>) -> StoreOptions {
    StoreOptions { ca_file: ca_file.map(PathBuf::from), password: password.map(str::to_owned) }
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
    assert_eq!(url.transport, Transport::Tcp("db.example".to_owned(), 7000));
    assert_eq!(url.username.as_deref(), Some("us@er"));
    assert_eq!(url.password.as_ref().map(|password| password.as_str()), Some("p/a:ss"));
    assert_eq!((url.database, url.prefix.as_str()), (3, "a:b:"));
}

#[test]
fn redis_url_need_say_little() {
    for text in ["redis://h", "redis://h/", "redis://h:6379", "redis://h:6379/0", "redis://@h"] {
        assert_eq!(redis(text), redis("redis://h:6379/0?prefix=tessera:"), "{text}");
    }
    let url = redis("redis://:secret@h");
    assert_eq!((url.username, url.password.is_some()), (None, true));
}

#[test]
fn hosts_are_names_and_addresses_of_both_kinds() {
    for (host, read) in
        [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("redis-0.local", "redis-0.local")]
    {
        assert_eq!(
            redis(&format!("redis://{host}")).transport,
            Transport::Tcp(read.to_owned(), 6379)
        );
    }
}

#[test]
fn unix_url_is_a_path() {
    let url = redis("redis+unix:///run/my%20redis/r.sock?db=2&prefix=p&user=u");
    assert_eq!(url.transport, Transport::Unix(PathBuf::from("/run/my redis/r.sock")));
    assert_eq!((url.database, url.prefix.as_str(), url.username.as_deref()), (2, "p", Some("u")));
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
        ("redis+sentinel://h1:1,h2:2/name/0", E::NotYet("redis+sentinel")),
        ("redis+cluster://h1:1,h2:2", E::NotYet("redis+cluster")),
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
    ] {
        let error = StoreUrl::parse(wrong).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn password_given_apart_goes_before() {
    let settings = redis("redis://u:a@h").settings(options(None, Some("b"))).unwrap();
    assert_eq!(settings.password.as_ref().map(|password| password.as_str()), Some("b"));
}

#[test]
fn tls_needs_an_authority_and_an_authority_needs_tls() {
    let open = |url: &str, ca_file| redis(url).settings(options(ca_file, None)).map(|_| ());
    assert!(matches!(open("rediss://h", None), Err(OpenError::NoCaFile)));
    assert!(matches!(open("redis://h", Some("ca.pem")), Err(OpenError::CaFileWithoutTls)));
    let unreadable = open("rediss://h?ca_file=/no/such/file", None);
    assert!(matches!(unreadable, Err(OpenError::CaFileUnreadable { .. })));
    assert!(matches!(open("rediss://h", Some("/dev/null")), Err(OpenError::Tls { .. })));
}
