//! The double ratchet on one session: seal a message, open a message.
//!
//! Opening tries before it changes: keys are derived on the side, the MAC is checked, and only then do chains, counters and
//! ratchet keys move. A message that does not verify leaves the session bit for bit what it was. Work is bounded: a chain is
//! followed at most `MAX_JUMP` steps, and all sessions together share one `Budget`.
//!
//! Source: signal.org/docs/specifications/doubleratchet; limits as in the official client.

use super::error::Failure;
use super::keys::{ChainKey, KeyPair, MessageKeys, turn};
use super::message::{PreKeyHeader, PublicKey, SignalMessage, write_covered, write_prekey_message};
use super::record::{Body, MAX_SKIPPED, ReceiverChain, SenderChain, Session};
use crate::core::curve::PeerKey;
use zeroize::Zeroizing;

/// How far ahead of its chain a message may be. libsignal-node allows 2,000, the official client this.
pub const MAX_JUMP: u32 = 25_000;

/// Chain steps that one message may still cost, over all sessions it is tried on.
pub struct Budget(u32);

impl Budget {
    /// Four full jumps: the current session's, and some for archived ones.
    pub fn new() -> Self {
        Self(4 * MAX_JUMP)
    }

    fn spend(&mut self, steps: u32) -> Result<(), Failure> {
        if steps > MAX_JUMP || steps > self.0 {
            return Err(Failure::FutureMessage);
        }
        self.0 -= steps;
        Ok(())
    }
}

/// What kind of message was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PreKey,
    Ordinary,
}

/// What opening changes in a session once the MAC has verified.
struct Opened {
    keys: MessageKeys,
    chain: Zeroizing<Vec<u8>>,
}

impl Session<'_> {
    /// Seal a message and step the sender chain.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<(Kind, Vec<u8>), Failure> {
        if !self.is_usable() {
            return Err(Failure::NoSession);
        }
        let sender = self.sender.as_mut().ok_or(Failure::NoSession)?;
        let next = sender.chain.next().ok_or(Failure::NoSession)?;
        let keys = sender.chain.message_keys();
        let counter = std::mem::replace(&mut sender.chain, next).index;
        let ciphertext = keys.encrypt(plaintext);
        let mut message = write_covered(&sender.ratchet.public, counter, self.previous_counter, &ciphertext);
        let mac = keys.authenticate(&self.local_identity, &self.remote_identity, &message);
        message.extend_from_slice(&mac);
        let Some(pending) = &self.pending else {
            return Ok((Kind::Ordinary, message));
        };
        let header = PreKeyHeader {
            registration_id: self.local_registration_id,
            prekey_id: pending.prekey_id,
            signed_prekey_id: pending.signed_prekey_id,
            base_key: &pending.base_key,
            identity_key: &self.local_identity,
        };
        Ok((Kind::PreKey, write_prekey_message(&header, &message)))
    }

    /// Open a message. `entropy` becomes our next ratchet key if this message turns the ratchet.
    pub fn decrypt(
        &mut self, message: &SignalMessage<'_>, entropy: &[u8; 32], budget: &mut Budget,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if !self.is_usable() {
            return Err(Failure::NoSession);
        }
        let plaintext = match self.find_chain(&message.ratchet_key)? {
            Some((place, chain)) => {
                let opened = self.open_in(chain, message, budget)?;
                let plaintext = opened.keys.decrypt(message.ciphertext)?;
                if let Some(body) = self.receivers.get_mut(place) {
                    *body = Body::Owned(opened.chain);
                }
                plaintext
            }
            None => self.open_and_turn(message, entropy, budget)?,
        };
        self.pending = None;
        Ok(plaintext)
    }

    fn open_and_turn(
        &mut self, message: &SignalMessage<'_>, entropy: &[u8; 32], budget: &mut Budget,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let sender = self.sender.as_ref().ok_or(Failure::NoSession)?;
        let theirs = PeerKey::new(&message.ratchet_key);
        let (root, chain) = turn(&self.root_key, &sender.ratchet.private, &theirs)?;
        let opened = self.open_in(ReceiverChain::new(message.ratchet_key, chain), message, budget)?;
        let plaintext = opened.keys.decrypt(message.ciphertext)?;
        let previous_counter = sender.chain.index.saturating_sub(1);
        let ratchet = KeyPair::of(entropy);
        let (root, chain) = turn(&root, &ratchet.private, &theirs)?;
        self.previous_counter = previous_counter;
        self.root_key = root;
        self.sender = Some(SenderChain { ratchet, chain });
        self.push_chain(opened.chain);
        Ok(plaintext)
    }

    /// The message's keys, verified, and the chain as it is after them.
    fn open_in(
        &self, mut chain: ReceiverChain<'_>, message: &SignalMessage<'_>, budget: &mut Budget,
    ) -> Result<Opened, Failure> {
        let keys = if message.counter < chain.index {
            let (place, keys) = chain.find_skipped(message.counter)?.ok_or(Failure::Duplicate)?;
            self.verify(&keys, message)?;
            chain.stored.remove(place);
            keys
        } else {
            let now = chain.chain.as_ref().ok_or(Failure::InvalidMessage)?;
            budget.spend(message.counter - now.index)?;
            let reached = follow(now, message.counter)?;
            let keys = reached.message_keys();
            self.verify(&keys, message)?;
            chain.fresh = skip(now, message.counter)?;
            let next = reached.next().ok_or(Failure::FutureMessage)?;
            chain.index = next.index;
            chain.chain = Some(next);
            keys
        };
        Ok(Opened { keys, chain: chain.write() })
    }

    fn verify(&self, keys: &MessageKeys, message: &SignalMessage<'_>) -> Result<(), Failure> {
        keys.verify(&self.remote_identity, &self.local_identity, message.covered, &message.mac)
    }

    /// Whether a message of this ratchet key belongs to a chain we know.
    pub fn has_chain(&self, ratchet_key: &PublicKey) -> bool {
        matches!(self.find_chain(ratchet_key), Ok(Some(_)))
    }
}

/// The chain key of `counter`.
fn follow(from: &ChainKey, counter: u32) -> Result<ChainKey, Failure> {
    let mut chain = from.clone();
    while chain.index < counter {
        chain = chain.next().ok_or(Failure::FutureMessage)?;
    }
    Ok(chain)
}

/// The keys of the messages before `counter` that are worth keeping, newest first.
fn skip(from: &ChainKey, counter: u32) -> Result<Vec<(u32, MessageKeys)>, Failure> {
    let mut skipped = Vec::with_capacity(((counter - from.index) as usize).min(MAX_SKIPPED));
    let mut chain = from.clone();
    while chain.index < counter {
        if (counter - chain.index) as usize <= MAX_SKIPPED {
            skipped.push((chain.index, chain.message_keys()));
        }
        chain = chain.next().ok_or(Failure::FutureMessage)?;
    }
    skipped.reverse();
    Ok(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_and_each_jump_limited() {
        let mut budget = Budget::new();
        assert_eq!(budget.spend(MAX_JUMP + 1), Err(Failure::FutureMessage));
        for _ in 0..4 {
            assert_eq!(budget.spend(MAX_JUMP), Ok(()));
        }
        assert_eq!(budget.spend(1), Err(Failure::FutureMessage));
        assert_eq!(budget.spend(0), Ok(()), "messages in their place are always read");
    }
}
