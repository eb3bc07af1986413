use ring::rand::SystemRandom;

use super::*;

fn permanent(opaque: &Opaque, plain: &str) -> Option<Presented> {
    match opaque.parse(plain)? {
        Form::Permanent(presented) => Some(presented),
        Form::Refresh(_) => None,
    }
}

#[test]
fn a_permanent_token_reads_back_and_has_one_form() {
    let opaque = Opaque::new("tessera");
    let id = TokenId::try_from(42).unwrap();
    let token = opaque.permanent(id, &SystemRandom::new()).unwrap();
    let plain = token.expose();
    assert_eq!(plain.len(), "tessera_42_".len() + 49);
    let presented = permanent(&opaque, plain).unwrap();
    assert_eq!(presented.id, id);
    assert!(presented.hash.matches(token.hash().as_bytes()));
    assert!(!presented.hash.matches(&[]));
    assert_eq!(format!("{token:?}"), "PlainToken(..)");
}

#[test]
fn every_single_character_mistake_is_caught() {
    let opaque = Opaque::new("tessera");
    let token = opaque.permanent(TokenId::try_from(42).unwrap(), &SystemRandom::new()).unwrap();
    for at in 0..token.expose().len() {
        for other in (b'0'..=b'z').filter(u8::is_ascii_alphanumeric).chain(*b"_ $") {
            let mut wrong = token.expose().as_bytes().to_vec();
            if wrong[at] != other {
                wrong[at] = other;
                assert!(opaque.parse(&String::from_utf8(wrong).unwrap()).is_none());
            }
        }
    }
}

#[test]
fn other_spellings_of_an_id_are_no_token() {
    let opaque = Opaque::new("tessera");
    let secret = "0".repeat(SECRET_DIGITS);
    for id in ["0", "042", "+42", "-1", "", "9007199254740992", "99999999999999999999"] {
        let plain = finish(format!("tessera_{id}_{secret}"));
        assert!(opaque.parse(plain.expose()).is_none(), "{id}");
    }
}

#[test]
fn a_successor_is_the_same_again_and_keeps_the_family() {
    let opaque = Opaque::new("acme");
    let session = SessionId::try_from(7).unwrap();
    let (first, family) = opaque.first_refresh(session, &SystemRandom::new()).unwrap();
    let Some(Form::Refresh(presented)) = opaque.parse(first.expose()) else { panic!() };
    let next = opaque.successor(&presented, b"nonce");
    assert_eq!(next.expose(), opaque.successor(&presented, b"nonce").expose());
    assert_ne!(next.expose(), opaque.successor(&presented, b"other").expose());
    let Some(Form::Refresh(next)) = opaque.parse(next.expose()) else { panic!() };
    assert_eq!(next.session, session);
    assert!(next.family_hash.matches(family.as_bytes()));
    assert!(permanent(&opaque, first.expose()).is_none());
}
