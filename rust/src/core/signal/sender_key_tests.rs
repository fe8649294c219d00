//! Sender keys by themselves, and the recorded calls of tests/vectors/sender_key_*.json.

use super::error::Failure;
use super::protobuf::{put_bytes, put_uint32};
use super::record::MAX_SKIPPED;
use super::sender_key::{create, decrypt, describe, distribution, encrypt, message_id, process};
use super::sender_key_message::Distribution;
use super::sender_key_record::MAX_STATES;
use super::session::Bytes;
use super::{MAX_JUMP, message::typed};
use crate::core::hash::sha256;
use serde_json::{Value, json};

/// Dice that fall by number.
fn dice<const N: usize>(number: u32) -> [u8; N] {
    let mut out = [0; N];
    for (at, part) in out.chunks_mut(32).enumerate() {
        let block = sha256(&[&number.to_be_bytes(), &at.to_be_bytes()]);
        part.copy_from_slice(&block[..part.len()]);
    }
    out
}

/// A sender and a reader, each a record.
struct Room {
    sender: Bytes,
    reader: Bytes,
    fallen: u32,
}

impl Room {
    fn told(seed: u32) -> Self {
        let sender = create(b"", &dice(seed)).expect("an empty record");
        let reader = process(b"", &distribution(&sender).expect("ours")).expect("well formed");
        Self { sender, reader, fallen: 1000 * seed }
    }

    fn send(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.fallen += 1;
        let (record, message) = encrypt(&self.sender, plaintext, &dice(self.fallen)).expect("ours");
        self.sender = record;
        message
    }

    fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let (record, plaintext) = decrypt(&self.reader, message)?;
        self.reader = record;
        Ok(plaintext.to_vec())
    }

    fn tell(&mut self) {
        let told = distribution(&self.sender).expect("ours");
        self.reader = process(&self.reader, &told).expect("well formed");
    }

    fn rotate(&mut self, seed: u32) {
        self.sender = create(&self.sender, &dice(seed)).expect("well formed");
        self.tell();
    }
}

// --- reading ------------------------------------------------------------------------------------------------------------

#[test]
fn messages_are_read_in_any_order_and_once() {
    let mut room = Room::told(1);
    let sealed: Vec<_> = (0..6_u8).map(|number| room.send(&[number; 20])).collect();
    for place in [3, 0, 5, 1, 2, 4] {
        let text = [u8::try_from(place).expect("small"); 20];
        assert_eq!(room.read(&sealed[place]), Ok(text.to_vec()));
        assert_eq!(room.read(&sealed[place]), Err(Failure::Duplicate));
    }
    assert_eq!(describe(&room.reader).expect("well formed")[0].skipped, 0);
}

#[test]
fn one_message_is_one_iteration_and_nothing_is_kept() {
    let mut room = Room::told(2);
    let id = describe(&room.sender).expect("well formed")[0].id;
    for iteration in 0..5 {
        assert_eq!(message_id(&room.send(b"")), Ok((id, iteration)));
    }
    let views = describe(&room.sender).expect("well formed");
    assert_eq!((views.len(), views[0].iteration, views[0].skipped, views[0].is_ours), (1, 5, 0, true));
}

#[test]
fn every_cut_and_changed_message_is_refused_and_changes_nothing() {
    let mut room = Room::told(3);
    let message = room.send(b"a text");
    for length in 0..message.len() {
        assert!(decrypt(&room.reader, &message[..length]).is_err(), "cut at {length}");
    }
    for place in 0..message.len() {
        for bit in 0..8 {
            let mut changed = message.clone();
            changed[place] ^= 1 << bit;
            assert!(decrypt(&room.reader, &changed).is_err(), "byte {place} bit {bit}");
        }
    }
    let mut changed = message.clone();
    changed[20] ^= 1;
    assert_eq!(room.read(&changed), Err(Failure::InvalidSignature));
    assert_eq!(room.read(&message), Ok(b"a text".to_vec()));
}

#[test]
fn a_message_of_another_s_key_is_refused() {
    let (mut room, mut other) = (Room::told(4), Room::told(5));
    let foreign = other.send(b"text");
    assert_eq!(room.read(&foreign), Err(Failure::NoSenderKey));
    // Another signing key under the same id: only the signature can tell.
    let mut entropy: [u8; 68] = dice(4);
    entropy[40] ^= 1;
    let forger = create(b"", &entropy).expect("an empty record");
    let (_, forged) = encrypt(&forger, b"text", &dice(9)).expect("ours");
    assert_eq!(message_id(&forged), message_id(&room.send(b"text")));
    assert_eq!(room.read(&forged), Err(Failure::InvalidSignature));
    assert_eq!(decrypt(b"", &foreign).err(), Some(Failure::NoSenderKey));
}

