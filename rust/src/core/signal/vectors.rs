//! The recorded calls of tests/vectors/signal_*.json give what they gave, without Python.

use super::error::Failure;
use super::session::{self, Bundle, Local, Prekeys};
use super::{KeyPair, Kind};
use serde_json::{Value, json};
use zeroize::Zeroizing;

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("length")
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("number")
}

fn secret(value: &Value) -> Option<Zeroizing<[u8; 32]>> {
    (!value.is_null()).then(|| Zeroizing::new(fixed(value)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bundle(value: &Value) -> Bundle {
    Bundle {
        registration_id: number(&value["registration_id"]),
        identity_key: fixed(&value["identity_key"]),
        signed_prekey_id: number(&value["signed_prekey_id"]),
        signed_prekey: fixed(&value["signed_prekey"]),
        signed_prekey_signature: fixed(&value["signed_prekey_signature"]),
        prekey: (!value["prekey"].is_null()).then(|| (number(&value["prekey_id"]), fixed(&value["prekey"]))),
    }
}

fn local(given: &Value) -> Local {
    Local {
        identity: KeyPair {
            private: Zeroizing::new(fixed(&given["identity_private"])),
            public: fixed(&given["identity_public"]),
        },
        registration_id: number(&given["registration_id"]),
    }
}

fn repeat(name: &str, given: &Value) -> Result<Value, Failure> {
    let record = bytes(&given["record"]);
    Ok(match name {
        "session_initiate" => {
            let made = session::initiate(&record, &bundle(&given["bundle"]), &local(given), &fixed(&given["entropy"]))?;
            json!(hex(&made))
        }
        "session_encrypt" => {
            let (record, kind, message) = session::encrypt(&record, &bytes(&given["plaintext"]))?;
            json!([hex(&record), if kind == Kind::PreKey { "pkmsg" } else { "msg" }, hex(&message)])
        }
        "session_decrypt" => {
            let (record, text) = session::decrypt(&record, &bytes(&given["message"]), &fixed(&given["entropy"]))?;
            json!([hex(&record), hex(&text)])
        }
        _ => {
            let prekeys =
                Prekeys { signed: secret(&given["signed_prekey_private"]), once: secret(&given["prekey_private"]) };
            let (message, entropy) = (bytes(&given["message"]), fixed(&given["entropy"]));
            let (record, text, opened) = session::decrypt_prekey(&record, &message, &local(given), &prekeys, &entropy)?;
            json!([hex(&record), hex(&text), opened])
        }
    })
}

fn refusal(failure: Failure) -> String {
    match failure {
        Failure::Message(offset) => format!("decode at {offset}"),
        Failure::BadMac => "bad_mac".to_owned(),
        Failure::Duplicate => "duplicate".to_owned(),
        Failure::NoSession => "no_session".to_owned(),
        Failure::InvalidSignature => "signature".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn recorded_calls_give_what_they_gave() {
    let files = [
        include_str!("../../../../tests/vectors/signal_own.json"),
        include_str!("../../../../tests/vectors/signal_official.json"),
    ];
    for file in files {
        let vector: Value = serde_json::from_str(file).expect("JSON");
        let calls = vector["calls"].as_array().expect("calls");
        assert!(calls.len() > 20);
        for (place, call) in calls.iter().enumerate() {
            let name = call["call"].as_str().expect("name");
            match repeat(name, &call["arguments"]) {
                Ok(gives) => assert_eq!(gives, call["gives"], "{place} {name}"),
                Err(failure) => assert_eq!(json!(refusal(failure)), call["refused"], "{place} {name}"),
            }
        }
    }
}
