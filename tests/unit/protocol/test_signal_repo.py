"""Sessions as the client and the lab's phones use them: trust on first use, bundles as stanzas."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.signal_parties import SIGNED_PREKEY_ID, Waton
from waton.errors import DecryptError, DecryptReason, RemoteProtocolError, UntrustedIdentity
from waton.jid import Jid
from waton.protocol import signal_repo
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.signal_repo import Decrypted, Encrypted, EncType, LocalIdentity, PreKeyLookup
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey

SENDER = Jid.parse("15550100001:3@s.whatsapp.net")


def local(device: Waton) -> LocalIdentity:
    return LocalIdentity(device.identity_private, device.identity_public, device.registration_id)


def first_message(alice: Waton, bob: Waton, text: bytes = b"text") -> Encrypted:
    """Alice opens a session to Bob and seals a message."""
    record = signal_repo.open_session(None, bob.bundle().for_waton(), local(alice), entropy=alice.dice.randbytes(64))
    return signal_repo.encrypt(record, text)


def read(
    bob: Waton,
    sealed: Encrypted,
    *,
    record: bytes | None = None,
    trusted: bytes | None = None,
    keys: PreKeyLookup | None = None,
) -> Decrypted:
    return signal_repo.decrypt(
        sealed.type,
        sealed.ciphertext,
        record=record,
        local=local(bob),
        keys=keys or PreKeyLookup(bob.signed_prekey, bob.prekeys.get(1)),
        trusted_identity=trusted,
        sender=SENDER,
        entropy=bob.dice.randbytes(32),
    )


# --- messages ---------------------------------------------------------------------------------------------------------


def test_the_first_message_names_its_identity_and_the_prekey_it_spent() -> None:
    alice, bob = Waton(1), Waton(2)
    sealed = first_message(alice, bob)
    assert sealed.type is EncType.PKMSG
    opened = read(bob, sealed)
    assert opened.plaintext == b"text"
    assert opened.identity_key == alice.identity_public
    assert opened.spent_prekey_id == 1
    answer = signal_repo.encrypt(opened.record, b"answer")
    assert answer.type is EncType.MSG
    heard = read(alice, answer, record=sealed.record)
    assert (heard.plaintext, heard.identity_key, heard.spent_prekey_id) == (b"answer", None, None)


def test_a_second_pkmsg_spends_nothing() -> None:
    alice, bob = Waton(1), Waton(2)
    first = first_message(alice, bob)
    second = signal_repo.encrypt(first.record, b"second")
    opened = read(bob, first)
    again = read(bob, second, record=opened.record, trusted=alice.identity_public, keys=PreKeyLookup(None, None))
    assert (again.plaintext, again.spent_prekey_id) == (b"second", None)
    assert again.identity_key == alice.identity_public


def test_what_cannot_be_read() -> None:
    alice, bob = Waton(1), Waton(2)
    sealed = first_message(alice, bob)
    cases = [
        (replace(sealed, type=EncType.MSG), None, DecryptReason.NO_SESSION),
        (replace(sealed, type=EncType.SKMSG), None, DecryptReason.UNSUPPORTED),
        (sealed, PreKeyLookup(None, None), DecryptReason.INVALID_KEY_ID),
        (sealed, PreKeyLookup(bytes(range(32)), bob.prekeys[1]), DecryptReason.BAD_MAC),
    ]
    for case, keys, reason in cases:
        with pytest.raises(DecryptError) as refused:
            read(bob, case, keys=keys)
        assert refused.value.reason is reason


# --- trust ------------------------------------------------------------------------------------------------------------


def test_a_known_contact_with_another_identity_is_refused() -> None:
    alice, bob, mallory = Waton(1), Waton(2), Waton(3)
    sealed = first_message(mallory, bob)
    with pytest.raises(UntrustedIdentity) as refused:
        read(bob, sealed, trusted=alice.identity_public)
    assert (refused.value.old, refused.value.new) == (alice.identity_public, mallory.identity_public)
    assert refused.value.jid == SENDER
    assert mallory.identity_public.hex() not in str(refused.value)


def test_an_identity_is_only_spoken_of_after_its_message_verified() -> None:
    """Somebody who writes another identity around a message must not make us believe that the contact changed."""
    alice, bob = Waton(1), Waton(2)
    sealed = first_message(alice, bob)
    forged = sealed.ciphertext.replace(alice.identity_public, Waton(3).identity_public)
    assert forged != sealed.ciphertext
    opened = read(bob, sealed)
    for record, reason in ((None, DecryptReason.BAD_MAC), (opened.record, DecryptReason.INVALID_KEY)):
        with pytest.raises(DecryptError) as refused:
            read(bob, replace(sealed, ciphertext=forged), record=record, trusted=alice.identity_public)
        assert refused.value.reason is reason


# --- bundles ----------------------------------------------------------------------------------------------------------


def bundle_node(*, with_prekey: bool = True) -> Node:
    made = Waton(2).bundle()
    assert made.prekey is not None
    return Bundle(
        registration_id=made.registration_id,
        identity=made.identity_key,
        signed=SignedPrekey(made.signed_prekey_id, made.signed_prekey, made.signed_prekey_signature),
        prekey=(77, made.prekey) if with_prekey else None,
    ).to_node(SENDER, 0)


def with_child(user: Node, changed: Node) -> Node:
    children = [changed if child.tag == changed.tag else child for child in user.children()]
    return Node(user.tag, dict(user.attrs), children)


@pytest.mark.parametrize("with_prekey", [True, False])
def test_a_bundle_as_the_server_writes_it_opens_a_session(with_prekey: bool) -> None:
    bundle = signal_repo.bundle_from_node(bundle_node(with_prekey=with_prekey))
    assert bundle.prekey_id == (77 if with_prekey else None)
    assert bundle.signed_prekey_id == SIGNED_PREKEY_ID
    bob = Waton(2)
    assert (bundle.identity_key, bundle.registration_id) == (bob.identity_public, bob.registration_id)
    record = signal_repo.open_session(None, bundle, local(Waton(1)), entropy=bytes(64))
    assert signal_repo.encrypt(record, b"text").type is EncType.PKMSG


def test_keys_with_their_type_byte_are_the_same_keys() -> None:
    plain = bundle_node()
    identity = Waton(2).identity_public
    typed = with_child(plain, Node("identity", None, b"\x05" + identity))
    assert signal_repo.bundle_from_node(typed).identity_key == identity


@pytest.mark.parametrize(
    "changed",
    [
        Node("identity", None, bytes(31)),
        Node("identity", None, b"\x06" + bytes(32)),
        Node("identity"),
        Node("registration", None, bytes(3)),
        Node("type", None, b"\x06"),
        Node("skey", None, [Node("id", None, b"\0\0\1"), Node("value", None, bytes(32))]),
        Node("key", None, [Node("id", None, b"\1"), Node("value", None, bytes(32))]),
    ],
    ids=["short", "other-type", "empty", "registration", "key-type", "unsigned", "id"],
)
def test_a_bundle_with_a_wrong_part_is_refused(changed: Node) -> None:
    with pytest.raises(RemoteProtocolError):
        signal_repo.bundle_from_node(with_child(bundle_node(), changed))


def test_an_error_instead_of_a_bundle_is_refused() -> None:
    user = Node("user", {"jid": SENDER}, [Node("error", {"code": "404", "text": "item-not-found"})])
    with pytest.raises(RemoteProtocolError):
        signal_repo.bundle_from_node(user)


def test_secrets_are_not_shown() -> None:
    alice, bob = Waton(1), Waton(2)
    sealed = first_message(alice, bob)
    opened = read(bob, sealed)
    credentials = Credentials.generate(alice.dice.randbytes)
    for shown in (local(alice), LocalIdentity.of(credentials), PreKeyLookup(bytes(32), bytes(32)), sealed, opened):
        text = repr(shown)
        assert len(text) < 120
        assert "b'" not in text