/// A message that its sender has signed, with any iteration and ciphertext.
fn signed(seed: u32, iteration: u32, ciphertext: &[u8]) -> Vec<u8> {
    let entropy: [u8; 68] = dice(seed);
    let mut signing = [0; 32];
    signing.copy_from_slice(&entropy[36..]);
    let id = describe(&create(b"", &entropy).expect("an empty record")).expect("well formed")[0].id;
    let mut message = super::sender_key_message::write_covered(id, iteration, ciphertext);
    let signature = crate::core::xeddsa::sign(&signing, &message, &[1; 64]);
    message.extend_from_slice(&signature);
    message
}

#[test]
fn a_signed_message_that_is_malformed_is_invalid_and_changes_nothing() {
    let mut room = Room::told(6);
    for ciphertext in [&[][..], &[0; 15], &[0; 16], &[0; 33]] {
        assert_eq!(room.read(&signed(6, 3, ciphertext)), Err(Failure::InvalidMessage));
    }
    let message = room.send(b"text");
    assert_eq!(room.read(&message), Ok(b"text".to_vec()));
}

// --- limits -------------------------------------------------------------------------------------------------------------

#[test]
fn a_jump_is_followed_so_far_and_no_farther() {
    let mut room = Room::told(7);
    for iteration in [MAX_JUMP + 1, 100_000, u32::MAX] {
        assert_eq!(room.read(&signed(7, iteration, &[0; 16])), Err(Failure::FutureMessage), "{iteration}");
    }
    assert_eq!(room.read(&signed(7, MAX_JUMP, &[0; 16])), Err(Failure::InvalidMessage), "followed, not decrypted");
    assert!(room.reader.len() < 100);
}

#[test]
fn the_last_iteration_there_is_can_be_neither_sent_nor_read() {
    let told = |seed| Distribution::parse(&distribution(&Room::told(seed).sender).expect("ours")).expect("well formed");
    let mut last = told(8);
    last.iteration = u32::MAX;
    let reader = process(b"", &last.write()).expect("well formed");
    assert_eq!(decrypt(&reader, &signed(8, u32::MAX, &[0; 16])).err(), Some(Failure::FutureMessage));
    let sender = own_at(u32::MAX);
    assert_eq!(encrypt(&sender, b"", &[0; 64]).err(), Some(Failure::NoSession));
}

/// A record of our own at this iteration.
fn own_at(iteration: u32) -> Vec<u8> {
    let (mut chain, mut signing, mut state, mut record) = (vec![], vec![], vec![], vec![]);
    put_uint32(&mut chain, 1, iteration);
    put_bytes(&mut chain, 2, &[1; 32]);
    put_bytes(&mut signing, 1, &typed(&crate::core::curve::public_key(&[2; 32])));
    put_bytes(&mut signing, 2, &[2; 32]);
    put_uint32(&mut state, 1, 77);
    put_bytes(&mut state, 2, &chain);
    put_bytes(&mut state, 3, &signing);
    put_uint32(&mut state, 5, 3);
    put_bytes(&mut record, 1, &state);
    record
}

#[test]
fn the_newest_skipped_keys_are_kept() {
    let mut room = Room::told(9);
    let sealed: Vec<_> = (0..2_200_u32).map(|number| room.send(&number.to_be_bytes())).collect();
    let text = |number: u32| Ok(number.to_be_bytes().to_vec());
    assert_eq!(room.read(&sealed[100]), text(100));
    assert_eq!(room.read(&sealed[2_199]), text(2_199));
    assert_eq!(describe(&room.reader).expect("well formed")[0].skipped, MAX_SKIPPED);
    assert_eq!(room.read(&sealed[198]), Err(Failure::Duplicate), "fell out");
    for place in [199, 1_000, 2_198] {
        assert_eq!(room.read(&sealed[place as usize]), text(place));
    }
    // A second gap pushes out the oldest of the first, none of its own.
    for _ in 0..10 {
        room.send(b"lost");
    }
    let last = room.send(b"last");
    assert_eq!(room.read(&last), Ok(b"last".to_vec()));
    assert_eq!(describe(&room.reader).expect("well formed")[0].skipped, MAX_SKIPPED);
    assert_eq!(room.read(&sealed[206]), Err(Failure::Duplicate));
    assert_eq!(room.read(&sealed[207]), text(207));
}

