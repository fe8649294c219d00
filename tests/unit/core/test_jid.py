"""The Jid value: text, equality, order, masks."""

from __future__ import annotations

import copy
import pickle

import pytest

from waton._core import Jid

TEXTS = [
    # text, user, server, device, integrator, is_ad
    ("15550001111@s.whatsapp.net", "15550001111", "s.whatsapp.net", 0, 0, False),
    ("15550001111:7@s.whatsapp.net", "15550001111", "s.whatsapp.net", 7, 0, True),
    ("123:65535@msgr", "123", "msgr", 65_535, 0, True),
    ("100000000000001:42@lid", "100000000000001", "lid", 42, 0, True),
    ("123:99@hosted.lid", "123", "hosted.lid", 99, 0, True),
    ("1-2@g.us", "1-2", "g.us", 0, 0, False),
    ("a_b@g.us", "a_b", "g.us", 0, 0, False),
    ("status@broadcast", "status", "broadcast", 0, 0, False),
    ("9-123:3@interop", "123", "interop", 3, 9, True),
    ("x@elsewhere.example", "x", "elsewhere.example", 0, 0, False),
    ("s.whatsapp.net", "", "s.whatsapp.net", 0, 0, False),
]


@pytest.mark.parametrize(("text", "user", "server", "device", "integrator", "is_ad"), TEXTS)
def test_text_and_parts(text: str, user: str, server: str, device: int, integrator: int, is_ad: bool) -> None:
    jid = Jid.parse(text)
    assert (jid.user, jid.server, jid.device, jid.integrator, jid.is_ad) == (user, server, device, integrator, is_ad)
    assert str(jid) == text
    assert jid == Jid(user, server, device, integrator=integrator)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("123:0@lid", "123@lid"),
        ("@s.whatsapp.net", "s.whatsapp.net"),
        ("123_1:5@s.whatsapp.net", "123:5@lid"),
        ("123_128@s.whatsapp.net", "123@hosted"),
        ("123_129@s.whatsapp.net", "123@hosted.lid"),
        ("123_0@s.whatsapp.net", "123@s.whatsapp.net"),
        ("123_7:5@s.whatsapp.net", "123_7:5@s.whatsapp.net"),
    ],
)
def test_other_spellings(text: str, same: str) -> None:
    assert str(Jid.parse(text)) == same


WRONG = [
    "",
    "1@",
    "1@a@b",
    "1:@lid",
    "1:x@lid",
    "1:-1@lid",
    "1:+1@lid",
    "1: 1@lid",
    "1:65536@lid",
    "1:2:3@lid",
    "1_x@lid",
]
WRONG += ["1_300@s.whatsapp.net", "1_1:2:3@lid", "x-1@interop", "99999-1@interop", "1:2", "sip:1@a@b", "1:٣@lid"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not a JID") as raised:
        Jid.parse(text)
    assert not text or text not in str(raised.value)


def test_what_the_constructor_refuses() -> None:
    with pytest.raises(ValueError, match="server"):
        Jid("1", "")
    with pytest.raises(ValueError, match="integrator"):
        Jid("1", "lid", integrator=1)
    for device in (-1, 65_536):
        with pytest.raises((ValueError, OverflowError)):
            Jid("1", "lid", device)


def test_equality_is_of_the_parts_and_not_of_the_wire_form() -> None:
    assert Jid("1", "lid") == Jid("1", "lid", is_ad=True)
    assert hash(Jid("1", "lid")) == hash(Jid("1", "lid", is_ad=True))
    one = Jid("1", "interop", 2, integrator=3)
    others = [Jid("2", "interop", 2, integrator=3), Jid("1", "lid", 2), Jid("1", "interop", 1, integrator=3)]
    others.append(Jid("1", "interop", 2, integrator=4))
    assert all(one != other for other in others)
    assert one != str(one)
    assert len({one, *others, Jid("1", "interop", 2, integrator=3)}) == 5


def test_device_and_wire_form() -> None:
    assert [Jid("1", "lid", is_ad=is_ad).is_ad for is_ad in (None, False, True)] == [False, False, True]
    assert Jid("1", "lid", 1, is_ad=False).is_ad
    assert Jid("1", "lid", 5).bare == Jid("1", "lid")
    assert not Jid("1", "lid", 5).bare.is_ad
    assert Jid("1", "lid").with_device(5) == Jid("1", "lid", 5)
    assert Jid("1", "interop", 5, integrator=2).bare == Jid("1", "interop", integrator=2)
    assert Jid("1", "interop", 5, integrator=2).bare.is_ad


def test_order_is_by_server_user_device() -> None:
    ordered = ["1@g.us", "1@lid", "1:2@lid", "1:10@lid", "2@lid", "s.whatsapp.net", "0@s.whatsapp.net"]
    jids = [Jid.parse(text) for text in ordered]
    assert sorted([*jids[3:], *jids[:3]]) == jids
    assert jids[0] < jids[1] <= jids[1]
    assert jids[1] > jids[0]
    with pytest.raises(TypeError):
        sorted([jids[0], "1@lid"])  # type: ignore[type-var]  # the error is what is tested


PREDICATES = ("is_pn", "is_lid", "is_hosted", "is_user", "is_group", "is_broadcast", "is_newsletter", "is_server")


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("1@s.whatsapp.net", {"is_pn", "is_user"}),
        ("1@c.us", {"is_pn", "is_user"}),
        ("1@lid", {"is_lid", "is_user"}),
        ("1@hosted", {"is_hosted", "is_user"}),
        ("1@hosted.lid", {"is_hosted", "is_user"}),
        ("1@g.us", {"is_group"}),
        ("status@broadcast", {"is_broadcast"}),
        ("1@newsletter", {"is_newsletter"}),
        ("1@bot", set()),
        ("s.whatsapp.net", {"is_pn", "is_server"}),
        ("g.us", {"is_group", "is_server"}),
    ],
)
def test_predicates(text: str, true: set[str]) -> None:
    jid = Jid.parse(text)
    assert {name for name in PREDICATES if getattr(jid, name)} == true


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("15550001111:5@s.whatsapp.net", "Jid('***:5@s.whatsapp.net')"),
        ("15550001111@c.us", "Jid('***@c.us')"),
        ("15550001111:99@hosted", "Jid('***:99@hosted')"),
        ("15550001111-1600000000@g.us", "Jid('***-1600000000@g.us')"),
        ("120363000000000001@g.us", "Jid('120363000000000001@g.us')"),
        ("100000000000001:2@lid", "Jid('100000000000001:2@lid')"),
        ("100000000000001:99@hosted.lid", "Jid('100000000000001:99@hosted.lid')"),
        ("s.whatsapp.net", "Jid('s.whatsapp.net')"),
    ],
)
def test_repr_hides_phone_numbers(text: str, shown: str) -> None:
    assert repr(Jid.parse(text)) == shown


@pytest.mark.parametrize("text", [text for text, *_ in TEXTS] + ["123:0@lid"])
def test_copies_are_equal(text: str) -> None:
    jid = Jid.parse(text)
    for made in (pickle.loads(pickle.dumps(jid)), copy.copy(jid), copy.deepcopy(jid)):
        assert made == jid
        assert made.is_ad == jid.is_ad


def test_immutable() -> None:
    with pytest.raises(AttributeError):
        Jid("1", "lid").user = "2"  # type: ignore[misc]  # the error is what is tested
