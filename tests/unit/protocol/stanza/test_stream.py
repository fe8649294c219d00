"""The stream's own stanzas: what each end of a stream means, and the small notices."""

from __future__ import annotations

import pytest

from waton.errors import DisconnectReason
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza import stream

Reason = DisconnectReason

# Source: Baileys Types/index.ts DisconnectReason; whatsmeow types/events ConnectFailureReason for 405, 406, 409.
CODES = [
    (401, Reason.LOGGED_OUT),
    (403, Reason.FORBIDDEN),
    (405, Reason.CLIENT_OUTDATED),
    (406, Reason.LOGGED_OUT),
    (408, Reason.LOST),
    (409, Reason.FORBIDDEN),
    (411, Reason.MULTIDEVICE_MISMATCH),
    (440, Reason.REPLACED),
    (500, Reason.BAD_SESSION),
    (503, Reason.UNAVAILABLE),
    (515, Reason.RESTART_REQUIRED),
    (516, Reason.BAD_SESSION),
    (0, Reason.BAD_SESSION),
]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_a_code_means_the_same_in_both_stanzas(code: int, reason: DisconnectReason) -> None:
    for node in (stream.stream_error(code), stream.failure(code)):
        ended = stream.disconnected_of(node)
        assert (ended.reason, ended.code) == (reason, code)


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
def test_a_code_that_is_no_number_is_a_bad_session(code: str) -> None:
    ended = stream.disconnected_of(Node("stream:error", {"code": code}))
    assert (ended.reason, ended.code) == (Reason.BAD_SESSION, None)


def test_the_first_child_is_the_detail() -> None:
    ended = stream.disconnected_of(stream.stream_error(None, Node("xml-not-well-formed")))
    assert (ended.reason, ended.code, ended.detail) == (Reason.BAD_SESSION, None, "xml-not-well-formed")
    assert stream.disconnected_of(stream.stream_error()).detail == ""


def test_a_failure_has_a_reason_and_a_stream_error_a_code() -> None:
    assert stream.failure(401).attrs == {"reason": "401", "location": "lab"}
    assert stream.disconnected_of(Node("failure", {"code": "401"})).code is None
    assert stream.disconnected_of(Node("stream:error", {"reason": "401"})).code is None


@pytest.mark.parametrize("reason", Reason)
def test_only_what_can_get_better_is_tried_again(reason: DisconnectReason) -> None:
    final = {
        Reason.LOGGED_OUT,
        Reason.FORBIDDEN,
        Reason.CLIENT_OUTDATED,
        Reason.REPLACED,
        Reason.MULTIDEVICE_MISMATCH,
        Reason.LOCAL,
    }
    assert reason.is_retryable is (reason not in final)


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
