"""Stanzas that are events by themselves."""

from __future__ import annotations

import pytest

from waton.client.events import (
    BlocklistAction,
    BlocklistUpdate,
    CallStatus,
    CallUpdate,
    ContactsUpdate,
    MediaUpdate,
    MessageKey,
    Presence,
    PresenceUpdate,
)
from waton.client.message_keys import Me
from waton.client.node_events import (
    blocklist_events,
    call_event,
    media_event,
    picture_events,
    presence_event,
    verified_name,
)
from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.stanza.message import IncomingMessage

ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
BEA = Jid.parse("77000000000002@lid")
BEA_PN = Jid.parse("4915000000002@s.whatsapp.net")
GROUP = Jid.parse("120363020000000001@g.us")


# --- presence ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({}, PresenceUpdate(BEA, BEA, Presence.AVAILABLE)),
        ({"type": "available"}, PresenceUpdate(BEA, BEA, Presence.AVAILABLE)),
        ({"type": "unavailable", "last": "5"}, PresenceUpdate(BEA, BEA, Presence.UNAVAILABLE, 5)),
        ({"type": "unavailable", "last": "deny"}, PresenceUpdate(BEA, BEA, Presence.UNAVAILABLE)),
        ({"last": "9" * 5000}, PresenceUpdate(BEA, BEA, Presence.AVAILABLE)),
        ({"count": "3"}, PresenceUpdate(BEA, BEA, Presence.AVAILABLE, None, 3)),
    ],
)
def test_somebody_comes_or_goes(attrs: dict[str, str | Jid | None], expected: PresenceUpdate) -> None:
    assert presence_event(Node("presence", {"from": BEA} | attrs)) == expected


@pytest.mark.parametrize(
    ("state", "presence"),
    [
        (Node("composing"), Presence.COMPOSING),
        (Node("composing", {"media": "audio"}), Presence.RECORDING),
        (Node("recording"), Presence.RECORDING),
        (Node("paused"), Presence.PAUSED),
    ],
)
def test_somebody_writes_or_stops(state: Node, presence: Presence) -> None:
    told = Node("chatstate", {"from": GROUP, "participant": BEA}, [state])
    assert presence_event(told) == PresenceUpdate(GROUP, BEA, presence)


@pytest.mark.parametrize("states", [None, [], [Node("dreaming")]])
def test_a_chatstate_that_says_nothing_is_none(states: list[Node] | None) -> None:
    assert presence_event(Node("chatstate", {"from": BEA}, states)) is None


def test_a_presence_of_nobody_is_refused() -> None:
    with pytest.raises(StanzaError):
        presence_event(Node("presence"))


# --- calls ------------------------------------------------------------------------------------------------------------


def call(about: Node, **attrs: str | Jid | None) -> CallUpdate:
    return call_event(Node("call", {"from": BEA, "id": "S1", "t": "7"} | attrs, [about]))


def test_somebody_calls_a_group_with_video() -> None:
    attrs: dict[str, str | Jid | None] = {"call-id": "C1", "call-creator": BEA, "caller_pn": BEA_PN, "group-jid": GROUP}
    told = call(Node("offer", attrs, [Node("audio"), Node("video")]), offline="1")
    assert told == CallUpdate(
        BEA, "C1", BEA, CallStatus.OFFER, 7, caller_pn=BEA_PN, is_offline=True, is_video=True, group=GROUP
    )


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ("offer", CallStatus.OFFER),
        ("offer_notice", CallStatus.OFFER),
        ("preaccept", CallStatus.PREACCEPT),
        ("transport", CallStatus.TRANSPORT),
        ("accept", CallStatus.ACCEPT),
        ("reject", CallStatus.REJECT),
        ("terminate", CallStatus.TERMINATE),
        ("of_tomorrow", CallStatus.RINGING),
    ],
)
def test_what_is_told_of_a_call(tag: str, status: CallStatus) -> None:
    told = call(Node(tag, {"call-id": "C1", "call-creator": BEA}))
    assert (told.status, told.is_video, told.group, told.is_offline) == (status, False, None, False)


def test_a_call_that_nobody_took() -> None:
    assert (
        call(Node("terminate", {"call-id": "C", "call-creator": BEA, "reason": "timeout"})).status is CallStatus.TIMEOUT
    )


def test_how_far_the_relay_is() -> None:
    told = call(Node("relaylatency", {"call-id": "C", "from": BEA_PN, "latency": "33"}))
    assert (told.status, told.latency_ms, told.caller) == (CallStatus.RELAY_LATENCY, 33, BEA_PN)