#[test]
fn five_states_are_kept() {
    let mut room = Room::told(10);
    let mut sealed = vec![room.send(b"0")];
    for seed in 11..16 {
        room.rotate(seed);
        sealed.push(room.send(b"x"));
    }
    assert_eq!(describe(&room.reader).expect("well formed").len(), MAX_STATES);
    assert_eq!(describe(&room.sender).expect("well formed").len(), MAX_STATES);
    assert_eq!(room.read(&sealed[0]), Err(Failure::NoSenderKey));
    for message in sealed.iter().skip(1) {
        assert_eq!(room.read(message), Ok(b"x".to_vec()));
    }
}

// --- distributions ------------------------------------------------------------------------------------------------------

#[test]
fn told_again_a_state_keeps_its_place() {
    let mut room = Room::told(20);
    let first = distribution(&room.sender).expect("ours");
    let sealed: Vec<_> = (0..4).map(|_| room.send(b"text")).collect();
    assert!(room.read(&sealed[2]).is_ok());
    let before = room.reader.clone();
    for told in [&first, &distribution(&room.sender).expect("ours")] {
        room.reader = process(&room.reader, told).expect("well formed");
        assert_eq!(room.reader, before, "neither back to 0 nor on to 4, which it reaches by itself");
    }
    assert_eq!(room.read(&sealed[2]), Err(Failure::Duplicate));
    assert!(room.read(&sealed[0]).is_ok());
    assert!(room.read(&sealed[3]).is_ok());
}

#[test]
fn told_again_an_older_state_comes_to_the_front() {
    let mut room = Room::told(21);
    let first = distribution(&room.sender).expect("ours");
    room.rotate(22);
    room.rotate(29);
    let ids = |record: &[u8]| describe(record).expect("well formed").iter().map(|view| view.id).collect::<Vec<_>>();
    let before = ids(&room.reader);
    room.reader = process(&room.reader, &first).expect("well formed");
    assert_eq!(ids(&room.reader), [before[2], before[0], before[1]]);
}

#[test]
fn told_a_place_out_of_reach_it_counts() {
    let mut room = Room::told(23);
    let early = room.send(b"early");
    let mut far = Distribution::parse(&distribution(&room.sender).expect("ours")).expect("well formed");
    far.iteration += 30_000;
    room.reader = process(&room.reader, &far.write()).expect("well formed");
    assert_eq!(describe(&room.reader).expect("well formed")[0].iteration, 30_001);
    room.tell();
    assert_eq!(describe(&room.reader).expect("well formed")[0].iteration, 30_001, "not back");
    assert_eq!(room.read(&early), Err(Failure::Duplicate));
}

#[test]
fn another_chain_or_signing_key_under_the_same_id_replaces() {
    for change in [10, 40] {
        let mut room = Room::told(24);
        let old = room.send(b"old");
        let mut entropy: [u8; 68] = dice(24);
        entropy[change] ^= 1;
        room.sender = create(b"", &entropy).expect("an empty record");
        room.tell();
        assert_eq!(describe(&room.reader).expect("well formed").len(), 1);
        let new = room.send(b"new");
        assert_eq!(room.read(&new), Ok(b"new".to_vec()), "byte {change}");
        assert_ne!(room.read(&old), Ok(b"old".to_vec()));
    }
}

#[test]
fn a_distribution_never_replaces_our_own_key() {
    let room = Room::told(25);
    let told = distribution(&room.sender).expect("ours");
    assert_eq!(process(&room.sender, &told).expect("ours"), room.sender);
    let mut forged = Distribution::parse(&told).expect("well formed");
    forged.signing_key[0] ^= 1;
    assert_eq!(process(&room.sender, &forged.write()).err(), Some(Failure::InvalidKey));
}

#[test]
fn every_cut_distribution_is_refused_and_a_changed_one_reads_nothing() {
    let mut room = Room::told(26);
    let told = distribution(&room.sender).expect("ours");
    let message = room.send(b"text");
    for length in 0..told.len() {
        assert!(matches!(process(b"", &told[..length]), Err(Failure::Message(_))), "cut at {length}");
    }
    for place in 0..told.len() {
        for bit in 0..8 {
            let mut changed = told.to_vec();
            changed[place] ^= 1 << bit;
            let read = process(b"", &changed).and_then(|record| decrypt(&record, &message));
            // A wrong chain can decrypt to something: there is no MAC.
            let is_read = read.is_ok_and(|(_, plaintext)| *plaintext == b"text");
            // What says the same: the curve ignores a key's top bit, a uint32 has 32, senders may speak higher versions.
            let is_same = Distribution::parse(&changed).is_ok_and(|mut changed| {
                changed.signing_key[31] &= 0x7f;
                changed.write() == told
            });
            assert_eq!(is_read, is_same, "byte {place} bit {bit}");
        }
    }
}

