//! Tokens survive being printed and typed; requests are bound to connection, key and invitation.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn token() -> Token {
    Token {
        invitation: InvitationId([7; 8]),
        secret: Secret([9; 16]),
        root: PublicKey([1; 32]),
        parent: PublicKey([2; 32]),
        expires_at_ms: 1_795_000_000_000,
        addresses: vec!["192.0.2.1:7320".to_owned(), "镇政府.example:7320".to_owned()],
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn channel(exporter: u8, peer: &SigningKey) -> Channel {
    Channel { exporter: [exporter; 32], peer_key: public_key(peer) }
}

/// Shows that a token comes back from its text, also from one that was typed in groups and in
/// lower case, and that its characters all belong to the alphanumeric mode of QR codes.
#[test]
fn a_token_survives_paper() {
    let text = token().to_string();
    assert_eq!(text.parse(), Ok(token()));
    let alphanumeric = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    assert!(text.chars().all(alphanumeric), "{text}");
    let grouped: Vec<String> = text
        .chars()
        .enumerate()
        .map(|(at, c)| if at % 5 == 4 { format!("{c} -\n") } else { c.into() })
        .collect();
    assert_eq!(grouped.concat().to_lowercase().parse(), Ok(token()));
}

/// Shows that the format stays as it was given out on paper: the text of the token above, written
/// by the first version.
#[test]
fn the_text_of_a_token_is_pinned() {
    let text = concat!(
        "CUNLIAN1AEDQOBYHA4DQOBYJBEEQSCIJBEEQSCIJBEEQSCIJAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIB",
        "AEAQCAIBAEAQCAIBAEAQEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQAAAA2D3SW",
        "LYAAEDRRHEZC4MBOGIXDCORXGMZDAFXJSWD6NFF74W5JYLTFPBQW24DMMU5DOMZSGCCMZ3JL",
    );
    assert_eq!(token().to_string(), text);
}

/// Shows that each single mistyped character is noticed, whatever it was mistyped to, and so is
/// each end that is missing.
#[test]
fn every_mistyped_character_is_noticed() {
    let text = token().to_string();
    for at in 0..text.len() {
        for typed in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".chars() {
            let mut changed: Vec<char> = text.chars().collect();
            let old = std::mem::replace(changed.get_mut(at).unwrap(), typed);
            if old != typed {
                let changed: String = changed.into_iter().collect();
                assert!(changed.parse::<Token>().is_err(), "{at}: {old} → {typed}");
            }
        }
        let cut: String = text.chars().take(at).collect();
        assert!(cut.parse::<Token>().is_err(), "cut at {at}");
    }
    let swapped: String = [&text[..20], &text[21..22], &text[20..21], &text[22..]].concat();
    assert_eq!(swapped.parse::<Token>(), Err(TokenError::Checksum));
}

/// Shows that the kinds of failure are told apart, as the person at the keyboard needs them.
#[test]
fn what_is_wrong_with_a_token_is_said() {
    let text = token().to_string();
    assert_eq!("HELLO".parse::<Token>(), Err(TokenError::Prefix));
    assert_eq!(text.replace(PREFIX, "CUNLIAN2").parse::<Token>(), Err(TokenError::Newer));
    let mut typed = text.clone();
    typed.replace_range(30..31, "8");
    let character = TokenError::Character { position: 31, found: '8' };
    assert_eq!(typed.parse::<Token>(), Err(character));
    assert_eq!("CUNLIAN1".parse::<Token>(), Err(TokenError::Checksum));
    assert_eq!("A".repeat(1 << 20).parse::<Token>(), Err(TokenError::Malformed));
}

/// Shows that addresses are bounded in number and length when a token is made and when it is read.
#[test]
fn addresses_are_bounded() {
    let with = |addresses: Vec<String>| Token { addresses, ..token() };
    for wrong in [vec![], vec!["a:1".to_owned(); 5], vec!["a".repeat(101)], vec![String::new()]] {
        let token = with(wrong);
        assert_eq!(token.check(), Err(TokenError::Addresses));
        assert_eq!(token.to_string().parse::<Token>(), Err(TokenError::Malformed));
    }
}

/// Shows that a request holds on its own connection and on no other, and for no other key.
#[test]
fn a_request_is_bound_to_connection_and_key() {
    let request = JoinRequest::new(&key(3), &token(), &channel(5, &key(4)), 1, "cunlian");
    assert_eq!(request.verify(&channel(5, &key(3))), Ok(()));
    assert_eq!(request.verify(&channel(6, &key(3))), Err(RequestError::Signature));
    assert_eq!(request.verify(&channel(5, &key(4))), Err(RequestError::OtherKey));
    let stolen = JoinRequest { subject: public_key(&key(4)), ..request.clone() };
    assert_eq!(stolen.verify(&channel(5, &key(4))), Err(RequestError::Signature));
    let moved = JoinRequest { invitation: InvitationId([8; 8]), ..request.clone() };
    assert_eq!(moved.verify(&channel(5, &key(3))), Err(RequestError::Signature));
    let guessed = JoinRequest { secret: Secret([8; 16]), ..request };
    assert_eq!(guessed.verify(&channel(5, &key(3))), Err(RequestError::Signature));
}

/// Shows that the kept hash fits the secret of its own invitation only.
#[test]
fn a_hash_fits_one_secret_of_one_invitation() {
    let id = InvitationId([7; 8]);
    let hash = Secret([9; 16]).hash(id);
    assert!(Secret([9; 16]).matches(id, &hash));
    assert!(!Secret([8; 16]).matches(id, &hash));
    assert!(!Secret([9; 16]).matches(InvitationId([6; 8]), &hash));
}

/// Shows that frames come back, and that a length beyond the bound or bytes left over are refused.
#[test]
fn frames_are_bounded_and_exact() {
    let words = bounded_text("已被使用");
    let reply = JoinReply::Refused { code: RefusalCode::Used as u16, words };
    let frame = encode(&reply);
    let (header, body) = frame.split_first_chunk().unwrap();
    assert_eq!(frame_length(*header), Ok(body.len()));
    assert_eq!(decode(body), Ok(reply));
    let got = body.len() + 1;
    assert_eq!(decode::<JoinReply>(&[body, &[0]].concat()), Err(FrameError::Malformed { got }));
    let got = FRAME_BYTES + 1;
    let header = u32::try_from(got).unwrap().to_be_bytes();
    assert_eq!(frame_length(header), Err(FrameError::TooLong { got }));
}

/// Shows that every code comes back from its number.
#[test]
fn codes_come_back_from_their_numbers() {
    for code in RefusalCode::ALL {
        assert_eq!(RefusalCode::from_number(code as u16), Some(code));
    }
    assert_eq!(RefusalCode::from_number(0), None);
}
