"""Messages: ids, wrappers, secrets, context, and what kind of content one holds."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from waton.errors import DecodeError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.message import (
    MAX_WRAPPERS,
    WRAPPERS,
    WrittenBy,
    context_of,
    device_sent,
    ensure_secret,
    kind_of,
    message_id,
    normalise,
    parse_message,
    secret_of,
    text_message,
    unwrap_device_sent,
    with_context,
    written_by,
)

ME = Jid.parse("4915000000001:3@s.whatsapp.net")
PEER = Jid.parse("77000000000001:9@lid")
DICE = bytes(range(16))
SECRET = bytes(range(32))


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


@pytest.mark.parametrize(
    ("id", "kind"),
    [
        ("3A" + "0" * 18, WrittenBy.IOS),
        ("3EB0" + "0" * 18, WrittenBy.WEB),
        ("A" * 21, WrittenBy.ANDROID),
        ("AC" + "0" * 30, WrittenBy.ANDROID),
        ("3F0", WrittenBy.DESKTOP),
        ("B" * 18, WrittenBy.DESKTOP),
        ("3A", WrittenBy.UNKNOWN),
        ("3EB0" + "0" * 19, WrittenBy.UNKNOWN),
        ("", WrittenBy.UNKNOWN),
        ("3A" + "0" * 18 + "\n", WrittenBy.UNKNOWN),
    ],
)
def test_an_id_looks_like_one_kind_of_client(id: str, kind: WrittenBy) -> None:
    assert written_by(id) is kind


def test_our_own_ids_look_like_the_webs() -> None:
    assert written_by(message_id(None, 1_760_000_000, bytes(16))) is WrittenBy.WEB


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


def test_the_wrapper_carries_the_messages_secret_outside_too() -> None:
    # Source: Baileys relayMessage, whatsmeow marshalMessage.
    assert not device_sent(PEER, text_message("hello")).HasField("messageContextInfo")
    wrapped = device_sent(PEER, ensure_secret(text_message("hello"), SECRET))
    assert wrapped.messageContextInfo.messageSecret == SECRET


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


def wrap(message: proto.Message, *names: str) -> proto.Message:
    """The message in these wrappers, the first one outermost."""
    for name in reversed(names):
        outer = proto.Message()
        getattr(outer, name).message.CopyFrom(message)
        message = outer
    return message


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_is_looked_through(name: str) -> None:
    wrapped = wrap(text_message("hello"), name)
    before = wrapped.SerializeToString()
    assert normalise(wrapped) == text_message("hello")
    assert wrapped.SerializeToString() == before


def test_five_wrappers_are_looked_through_and_no_more() -> None:
    message = text_message("hello")
    assert normalise(wrap(message, *["ephemeralMessage"] * MAX_WRAPPERS)) == message
    deep = normalise(wrap(message, *["ephemeralMessage"] * 100))
    assert kind_of(deep) == "ephemeralMessage"


def test_what_is_not_wrapped_is_itself() -> None:
    message = text_message("hello")
    assert normalise(message) is message
    assert normalise(wrap(message, "lottieStickerMessage")) != message
    own = device_sent(PEER, message)
    assert normalise(own) is own


def test_an_empty_wrapper_holds_an_empty_message() -> None:
    assert normalise(proto.Message(viewOnceMessage=proto.Message.FutureProofMessage())) == proto.Message()


def test_the_first_of_two_wrappers_counts() -> None:
    # Source: the order in Baileys' getFutureProofMessage, which is not that of the field numbers.
    message = wrap(text_message("seen once"), "viewOnceMessage")
    message.ephemeralMessage.message.CopyFrom(text_message("first"))
    assert normalise(message) == text_message("first")
    message = wrap(text_message("changed"), "editedMessage")
    message.viewOnceMessageV2Extension.message.CopyFrom(text_message("first"))
    assert normalise(message) == text_message("first")


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_message_gets_a_secret_once() -> None:
    message = text_message("hello")
    made = ensure_secret(message, SECRET)
    assert (secret_of(made), secret_of(message)) == (SECRET, None)
    assert ensure_secret(made, bytes(32)) is made
    made.ClearField("messageContextInfo")
    assert made == message


def test_the_secret_stays_outside_of_the_wrappers() -> None:
    made = ensure_secret(wrap(text_message("hello"), "ephemeralMessage"), SECRET)
    assert made.messageContextInfo.messageSecret == SECRET
    assert not normalise(made).HasField("messageContextInfo")


@pytest.mark.parametrize(
    "addition",
    [
        proto.Message(reactionMessage=proto.Message.ReactionMessage(text="x")),
        proto.Message(encReactionMessage=proto.Message.EncReactionMessage()),
        proto.Message(encEventResponseMessage=proto.Message.EncEventResponseMessage()),
        proto.Message(pollUpdateMessage=proto.Message.PollUpdateMessage()),
    ],
    ids=kind_of,
)
def test_an_addition_needs_no_secret_of_its_own(addition: proto.Message) -> None:
    assert ensure_secret(addition, SECRET) is addition
    wrapped = wrap(addition, "ephemeralMessage")
    assert ensure_secret(wrapped, SECRET) is wrapped


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ensure_secret(text_message("hello"), bytes(size))
    message = text_message("hello")
    message.messageContextInfo.messageSecret = bytes(size)
    assert secret_of(message) is None


def test_a_secret_is_found_outside_first_and_then_with_the_content() -> None:
    inside = text_message("hello")
    inside.messageContextInfo.messageSecret = bytes(32)
    wrapped = wrap(inside, "ephemeralMessage")
    assert secret_of(wrapped) == bytes(32)
    wrapped.messageContextInfo.messageSecret = SECRET
    assert secret_of(wrapped) == SECRET


# --- context ----------------------------------------------------------------------------------------------------------

CONTEXT = proto.ContextInfo(stanzaId="3EB0", participant="77000000000002@lid", expiration=604_800)


def test_context_is_put_into_the_content() -> None:
    for message in (text_message("hello"), proto.Message(imageMessage=proto.Message.ImageMessage(url="x"))):
        made = with_context(message, CONTEXT)
        assert context_of(made) == CONTEXT
        assert context_of(message) is None


def test_context_is_put_through_the_wrappers() -> None:
    wrapped = wrap(text_message("hello"), "viewOnceMessage", "ephemeralMessage")
    made = with_context(wrapped, CONTEXT)
    assert normalise(made).extendedTextMessage.contextInfo == CONTEXT
    assert context_of(wrapped) is None


def test_a_plain_conversation_becomes_a_text_that_can_hold_it() -> None:
    made = with_context(proto.Message(conversation="hello"), CONTEXT)
    assert (made.HasField("conversation"), made.extendedTextMessage.text) == (False, "hello")
    assert context_of(made) == CONTEXT


def test_context_is_merged_with_what_is_there() -> None:
    first = with_context(text_message("hello"), proto.ContextInfo(mentionedJid=["1@lid"], expiration=5))
    merged = context_of(with_context(first, proto.ContextInfo(expiration=6)))
    assert merged == proto.ContextInfo(mentionedJid=["1@lid"], expiration=6)


@pytest.mark.parametrize("message", [proto.Message(), proto.Message(chat=proto.Message.Chat(displayName="x"))])
def test_content_without_a_place_for_context_is_refused(message: proto.Message) -> None:
    with pytest.raises(ValueError, match="contextInfo"):
        with_context(message, CONTEXT)
    assert context_of(message) is None


@pytest.mark.parametrize("plain", [b"\xff", b"\x0a\x05abc", b"\x32\x7f"])
def test_what_is_no_message_does_not_decode(plain: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        parse_message(plain)
    assert (refused.value.data, refused.value.what) == (plain, "message")


def test_unknown_fields_stay() -> None:
    data = text_message("hello").SerializeToString() + b"\xfa\xff\x01\x03abc"
    assert parse_message(data).SerializeToString() == data
