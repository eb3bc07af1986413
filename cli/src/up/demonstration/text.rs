//! The words of the demonstration.

use prost_types::Timestamp;
use tessera_proto::v1::PermanentToken;

use crate::{
    context::DEFAULT_ISSUER,
    record::{Field, Verdict},
    secret::Secret,
};

/// What the demonstration saw.
pub(super) struct Seen<'a> {
    pub(super) issuer_url: &'a str,
    pub(super) verifier_url: &'a str,
    pub(super) username: &'a str,
    /// Whether the password was printed by this start.
    pub(super) printed_password: bool,
    pub(super) access_expires_at: Option<Timestamp>,
    pub(super) permanent_token: Secret,
    pub(super) record: PermanentToken,
    pub(super) by_token: Verdict,
    pub(super) by_access_token: Verdict,
    pub(super) after_revocation: Verdict,
}

/// The steps, the results, and the lines to repeat them.
pub(super) fn first_steps(seen: &Seen<'_>) -> String {
    let (issuer, verifier) = (Target::of(seen.issuer_url), Target::of(seen.verifier_url));
    let login = issuer.grpcurl(
        &format!(r#"'{{"username": "{}", "password": "'"$PASSWORD"'"}}'"#, seen.username),
        None,
        "IssuerService/Login",
    );
    let create = issuer.grpcurl(
        r#"'{"name": "my-token"}'"#,
        Some("$ACCESS_TOKEN"),
        "IssuerService/CreatePermanentToken",
    );
    let verify = |variable: &str| {
        let body = format!(r#"'{{"token": "'"${variable}"'"}}'"#);
        verifier.grpcurl(&body, None, "VerifierService/Verify")
    };
    format!(
        "\
Tessera is up. These are its first steps, taken over gRPC just now.

1. Logged in as {username} with {password}. The access token expires {access_expires_at}.
     {login}

2. Made the permanent token {id}, \"{name}\", role {role}, audiences {audiences}.
   It expires {expires_at}. This is its only showing:

     {token}

     {create}

3. Asked the verifier about the permanent token: {by_token}
     {verify_token}

4. Asked the verifier about the access token: {by_access_token}
     {verify_access}

5. Revoked the permanent token, and asked about it again: {after_revocation}

The same with this program:
     tessera{at_issuer} login --username {username}
     tessera{at_issuer} token create my-token --expires-in 30d
     echo \"$TOKEN\" | tessera{at_verifier} verify
",
        username = seen.username,
        password = if seen.printed_password {
            "the password printed above"
        } else {
            "the password that was given"
        },
        access_expires_at = Field::or_never(seen.access_expires_at).for_people(),
        id = seen.record.id,
        name = seen.record.name,
        role = seen.record.role,
        audiences = Field::List(seen.record.audiences.clone()).for_people(),
        expires_at = Field::or_never(seen.record.expires_at).for_people(),
        token = seen.permanent_token.expose(),
        by_token = seen.by_token.sentence(),
        verify_token = verify("TOKEN"),
        by_access_token = seen.by_access_token.sentence(),
        verify_access = verify("ACCESS_TOKEN"),
        after_revocation = seen.after_revocation.sentence(),
        at_issuer = flag("--issuer", seen.issuer_url, DEFAULT_ISSUER),
        at_verifier = flag("--verifier", seen.verifier_url, crate::context::DEFAULT_VERIFIER),
    )
}

/// What a start says that finds records.
pub(super) fn welcome_back(issuer_url: &str, data: &str, username: &str) -> String {
    let at_issuer = flag("--issuer", issuer_url, DEFAULT_ISSUER);
    format!(
        "Tessera is up, with the data found in {data}. Log in with:\n     \
         tessera{at_issuer} login --username {username}\n"
    )
}

fn flag(name: &str, url: &str, default: &str) -> String {
    if url == default { String::new() } else { format!(" {name} {url}") }
}

/// Where grpcurl connects to.
struct Target<'a> {
    plaintext: &'static str,
    authority: &'a str,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        Self {
            plaintext: if scheme == "https" { "" } else { "-plaintext " },
            authority: rest.trim_end_matches('/'),
        }
    }

    /// The command line; `body` is quoted already, and `bearer` is a shell variable.
    fn grpcurl(&self, body: &str, bearer: Option<&str>, method: &str) -> String {
        let header = bearer.map_or_else(String::new, |variable| {
            format!("-H \"authorization: Bearer {variable}\" ")
        });
        let Self { plaintext, authority } = self;
        format!("grpcurl {plaintext}-d {body} {header}{authority} tessera.v1.{method}")
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::v1::{Principal, VerifyResponse, verify_response::Verdict as Wire};

    use super::*;

    fn seen() -> Seen<'static> {
        let verdict = || {
            let verdict = Some(Wire::Principal(Principal {
                role: "Administrators".into(),
                ..Principal::default()
            }));
            Verdict::new(1, VerifyResponse { verdict, as_of: None }).unwrap()
        };
        Seen {
            issuer_url: "http://127.0.0.1:50051",
            verifier_url: "http://127.0.0.1:9999",
            username: "admin",
            printed_password: true,
            access_expires_at: None,
            permanent_token: Secret::new("tessera_1_plain".into()),
            record: PermanentToken {
                id: 1,
                name: "first-steps".into(),
                ..PermanentToken::default()
            },
            by_token: verdict(),
            by_access_token: verdict(),
            after_revocation: verdict(),
        }
    }

    #[test]
    fn the_permanent_token_is_shown_once_and_command_lines_hold_variables() {
        let text = first_steps(&seen());
        assert_eq!(text.matches("tessera_1_plain").count(), 1);
        for line in [
            r#"grpcurl -plaintext -d '{"username": "admin", "password": "'"$PASSWORD"'"}' 127.0.0.1:50051 tessera.v1.IssuerService/Login"#,
            r#"grpcurl -plaintext -d '{"name": "my-token"}' -H "authorization: Bearer $ACCESS_TOKEN" 127.0.0.1:50051 tessera.v1.IssuerService/CreatePermanentToken"#,
            r#"grpcurl -plaintext -d '{"token": "'"$TOKEN"'"}' 127.0.0.1:9999 tessera.v1.VerifierService/Verify"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn only_addresses_other_than_the_defaults_need_flags() {
        let text = first_steps(&seen());
        assert!(text.contains("tessera login --username admin"), "{text}");
        assert!(text.contains("tessera --verifier http://127.0.0.1:9999 verify"), "{text}");
    }

    #[test]
    fn a_second_start_tells_where_the_data_was_and_how_to_log_in() {
        let text = welcome_back("http://127.0.0.1:7", "./tessera-data", "admin");
        assert!(text.contains("./tessera-data"));
        assert!(text.contains("tessera --issuer http://127.0.0.1:7 login --username admin"));
    }
}
