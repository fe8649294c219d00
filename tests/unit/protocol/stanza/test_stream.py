"""The stream's own stanzas: what each end of a stream means, and the small notices."""

from __future__ import annotations

import pytest

from waton.errors import BanReason, DisconnectReason
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza import stream

Reason = DisconnectReason

# Source: Baileys Types/index.ts DisconnectReason; whatsmeow types/events ConnectFailureReason; whatsapp-rust
# src/client/node_io.rs for 409, 429 and 516 in a stream:error.
CODES = [
    (400, Reason.BAD_REQUEST),
    (401, Reason.LOGGED_OUT),
    (402, Reason.TEMPORARY_BAN),
    (403, Reason.FORBIDDEN),
    (405, Reason.CLIENT_OUTDATED),
    (406, Reason.UNKNOWN_LOGOUT),
    (408, Reason.LOST),
    (411, Reason.MULTIDEVICE_MISMATCH),
    (413, Reason.TOKEN_EXPIRED),
    (414, Reason.TOKEN_INVALID),
    (415, Reason.NOT_FOUND),
    (418, Reason.CLIENT_UNKNOWN),
    (428, Reason.CLOSED),
    (429, Reason.RATE_LIMITED),
    (440, Reason.REPLACED),
    (500, Reason.BAD_SESSION),
    (501, Reason.EXPERIMENTAL),
    (503, Reason.UNAVAILABLE),
    (515, Reason.RESTART_REQUIRED),
    (516, Reason.DEVICE_REMOVED),
]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_a_code_means_the_same_in_both_stanzas(code: int, reason: DisconnectReason) -> None:
    for node in (stream.stream_error(code), stream.failure(code)):
        ended = stream.disconnected_of(node)
        assert (ended.reason, ended.code) == (reason, code)


def test_409_is_a_conflict_in_a_stream_and_a_user_agent_in_a_login() -> None:
    assert stream.disconnected_of(stream.stream_error(409)).reason is Reason.REPLACED
    assert stream.disconnected_of(stream.failure(409)).reason is Reason.BAD_USER_AGENT


@pytest.mark.parametrize("code", [0, 404, 599, 99_999_999])
def test_an_unknown_code_ends_a_session_and_refuses_a_login(code: int) -> None:
    ended, refused = stream.disconnected_of(stream.stream_error(code)), stream.disconnected_of(stream.failure(code))
    assert (ended.reason, ended.code) == (Reason.BAD_SESSION, code)
    assert (refused.reason, refused.code) == (Reason.REFUSED, code)


def test_every_reason_of_the_wire_can_be_told() -> None:
    told = {
        stream.disconnected_of(node(code)).reason
        for code in range(600)
        for node in (stream.failure, stream.stream_error)
    }
    assert told == set(Reason) - {Reason.LOCAL, Reason.PROTOCOL}


@pytest.mark.parametrize(
    ("number", "ban"),
    [(101, BanReason.SENT_TO_TOO_MANY_PEOPLE), (106, BanReason.BROADCAST_LIST), (105, 105), (7, 7)],
)
def test_a_ban_says_what_for_and_how_long(number: int, ban: BanReason | int) -> None:
    ended = stream.disconnected_of(stream.temporary_ban(number, 86_400))
    assert (ended.reason, ended.code, ended.ban, ended.retry_after) == (Reason.TEMPORARY_BAN, 402, ban, 86_400.0)
    assert isinstance(ended.ban, BanReason) is isinstance(ban, BanReason)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60.0),
        ("0", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("9" * 5000, 315_360_000.0),
    ],
)
def test_the_time_to_wait_is_bounded_and_a_number(text: str, seconds: float | None) -> None:
    for name in ("expire", "backoff"):
        ended = stream.disconnected_of(Node("failure", {"reason": "429", name: text}))
        assert (ended.reason, ended.retry_after) == (Reason.RATE_LIMITED, seconds)
    assert stream.disconnected_of(stream.failure(503)).retry_after is None


