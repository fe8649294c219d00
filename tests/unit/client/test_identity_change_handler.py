"""Changed identities: what a notification leads to, and what a key does."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.client.identity_change_handler import (
    DEBOUNCE_SECONDS,
    Debounce,
    IdentityAction,
    IdentityChange,
    IdentityChangeCode,
    IdentityChangeOutcome,
    IdentityPolicy,
    IdentityVerdict,
    decide,
    decide_identity,
    fingerprint,
    handle_identity_change,
    read_identity_change,
    refresh_remembered,
)
from waton.errors import Disconnected, DisconnectReason, StorageError, WatonError
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node

NOW = 1_755_000_000.0
ADA = Jid.parse("4915000000001@s.whatsapp.net")
BEA = Jid.parse("77000000000002@lid")
ME, MY_LID = Jid.parse("4915000000009@s.whatsapp.net"), Jid.parse("77000000000009@lid")
OLD, NEW = b"o" * 32, b"n" * 32
STALE = {IdentityAction.FORGET_DEVICE_LIST, IdentityAction.FORGET_SENDER_KEY_DELIVERY}


def notification(jid: Jid | str | None, *, offline: str | None = None, identity: bool = True) -> Node:
    attrs: dict[str, str | Jid | None] = {"from": jid, "id": "1", "type": "encrypt", "offline": offline}
    return Node("notification", attrs, [Node("identity", None, b"key")] if identity else [Node("count")])


@dataclass
class Context:
    """IdentityContext: writes down what it was asked for."""

    sessions: set[Jid] = field(default_factory=lambda: {ADA, BEA})
    policy: IdentityPolicy = IdentityPolicy.TRUST
    debounce: Debounce = field(default_factory=Debounce)
    time: float = NOW
    refresh_fails: WatonError | None = None
    store_fails: WatonError | None = None
    calls: list[tuple[str, Jid]] = field(default_factory=list[tuple[str, Jid]])

    def now(self) -> float:
        return self.time

    def is_me(self, jid: Jid) -> bool:
        return jid.bare in (ME, MY_LID)

    async def has_session(self, jid: Jid) -> bool:
        self.calls.append(("session?", jid))
        if self.store_fails is not None:
            raise self.store_fails
        return jid in self.sessions

    def before_refresh(self, jid: Jid) -> None:
        self.calls.append(("before", jid))

    async def refresh(self, jid: Jid) -> None:
        self.calls.append(("refresh", jid))
        if self.refresh_fails is not None:
            raise self.refresh_fails

    def said(self) -> list[str]:
        """What it was asked for, by name."""
        return [name for name, _ in self.calls]


async def codes(context: Context, *nodes: Node) -> list[str]:
    return [(await handle_identity_change(node, context)).code.value for node in nodes]


# --- notifications --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jid", [ADA, BEA, str(ADA)])
async def test_a_changed_contacts_session_is_refreshed(jid: Jid | str) -> None:
    context = Context()
    outcome = await handle_identity_change(notification(jid), context)
    assert outcome.code is IdentityChangeCode.SESSION_REFRESHED
    assert context.said() == ["session?", "before", "refresh"]
    assert set(outcome.actions) == {*STALE, IdentityAction.TELL}


@pytest.mark.parametrize(
    ("node", "code"),
    [
        (notification(None), "invalid_notification"),
        (notification("a@b:c@d"), "invalid_notification"),
        (notification("120363000000000001@g.us"), "invalid_notification"),
        (notification(SERVER), "invalid_notification"),
        (notification(SERVER, identity=False), "no_identity_node"),
        (notification(None, identity=False), "invalid_notification"),
        (notification(ADA, identity=False), "no_identity_node"),
    ],
)
async def test_what_tells_of_no_change_does_nothing(node: Node, code: str) -> None:
    context = Context()
    outcome = await handle_identity_change(node, context)
    assert (outcome.code, outcome.actions, context.calls) == (code, (), [])


@pytest.mark.parametrize(
    ("jid", "code"),
    [
        (ADA.with_device(5), "skipped_companion_device"),
        (ME.with_device(5), "skipped_companion_device"),
        (ME, "skipped_self_primary"),
        (MY_LID, "skipped_self_primary"),
    ],
)
async def test_companions_and_our_own_phone_are_skipped_before_the_store_is_asked(jid: Jid, code: str) -> None:
    context = Context()
    outcome = await handle_identity_change(notification(jid), context)
    assert (outcome.code, context.calls) == (code, [])
    assert set(outcome.actions) == {*STALE, IdentityAction.TELL}


async def test_without_a_session_there_is_nothing_to_refresh() -> None:
    context = Context(sessions=set())
    outcome = await handle_identity_change(notification(ADA), context)
    assert (outcome.code, context.said()) == ("skipped_no_session", ["session?"])
    assert set(outcome.actions) == {*STALE, IdentityAction.TELL}


async def test_a_second_notice_within_five_seconds_is_one_change() -> None:
    context = Context()
    assert await codes(context, notification(ADA), notification(ADA), notification(BEA)) == [
        "session_refreshed",
        "debounced",
        "session_refreshed",
    ]
    context.time = NOW + DEBOUNCE_SECONDS - 0.001
    assert await codes(context, notification(ADA)) == ["debounced"]
    context.time = NOW + DEBOUNCE_SECONDS
    assert await codes(context, notification(ADA)) == ["session_refreshed"]


async def test_a_debounced_change_is_told_and_costs_the_remembered_lists() -> None:
    context = Context()
    await handle_identity_change(notification(ADA), context)
    outcome = await handle_identity_change(notification(ADA), context)
    assert set(outcome.actions) == {*STALE, IdentityAction.TELL}


async def test_what_did_nothing_does_not_debounce_what_comes_next() -> None:
    context = Context(sessions=set())
    assert await codes(context, notification(ADA)) == ["skipped_no_session"]
    context.sessions = {ADA}
    assert await codes(context, notification(ADA, offline="1"), notification(ADA)) == [
        "skipped_offline",
        "session_refreshed",
    ]


async def test_a_failed_refresh_is_told_ends_the_debounce_and_leaves_no_session_to_write_to() -> None:
    error = Disconnected(DisconnectReason.LOST)
    context = Context(refresh_fails=error)
    outcome = await handle_identity_change(notification(ADA), context)
    assert (outcome.code, outcome.error) == ("session_refresh_failed", error)
    assert set(outcome.actions) == {IdentityAction.ARCHIVE_SESSION, *STALE, IdentityAction.TELL}
    context.refresh_fails = None
    assert await codes(context, notification(ADA)) == ["session_refreshed"]


async def test_a_store_that_fails_is_no_outcome() -> None:
    context = Context(store_fails=StorageError("session"))
    with pytest.raises(StorageError):
        await handle_identity_change(notification(ADA), context)
    context.store_fails = None
    assert await codes(context, notification(ADA)) == ["session_refreshed"]


async def test_a_change_from_the_offline_queue_is_refreshed_after_the_drain() -> None:
    context = Context()
    outcome = await handle_identity_change(notification(ADA, offline="0"), context)
    assert (outcome.code, context.said()) == ("skipped_offline", ["session?"])
    assert set(outcome.actions) == {*STALE, IdentityAction.REFRESH_AFTER_DRAIN, IdentityAction.TELL}
    told = await refresh_remembered([ADA, BEA, ADA], context)
    assert [(one.jid, one.code.value) for one in told] == [(ADA, "session_refreshed"), (BEA, "session_refreshed")]
    assert await codes(context, notification(ADA)) == ["debounced"]


async def test_an_empty_mark_is_no_mark_of_the_offline_queue() -> None:
    assert await codes(Context(), notification(ADA, offline="")) == ["session_refreshed"]


@pytest.mark.parametrize("policy", [IdentityPolicy.ASK, IdentityPolicy.REFUSE])
@pytest.mark.parametrize("offline", [None, "1"])
async def test_who_does_not_trust_by_himself_keeps_the_session(policy: IdentityPolicy, offline: str | None) -> None:
    context = Context(policy=policy)
    outcome = await handle_identity_change(notification(ADA, offline=offline), context)
    assert (outcome.code, context.said()) == ("held", ["session?"])
    assert set(outcome.actions) == {*STALE, IdentityAction.TELL}


def test_a_notification_is_read_with_both_addresses() -> None:
    node = Node("notification", {"from": ADA, "lid": BEA, "offline": "3"}, [Node("identity", None, b"")])
    assert read_identity_change(node) == IdentityChange(ADA, is_offline=True, lid=BEA)


@given(st.sampled_from(IdentityPolicy), *[st.booleans()] * 5)
def test_every_change_is_told_and_costs_the_remembered_lists(
    policy: IdentityPolicy, is_offline: bool, is_me: bool, is_debounced: bool, has_session: bool, is_companion: bool
) -> None:
    change = IdentityChange(ADA.with_device(3) if is_companion else ADA, is_offline)
    outcome = decide(change, policy=policy, is_me=is_me, is_debounced=is_debounced, has_session=has_session)
    if outcome is None:  # a refresh: never for these
        assert has_session
        assert not any((is_companion, is_me, is_debounced, is_offline))
        assert policy is IdentityPolicy.TRUST
    else:
        assert {*STALE, IdentityAction.TELL} <= set(outcome.actions)


def test_the_debounce_forgets_the_oldest_of_very_many_and_a_time_to_come() -> None:
    debounce = Debounce()
    for number in range(1_025):
        debounce.begin(Jid(str(number), "lid"), NOW)
    recent = [debounce.is_recent(Jid(str(number), "lid"), NOW) for number in (0, 1, 1_024)]
    assert recent == [False, True, True]
    assert not debounce.is_recent(Jid("1", "lid"), NOW - 1)


def test_a_repr_shows_nobody() -> None:
    assert repr(IdentityChangeOutcome(IdentityChangeCode.HELD, ADA)) == "<IdentityChangeOutcome held>"
    assert "4915" not in repr(IdentityChange(ADA, is_offline=False))


# --- keys -----------------------------------------------------------------------------------------------------------

POLICIES = list(IdentityPolicy)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_key_that_has_not_proved_itself_does_nothing(policy: IdentityPolicy) -> None:
    for known in (None, OLD):
        decision = decide_identity(policy, known, NEW, authenticated=False)
        assert (decision.verdict, decision.actions, decision.may_use) == (IdentityVerdict.IGNORED, (), False)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("authenticated", [True, False])
def test_the_known_key_changes_nothing(policy: IdentityPolicy, authenticated: bool) -> None:
    decision = decide_identity(policy, OLD, OLD, authenticated=authenticated)
    assert (decision.verdict, decision.actions, decision.may_use) == (IdentityVerdict.KNOWN, (), True)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_key_of_a_device_is_taken(policy: IdentityPolicy) -> None:
    decision = decide_identity(policy, None, NEW, authenticated=True)
    assert (decision.verdict, decision.may_use) == (IdentityVerdict.FIRST, True)
    assert decision.actions == (IdentityAction.STORE_IDENTITY,)


def test_trust_takes_a_changed_key_and_does_what_follows_from_it() -> None:
    decision = decide_identity(IdentityPolicy.TRUST, OLD, NEW, authenticated=True)
    assert (decision.verdict, decision.may_use, decision.nack) == (IdentityVerdict.ACCEPTED, True, None)
    assert decision.actions == (
        IdentityAction.ARCHIVE_SESSION,
        IdentityAction.STORE_IDENTITY,
        IdentityAction.FORGET_DEVICE_LIST,
        IdentityAction.FORGET_SENDER_KEY_DELIVERY,
        IdentityAction.REISSUE_PRIVACY_TOKEN,
        IdentityAction.TELL,
    )
    assert (decision.old, decision.new) == (fingerprint(OLD), fingerprint(NEW))


def test_ask_holds_the_message_and_touches_nothing() -> None:
    decision = decide_identity(IdentityPolicy.ASK, OLD, NEW, authenticated=True)
    assert (decision.verdict, decision.may_use, decision.nack) == (IdentityVerdict.HELD, False, None)
    assert decision.actions == (IdentityAction.KEEP_MESSAGE, IdentityAction.TELL)
    assert (decision.old, decision.new) == (fingerprint(OLD), fingerprint(NEW))


def test_refuse_nacks_and_touches_nothing() -> None:
    decision = decide_identity(IdentityPolicy.REFUSE, OLD, NEW, authenticated=True)
    assert (decision.verdict, decision.may_use, decision.nack) == (IdentityVerdict.REFUSED, False, 500)
    assert decision.actions == (IdentityAction.NACK, IdentityAction.TELL)
    assert (decision.old, decision.new) == (fingerprint(OLD), fingerprint(NEW))


def test_a_fingerprint_is_the_beginning_of_the_keys_digest() -> None:
    # SHA-256 of 32 zero bytes, by coreutils' sha256sum.
    assert fingerprint(bytes(32)) == "6668 7aad f862 bd77 6c8f c18b 8e9f 8e20"
    assert fingerprint(OLD) != fingerprint(NEW)