// --- records ------------------------------------------------------------------------------------------------------------

#[test]
fn without_a_key_of_ours_nothing_is_sealed_or_told() {
    let room = Room::told(30);
    for record in [&b""[..], &room.reader] {
        assert_eq!(encrypt(record, b"", &[0; 64]).err(), Some(Failure::NoSession));
        assert_eq!(distribution(record).err(), Some(Failure::NoSession));
    }
}

#[test]
fn every_cut_and_changed_record_gives_an_answer() {
    let mut room = Room::told(31);
    let sealed: Vec<_> = (0..3).map(|_| room.send(b"text")).collect();
    room.read(&sealed[1]).expect("told");
    for original in [room.sender.to_vec(), room.reader.to_vec()] {
        for length in 1..original.len() {
            assert_eq!(describe(&original[..length]).err(), Some(Failure::Record), "cut at {length}");
        }
        for place in 0..original.len() {
            for bit in 0..8 {
                let mut changed = original.clone();
                changed[place] ^= 1 << bit;
                for message in &sealed {
                    let _ = decrypt(&changed, message);
                }
                let _ = encrypt(&changed, b"text", &[0; 64]);
                let _ = process(&changed, &distribution(&room.sender).expect("ours"));
            }
        }
    }
}

#[test]
fn unknown_fields_are_kept() {
    let mut room = Room::told(32);
    let message = room.send(b"text");
    let state = &room.reader[2..];
    let mut inner = state.to_vec();
    put_bytes(&mut inner, 9, b"inside");
    let mut record = vec![];
    put_bytes(&mut record, 1, &inner);
    put_uint32(&mut record, 12, 34);
    let (after, _) = decrypt(&record, &message).expect("well formed");
    for kept in [&b"inside"[..], &[12 << 3, 34]] {
        assert!(after.windows(kept.len()).any(|window| window == kept));
    }
}

#[test]
fn a_state_of_another_version_is_none_of_ours_to_read() {
    let mut room = Room::told(33);
    let message = room.send(b"text");
    let last = room.reader.len() - 1;
    assert_eq!(room.reader[last], 3);
    room.reader[last] = 4;
    assert_eq!(room.read(&message), Err(Failure::NoSenderKey));
}

// --- vectors ------------------------------------------------------------------------------------------------------------

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn repeat(name: &str, given: &Value) -> Result<Value, Failure> {
    let record = bytes(&given["record"]);
    Ok(match name {
        "sender_key_create" => {
            json!(hex(&create(&record, &bytes(&given["entropy"]).try_into().expect("length"))?))
        }
        "sender_key_distribution" => json!(hex(&distribution(&record)?)),
        "sender_key_process" => json!(hex(&process(&record, &bytes(&given["distribution"]))?)),
        "sender_key_encrypt" => {
            let entropy = bytes(&given["entropy"]).try_into().expect("length");
            let (record, message) = encrypt(&record, &bytes(&given["plaintext"]), &entropy)?;
            json!([hex(&record), hex(&message)])
        }
        _ => {
            let (record, text) = decrypt(&record, &bytes(&given["message"]))?;
            json!([hex(&record), hex(&text)])
        }
    })
}

fn refusal(failure: Failure) -> String {
    match failure {
        Failure::Message(offset) => format!("decode at {offset}"),
        Failure::Duplicate => "duplicate".to_owned(),
        Failure::NoSenderKey => "no_sender_key".to_owned(),
        Failure::NoSession => "no_session".to_owned(),
        Failure::InvalidSignature => "invalid_signature".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn recorded_calls_give_what_they_gave() {
    let file = include_str!("../../../../tests/vectors/sender_key.json");
    let vector: Value = serde_json::from_str(file).expect("JSON");
    let calls = vector["calls"].as_array().expect("calls");
    assert!(calls.len() > 40);
    for (place, call) in calls.iter().enumerate() {
        let name = call["call"].as_str().expect("name");
        match repeat(name, &call["arguments"]) {
            Ok(gives) => assert_eq!(gives, call["gives"], "{place} {name}"),
            Err(failure) => assert_eq!(json!(refusal(failure)), call["refused"], "{place} {name}"),
        }
    }
}