def test_a_stream_error_names_the_stanza_that_was_not_acknowledged() -> None:
    ended = stream.disconnected_of(stream.stream_error(None, Node("ack", {"id": "3EB0", "class": "message"})))
    assert (ended.reason, ended.detail, ended.stanza) == (Reason.BAD_SESSION, "ack", "3EB0")
    assert stream.disconnected_of(stream.stream_error(None, Node("ack"))).stanza == ""
    assert stream.disconnected_of(stream.stream_error(None, Node("other", {"id": "3EB0"}))).stanza == ""


@pytest.mark.parametrize("code", [None, 401, 440, 500, 515])
@pytest.mark.parametrize(
    ("kind", "reason"), [("replaced", Reason.REPLACED), ("device_removed", Reason.LOGGED_OUT), ("new", Reason.REPLACED)]
)
def test_a_conflict_says_more_than_its_code(code: int | None, kind: str, reason: DisconnectReason) -> None:
    ended = stream.disconnected_of(stream.stream_error(code, stream.conflict(kind)))
    assert (ended.reason, ended.code, ended.detail) == (reason, code, "conflict")


def test_a_conflict_without_a_type_is_a_replacement() -> None:
    assert stream.disconnected_of(stream.stream_error(None, Node("conflict"))).reason is Reason.REPLACED


@pytest.mark.parametrize("code", ["", "none", "-5", "9" * 5000])
def test_a_code_that_is_no_number_is_no_code(code: str) -> None:
    ended = stream.disconnected_of(Node("stream:error", {"code": code}))
    assert (ended.reason, ended.code) == (Reason.BAD_SESSION, None)
    refused = stream.disconnected_of(Node("failure", {"reason": code}))
    assert (refused.reason, refused.code) == (Reason.REFUSED, None)


def test_the_first_child_is_the_detail() -> None:
    ended = stream.disconnected_of(stream.stream_error(None, Node("xml-not-well-formed")))
    assert (ended.reason, ended.code, ended.detail) == (Reason.BAD_SESSION, None, "xml-not-well-formed")
    assert stream.disconnected_of(stream.stream_error()).detail == ""


def test_a_failure_has_a_reason_and_a_stream_error_a_code() -> None:
    assert stream.failure(401).attrs == {"reason": "401", "location": "lab"}
    assert stream.disconnected_of(Node("failure", {"code": "401"})).code is None
    assert stream.disconnected_of(Node("stream:error", {"reason": "401"})).code is None


def test_the_welcome() -> None:
    lid = Jid.parse("77000000000001:4@lid")
    assert stream.success(5, lid, push_name="Ada").attrs == {
        "t": "5",
        "props": "27",
        "location": "lab",
        "lid": lid,
        "display_name": "Ada",
    }
    assert "display_name" not in stream.success(5, lid).attrs


def test_the_offline_notices() -> None:
    preview = stream.offline_preview(messages=3, receipts=2, notifications=1, t=5)
    assert preview.attrs == {"from": SERVER}
    assert preview.children()[0].attrs == {
        "count": "6",
        "message": "3",
        "receipt": "2",
        "notification": "1",
        "appdata": "0",
        "call": "0",
        "t": "5",
    }
    assert stream.offline_done(6) == Node("ib", {"from": SERVER}, [Node("offline", {"count": "6"})])
    assert stream.offline_batch() == Node("ib", None, [Node("offline_batch", {"count": "100"})])


@pytest.mark.parametrize(
    ("now_ms", "id"), [(0, 259_200_000), (345_600_000 - 1, 604_799_999), (345_600_000, 0), (604_800_000, 259_200_000)]
)
def test_the_session_id_counts_within_a_week(now_ms: int, id: int) -> None:
    # Source: Baileys: (now + 3 days) mod 7 days, in milliseconds.
    assert stream.unified_session(now_ms).children()[0].attrs == {"id": str(id)}
