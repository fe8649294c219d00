"""Privacy tokens on the wire: buckets, notifications, the iq that gives one, and the token of our own making."""

from __future__ import annotations

import pytest

from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza import privacy
from waton.protocol.stanza.privacy import Buckets, ContactToken, TokenNotification, cs_token, read_tokens

ADA, ADA_LID = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000001@lid")
ME = Jid.parse("4915000000009:4@s.whatsapp.net")
WEEK = 604_800


def token(**changed: object) -> Node:
    attrs = {"jid": ME, "t": "1800000000", "type": "trusted_contact"} | changed
    content = attrs.pop("content", b"token")
    return Node("token", attrs, content)  # type: ignore[arg-type]


def told(*tokens: Node, **attrs: str | Jid | None) -> Node:
    given = {"from": ADA, "id": "n1", "type": "privacy_token", "t": "1800000001", "sender_lid": ADA_LID} | attrs
    return Node("notification", given, [Node("tokens", None, list(tokens))])


@pytest.mark.parametrize(("t", "index"), [(0, 0), (604_799, 0), (604_800, 1), (1_209_599, 1), (1_209_600, 2)])
def test_the_bucket_of_a_moment(t: int, index: int) -> None:
    # Source: whatsapp-rust wacore/src/iq/tctoken.rs.
    assert Buckets().index(t) == index


@pytest.mark.parametrize("moment", [0, 1, WEEK // 2, WEEK - 1])
def test_a_token_counts_for_its_bucket_and_three_more(moment: int) -> None:
    # Source: whatsapp-rust: at 10 weeks, the cut-off is at 7 weeks, all week long.
    now = 10 * WEEK + moment
    assert Buckets().cutoff(now) == 7 * WEEK
    assert not Buckets().is_expired(7 * WEEK, now)
    assert Buckets().is_expired(7 * WEEK - 1, now)
    assert Buckets().is_expired(0, now)
    assert Buckets().is_expired(0, 5.0)


@pytest.mark.parametrize("t", [7 * WEEK, 7 * WEEK + 5, 8 * WEEK - 1])
def test_when_it_expires(t: int) -> None:
    last = Buckets().expires_at(t)
    assert not Buckets().is_expired(t, last - 1)
    assert Buckets().is_expired(t, last)


def test_buckets_of_another_size() -> None:
    hours = Buckets(3600, 3)
    assert not hours.is_expired(8 * 3600, 10 * 3600)
    assert hours.is_expired(8 * 3600 - 1, 10 * 3600)
    assert Buckets.of(0, 0) == Buckets(1, 1)
    assert Buckets.of(10**9, 5) == Buckets(180 * 86_400, 5)
    assert Buckets.of(60, 2) == Buckets(60, 2)


def test_the_token_of_our_own_making() -> None:
    # Source: whatsapp-rust wacore/src/iq/tctoken.rs; it writes "alice@lid".
    made = cs_token(b"whatsapp_nct_salt_example", Jid("alice", "lid", 3))
    assert made.hex() == "7c6afc325785ac3c4f571e648a3bb822f0e2e49434812ed2809aea2e7043b576"
    assert cs_token(b"another", Jid("alice", "lid")) != made
    assert cs_token(b"whatsapp_nct_salt_example", Jid("bob", "lid")) != made


def test_a_notification_reads_back() -> None:
    sent = TokenNotification(ADA, ADA_LID, (ContactToken(b"token", 1_800_000_000, ME),))
    node = decode_node(encode_node(sent.to_node("n1", 1_800_000_001)))
    assert node == told(token())
    assert TokenNotification.from_node(node) == sent
    assert "token=" not in repr(sent)


def test_whose_token_it_is() -> None:
    assert TokenNotification.from_node(told(token())).owner == ADA_LID
    without = told(token(), sender_lid=None)
    assert TokenNotification.from_node(without).owner == ADA
    assert TokenNotification.from_node(told(token(), **{"from": ADA.with_device(4), "sender_lid": None})).owner == ADA
    # An address that is no LID is not one because it is called so.
    assert TokenNotification.from_node(told(token(), sender_lid=ME)).owner == ADA
    # A LID is enough.
    by_lid = told(token(), **{"from": "s.whatsapp.net"})
    assert TokenNotification.from_node(by_lid).owner == ADA_LID


@pytest.mark.parametrize(
    "odd",
    [
        token(type="of another type"),
        token(type=None),
        token(content=None),
        token(content="text"),
        token(content=b""),
        token(content=bytes(1025)),
        token(t=None),
        token(t="0"),
        token(t="-5"),
        token(t="soon"),
        token(t="1" * 21),
        token(jid="4915000000001:x@s.whatsapp.net"),
    ],
)
def test_an_odd_token_is_passed_over_and_the_others_are_read(odd: Node) -> None:
    good = token(t="1800000009", content=b"good")
    assert read_tokens(told(odd, good)) == [ContactToken(b"good", 1_800_000_009, ME)]


@pytest.mark.parametrize(
    "node",
    [
        told(token(), **{"from": None}),
        told(token(), **{"from": "s.whatsapp.net", "sender_lid": None}),
        told(token(), **{"from": Jid.parse("120363@g.us"), "sender_lid": None}),
        told(token(), sender_lid="77:x@lid"),
        Node("notification", {"from": ADA}),
    ],
)
def test_a_notification_of_nobody_is_refused(node: Node) -> None:
    with pytest.raises(RemoteProtocolError):
        TokenNotification.from_node(node)


def test_giving_ours() -> None:
    # Source: whatsmeow tctoken.go issuePrivacyToken.
    [tokens] = privacy.trust([ADA.with_device(3), ADA_LID], 1_800_000_000)
    assert tokens == Node(
        "tokens",
        None,
        [
            Node("token", {"jid": ADA, "t": "1800000000", "type": "trusted_contact"}),
            Node("token", {"jid": ADA_LID, "t": "1800000000", "type": "trusted_contact"}),
        ],
    )
    request = Node("iq", None, [tokens])
    assert privacy.trusted(request) == [(ADA, 1_800_000_000), (ADA_LID, 1_800_000_000)]
    with pytest.raises(StanzaError):
        privacy.trusted(Node("iq", None, [Node("tokens", None, [token(t="soon")])]))
    with pytest.raises(StanzaError):
        privacy.trusted(Node("iq"))
    assert privacy.trusted(told(token(type="of another type"))) == []
