"""Reporting tokens: the fields that count, in order, of the plaintext without its padding; and bytes that are none."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.errors import DecodeError
from waton.jid import Jid
from waton.protocol import proto, reporting_token
from waton.protocol.binary_node import require_child
from waton.protocol.reporting_token import MESSAGE, key, reporting_node, select, token
from waton.utils.padding import pad

ME, CHAT = Jid.parse("77000000000001@lid"), Jid.parse("77000000000002@lid")
ID, SECRET = "3EB0E0E5F2D4F618589C0B", b"\x42" * 32
FORWARDED = proto.ContextInfo(stanzaId="3EB0", isForwarded=True, forwardingScore=3)
TEXT = proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text="hello"))
TEXT.messageContextInfo.messageSecret = SECRET


def bytes_of(**content: Any) -> bytes:
    message = proto.Message(**content)
    return message.SerializeToString()


def made(message: proto.Message, **changed: Any) -> bytes | None:
    """The token that goes along with a message."""
    told: dict[str, Any] = {"id": ID, "sender": ME, "chat": CHAT, **changed}
    node = reporting_node(message, message.SerializeToString(), **told)
    if node is None:
        return None
    assert node.tag == "reporting"
    child = require_child(node, "reporting_token")
    assert child.attrs == {"v": "2"}
    assert isinstance(child.content, bytes)
    return child.content


def test_a_key_and_a_token_known_from_elsewhere() -> None:
    # Source: whatsapp-rust wacore/src/reporting_token.rs.
    sender, chat = Jid.parse("5511999887766@s.whatsapp.net"), Jid.parse("5511888776655@s.whatsapp.net")
    made = key(SECRET, id=ID, sender=sender, chat=chat)
    assert made.hex() == "ba50b22be5cc25717d32b7d277dae1bc9fa8ad122cddb0ec4fbc872452a5e08c"
    assert token(b"\x55" * 32, b"Hello, World!").hex() == "c22b681d7d7eefbc59a202fc141eb5f8"


def test_a_whole_token_known_from_elsewhere() -> None:
    # Source: Baileys 7.0.0-rc13 reporting-utils, whose formula is ours where sender and chat are one address.
    plaintext = bytes.fromhex("32070a0568656c6c6f9a02221a20") + b"\x07" * 32
    message = proto.Message.FromString(plaintext)
    chat = Jid.parse("123@s.whatsapp.net")
    node = reporting_node(message, plaintext, id="3EB0AAAA", sender=chat, chat=chat)
    assert node is not None
    assert require_child(node, "reporting_token").content == bytes.fromhex("48a413fc9d1e373bfb4444f2a91a890f")


def test_what_is_selected_known_from_elsewhere() -> None:
    # Source: whatsapp-rust wacore/src/reporting_token.rs.
    assert select(bytes_of(conversation="Test")).hex() == "0a0454657374"
    text = proto.Message.ExtendedTextMessage(text="Hi", title="not told", contextInfo=proto.ContextInfo(stanzaId="x"))
    assert select(bytes_of(extendedTextMessage=text)).hex() == "32040a024869"


def test_the_device_of_an_address_does_not_count_and_everything_else_does() -> None:
    first = made(TEXT)
    assert first is not None
    assert made(TEXT, sender=ME.with_device(7), chat=CHAT.with_device(3)) == first
    other = proto.Message.FromString(TEXT.SerializeToString())
    other.extendedTextMessage.text = "hallo"
    secret = proto.Message.FromString(TEXT.SerializeToString())
    secret.messageContextInfo.messageSecret = bytes(32)
    changed = [made(TEXT, id="3EB1"), made(TEXT, sender=CHAT), made(TEXT, chat=ME), made(other), made(secret)]
    assert len({first, *changed}) == 6
    # Sender and chat are two places, not a sum.
    assert made(TEXT, sender=CHAT, chat=ME) not in (first, *changed)


@pytest.mark.parametrize("size", range(1, 17))
def test_a_token_of_the_padded_plaintext_would_be_wrong_or_none(size: int) -> None:
    # Baileys makes its token of the padded bytes: here only 16 bytes of padding do no harm.
    plaintext = bytes_of(conversation="hello")
    padded = pad(plaintext, size - 1)
    assert len(padded) - len(plaintext) == size
    if size in (8, 9, 16):
        assert (select(padded) == select(plaintext)) is (size == 16)
    else:
        with pytest.raises(DecodeError):
            select(padded)


def test_of_a_nested_message_only_its_listed_fields_are_left_under_a_new_length() -> None:
    image = proto.Message.ImageMessage(
        url="https://mmg", mimetype="image/jpeg", caption="a cat", fileSha256=b"x" * 32, contextInfo=FORWARDED
    )
    told = proto.Message.FromString(select(bytes_of(imageMessage=image)))
    assert told == proto.Message(
        imageMessage=proto.Message.ImageMessage(
            mimetype="image/jpeg",
            caption="a cat",
            contextInfo=proto.ContextInfo(isForwarded=True, forwardingScore=3),
        )
    )


def test_a_poll_is_told_by_its_question_and_options() -> None:
    poll = proto.Message.PollCreationMessage(
        encKey=b"k" * 32,
        name="lunch?",
        options=[proto.Message.PollCreationMessage.Option(optionName=name) for name in ("now", "later")],
        selectableOptionsCount=1,
    )
    told = proto.Message.FromString(select(bytes_of(pollCreationMessageV3=poll)))
    assert told.pollCreationMessageV3.name == "lunch?"
    assert [option.optionName for option in told.pollCreationMessageV3.options] == ["now", "later"]
    assert not told.pollCreationMessageV3.HasField("encKey")


@pytest.mark.parametrize("wrapper", ["viewOnceMessage", "viewOnceMessageV2", "documentWithCaptionMessage"])
def test_in_a_wrapper_the_same_table_counts(wrapper: str) -> None:
    inner = proto.Message(imageMessage=proto.Message.ImageMessage(url="https://mmg", caption="once"))
    told = proto.Message.FromString(select(bytes_of(**{wrapper: proto.Message.FutureProofMessage(message=inner)})))
    assert getattr(told, wrapper).message == proto.Message(imageMessage=proto.Message.ImageMessage(caption="once"))


def test_of_an_edit_the_new_text_counts() -> None:
    edit = proto.Message.ProtocolMessage(
        type=proto.Message.ProtocolMessage.Type.Value("MESSAGE_EDIT"),
        editedMessage=proto.Message(conversation="better"),
        timestampMs=5,
        ephemeralExpiration=9,
    )
    told = proto.Message.FromString(select(bytes_of(protocolMessage=edit))).protocolMessage
    assert (told.editedMessage.conversation, told.timestampMs) == ("better", 5)
    assert not told.HasField("ephemeralExpiration")


def test_fields_are_taken_in_the_order_of_their_numbers_and_equal_ones_as_they_come() -> None:
    image, text = bytes.fromhex("1a0312016d"), bytes.fromhex("0a0178")
    assert select(image + text) == text + image
    again = bytes.fromhex("0a0179")
    assert select(again + image + text) == again + text + image
    assert select(text + image + again) == text + again + image


def test_a_listed_message_of_another_wire_type_is_taken_whole() -> None:
    # As whatsmeow and Baileys do; no Message has such a field.
    assert select(bytes.fromhex("1805")) == bytes.fromhex("1805")
    assert select(bytes.fromhex("1d01020304")) == bytes.fromhex("1d01020304")
    assert select(bytes.fromhex("190102030405060708")) == bytes.fromhex("190102030405060708")


@pytest.mark.parametrize(
    "kind", ["reactionMessage", "encReactionMessage", "encEventResponseMessage", "pollUpdateMessage"]
)
def test_kinds_without_a_token(kind: str) -> None:
    message = proto.Message.FromString(TEXT.SerializeToString())
    getattr(message, kind).SetInParent()
    assert not reporting_token.is_included(message)
    assert made(message) is None


def test_no_token_without_a_secret_or_without_anything_to_commit_to() -> None:
    assert made(proto.Message(conversation="hello")) is None
    empty = proto.Message()
    empty.messageContextInfo.messageSecret = SECRET
    assert reporting_token.is_included(empty)
    assert made(empty) is None
    short = proto.Message(conversation="hello")
    short.messageContextInfo.messageSecret = b"short"
    with pytest.raises(ValueError, match="32 bytes"):
        made(short)


def test_every_number_of_the_table_is_one_of_message() -> None:
    known = {field.number for field in proto.Message.DESCRIPTOR.fields}
    assert set(MESSAGE) - known == {94}  # of a kind that this schema does not know


# --- bytes that are no message


@pytest.mark.parametrize(
    "hostile",
    [
        "0a",
        "0a05616263",
        "0aff",
        "0a" + "ff" * 9 + "01",
        "1a04" + "0aff" + "0a05",
        "ff" * 10 + "01",
        "ff" * 9 + "7f" + "00",
        "08",
        "0d010203",
        "0901020304050607",
        "0b",
        "0c",
        "0f00",
        "0001",
        "80808080800100",
        "1a021205" + "0a056162636465",  # longer than what it is in
        "10" + "ff" * 9 + "7f",  # more than 64 bits
        "10" + "80" * 10 + "00",  # more than ten bytes
    ],
)
def test_bytes_that_are_no_message_are_refused(hostile: str) -> None:
    with pytest.raises(DecodeError):
        select(bytes.fromhex(hostile))


def wrapped(levels: int) -> bytes:
    """A text in so many view-once wrappers."""
    data = bytes_of(conversation="x")
    for _ in range(levels):
        data = proto.Message(
            viewOnceMessage=proto.Message.FutureProofMessage(message=proto.Message.FromString(data))
        ).SerializeToString()
    return data


def test_wrappers_within_wrappers_end_somewhere() -> None:
    assert select(wrapped(10)) == wrapped(10)
    with pytest.raises(DecodeError):
        select(wrapped(20))


def test_a_megabyte_of_fields_costs_a_megabyte() -> None:
    data = bytes.fromhex("0a0178") * 350_000
    assert select(data) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        selected = select(data)
    except DecodeError:
        return
    assert len(selected) <= len(data) + 20
    assert select(selected) == selected


@given(st.data())
def test_what_is_selected_is_in_order(data: st.DataObject) -> None:
    dice = random.Random(data.draw(st.integers()))
    fields = [(number, bytes_of_field(number, dice)) for number in dice.choices((1, 2, 3, 6, 9, 49), k=6)]
    numbers = [number for number, _ in fields if number != 2]
    selected = select(b"".join(piece for _, piece in fields))
    found: list[int] = []
    at = 0
    while at < len(selected):
        tag, at = reporting_token._varint(selected, at, len(selected))
        found.append(tag >> 3)
        _, at = reporting_token._skip(selected, at, len(selected), tag & 7)
    assert sorted(numbers) == found
    assert all(one <= next for one, next in pairwise(found))


def bytes_of_field(number: int, dice: random.Random) -> bytes:
    """A field that is taken (for 1), or holds one that is (its field 2, or 1)."""
    listed = 1 if number == 6 else 2
    inner = b"" if number < 3 else bytes([listed << 3 | 2])
    content = dice.randbytes(dice.randrange(5))
    body = content if number < 3 else inner + bytes([len(content)]) + content
    tag = number << 3 | 2
    encoded = bytes([tag]) if tag < 0x80 else bytes([tag & 0x7F | 0x80, tag >> 7])
    return encoded + bytes([len(body)]) + body
