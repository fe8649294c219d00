//! Why a Signal step cannot be taken.

/// A failure of a step; the record the step was given stays what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The record holds no session that could be used, or no sender key of our own.
    NoSession,
    /// The record holds no sender key of the id that the message names.
    NoSenderKey,
    /// No session's MAC key fits the message.
    BadMac,
    /// The message's key was used before, or was dropped with the oldest skipped keys.
    Duplicate,
    /// The message is further ahead than `MAX_JUMP`.
    FutureMessage,
    /// The message verifies but is not what a sender makes, e.g. its padding is wrong.
    InvalidMessage,
    /// A public key of low order, or another identity than the session's.
    InvalidKey,
    /// A prekey that the message names is not there.
    InvalidKeyId,
    /// The signed prekey is not signed by the identity key, or a group message not by its sender key.
    InvalidSignature,
    /// The message does not parse from this offset.
    Message(usize),
    /// The stored record does not parse.
    Record,
}