@pytest.mark.parametrize("about", [[], [Node("offer", {"call-creator": BEA})], [Node("offer", {"call-id": "C1"})]])
def test_a_call_that_names_no_call_is_refused(about: list[Node]) -> None:
    with pytest.raises(RemoteProtocolError):
        call_event(Node("call", {"from": BEA, "id": "S1", "t": "7"}, about))


# --- notifications ----------------------------------------------------------------------------------------------------


def test_pictures_change_and_go() -> None:
    changed = Node("set", {"jid": BEA, "id": "P1", "author": BEA})
    gone = Node("delete", {"jid": Jid.parse("1:99@hosted")})
    told = picture_events(Node("notification", {"from": GROUP}, [changed, gone, Node("request", {"jid": BEA})]))
    assert told == (
        ContactsUpdate(BEA, picture="P1"),
        ContactsUpdate(Jid.parse("1@s.whatsapp.net"), picture=""),
    )


def test_without_a_name_it_is_the_senders_picture() -> None:
    assert picture_events(Node("notification", {"from": GROUP}, [Node("set", {"id": "P1"})])) == (
        ContactsUpdate(GROUP, picture="P1"),
    )


def test_everybody_on_the_list_is_told() -> None:
    items = [
        Node("item", {"jid": BEA, "action": "block"}),
        Node("item", {"jid": BEA_PN, "action": "block"}),
        Node("item", {"jid": GROUP, "action": "unblock"}),
    ]
    told = blocklist_events(Node("notification", None, [Node("blocklist", {"dhash": "x"}, items), Node("devices")]))
    assert told == (
        BlocklistUpdate((BEA, BEA_PN), BlocklistAction.ADD),
        BlocklistUpdate((GROUP,), BlocklistAction.REMOVE),
    )
    assert blocklist_events(Node("notification", None, [Node("devices")])) == ()
    with pytest.raises(StanzaError):
        blocklist_events(Node("notification", None, [Node("blocklist", None, [Node("item", {"action": "block"})])]))


def media(*children: Node, **about: str | Jid | None) -> MediaUpdate:
    return media_event(Node("notification", {"id": "A", "from": BEA}, [Node("rmr", about), *children]), ME)


def test_the_phone_has_uploaded_a_medium_again() -> None:
    sealed = Node("encrypt", None, [Node("enc_p", None, b"sealed"), Node("enc_iv", None, bytes(12))])
    key = MessageKey(BEA, "A", False, BEA)
    assert media(sealed, jid=BEA) == MediaUpdate(key, b"sealed", bytes(12))
    ours = media(sealed, jid=BEA, from_me="true").key
    assert ours == MessageKey(BEA, "A", True, Jid.parse("77000000000001@lid"))
    assert media(sealed, jid=GROUP, participant=BEA.with_device(3)).key == MessageKey(GROUP, "A", False, BEA)


@pytest.mark.parametrize(
    ("children", "error"),
    [
        ([Node("error", {"code": "2"})], 2),
        ([Node("error")], 0),
        ([], 404),
        ([Node("encrypt")], 404),
        ([Node("encrypt", None, [Node("enc_p", None, b"sealed")])], 404),
    ],
)
def test_the_phone_cannot(children: list[Node], error: int) -> None:
    told = media(*children, jid=BEA)
    assert (told.error, told.ciphertext) == (error, b"")


@pytest.mark.parametrize("about", [[], [Node("rmr")], [Node("rmr", {"jid": "1:x@lid"})]])
def test_an_answer_about_no_message_is_refused(about: list[Node]) -> None:
    with pytest.raises(StanzaError):
        media_event(Node("notification", {"id": "A", "from": BEA}, about), ME)


# --- a business's name ------------------------------------------------------------------------------------------------


def certificate(name: str) -> bytes:
    details = proto.VerifiedNameCertificate.Details(verifiedName=name)
    return proto.VerifiedNameCertificate(details=details.SerializeToString()).SerializeToString()


@pytest.mark.parametrize(
    ("children", "name"),
    [
        ([Node("verified_name", {"v": "1"}, certificate("Shop"))], "Shop"),
        ([Node("other"), Node("verified_name", None, certificate("K\u00e4se"))], "K\u00e4se"),
        ([Node("verified_name", None, b"\xff")], ""),
        ([Node("verified_name", None, proto.VerifiedNameCertificate(details=b"\xff").SerializeToString())], ""),
        ([Node("verified_name")], ""),
        ([], ""),
    ],
)
def test_a_business_says_its_name(children: list[Node], name: str) -> None:
    node = Node("message", {"id": "A", "from": BEA, "t": "5", "type": "text"}, children)
    assert verified_name(IncomingMessage.from_node(node)) == name
