"""Messages: ids, the wrapper for our own devices, and what kind of content one holds."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from waton.errors import DecodeError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.message import device_sent, kind_of, message_id, parse_message, text_message, unwrap_device_sent

ME = Jid.parse("4915000000001:3@s.whatsapp.net")
PEER = Jid.parse("77000000000001:9@lid")
DICE = bytes(range(16))


def test_ids_are_baileys_shape() -> None:
    # Source: Baileys generateMessageIDV2: 3EB0 and 18 upper-case hex digits of SHA-256.
    id = message_id(ME, 1_760_000_000.9, DICE)
    assert re.fullmatch(r"3EB0[0-9A-F]{18}", id)
    seed = (1_760_000_000).to_bytes(8, "big") + b"4915000000001@c.us\0\0" + DICE
    assert len(seed) == 44
    assert id == "3EB0" + sha256(seed).hexdigest()[:18].upper()


def test_a_long_user_is_cut_so_that_the_dice_keep_their_place() -> None:
    # Source: Baileys writes them over it.
    long = Jid.parse("123456789012345678901234@lid")
    seed = (1).to_bytes(8, "big") + b"12345678901234567890" + DICE
    assert message_id(long, 1.0, DICE) == "3EB0" + sha256(seed).hexdigest()[:18].upper()


def test_ids_depend_on_who_when_and_the_dice() -> None:
    ids = {
        message_id(ME, 1.0, DICE),
        message_id(ME, 2.0, DICE),
        message_id(None, 1.0, DICE),
        message_id(Jid.parse("4915000000002@s.whatsapp.net"), 1.0, DICE),
        message_id(ME, 1.0, DICE[::-1]),
    }
    assert len(ids) == 5
    assert message_id(ME, 1.0, DICE) == message_id(ME, 1.9, DICE)


def test_a_text_is_an_extended_text() -> None:
    message = text_message("käse 🧀")
    assert message.extendedTextMessage.text == "käse 🧀"
    assert not message.HasField("conversation")


def test_the_wrapper_names_the_conversation_and_holds_the_message() -> None:
    message = text_message("hello")
    wrapped = device_sent(PEER, message)
    assert kind_of(wrapped) == "deviceSentMessage"
    assert wrapped.deviceSentMessage.destinationJid == "77000000000001@lid"
    unwrapped = unwrap_device_sent(parse_message(wrapped.SerializeToString()))
    assert unwrapped.message == message
    assert unwrapped.destination == "77000000000001@lid"


def test_what_is_not_wrapped_stays_as_it_is() -> None:
    message = text_message("hello")
    unwrapped = unwrap_device_sent(message)
    assert unwrapped.message is message
    assert unwrapped.destination == ""


def test_the_outer_context_moves_in_unless_there_is_one() -> None:
    wrapped = device_sent(PEER, text_message("hello"))
    wrapped.messageContextInfo.messageSecret = bytes(32)
    assert unwrap_device_sent(wrapped).message.messageContextInfo.messageSecret == bytes(32)
    wrapped.deviceSentMessage.message.messageContextInfo.messageSecret = b"\1" * 32
    assert unwrap_device_sent(wrapped).message.messageContextInfo.messageSecret == b"\1" * 32


def test_unwrapping_leaves_the_original_alone() -> None:
    wrapped = device_sent(PEER, text_message("hello"))
    wrapped.messageContextInfo.messageSecret = bytes(32)
    before = wrapped.SerializeToString()
    unwrap_device_sent(wrapped).message.extendedTextMessage.text = "changed"
    assert wrapped.SerializeToString() == before


def test_the_kind_is_the_content_and_not_what_goes_along() -> None:
    message = text_message("hello")
    message.messageContextInfo.messageSecret = bytes(32)
    message.senderKeyDistributionMessage.groupId = "1@g.us"
    assert kind_of(message) == "extendedTextMessage"
    assert kind_of(proto.Message(conversation="hello")) == "conversation"
    assert kind_of(proto.Message(reactionMessage=proto.Message.ReactionMessage(text="x"))) == "reactionMessage"
    message.ClearField("extendedTextMessage")
    assert kind_of(message) == ""
    assert kind_of(proto.Message()) == ""


@pytest.mark.parametrize("plain", [b"\xff", b"\x0a\x05abc", b"\x32\x7f"])
def test_what_is_no_message_does_not_decode(plain: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        parse_message(plain)
    assert (refused.value.data, refused.value.what) == (plain, "message")


def test_unknown_fields_stay() -> None:
    data = text_message("hello").SerializeToString() + b"\xfa\xff\x01\x03abc"
    assert parse_message(data).SerializeToString() == data
