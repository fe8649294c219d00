"""Changed identities: what becomes of the server's word that a contact has another key, and of the sessions.

Both sides are asked with the same notifications and the same world (is there a session, does the store fail, does the
network), and say the same codes in the same order of questions. Baileys' debounce begins with each notification, ours
with each refresh: a second notification is a row of its own where the first has done nothing.

Source: Baileys Utils/identity-change-handler.ts, Signal/libsignal.ts deleteSession.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.functions.envelopes import ME, MY_LID
from waton.parity.functions.nodes import to_ours
from waton.parity.functions.several import each, each_of, several
from waton.parity.functions.signal import BOB, REPOSITORY, bundle_answer, devices_with_prekeys
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.client.identity_change_handler import Debounce, IdentityPolicy
    from waton.jid import Jid

Value: TypeAlias = Any

HANDLER = "lib/Utils/identity-change-handler.js"
_ADA, _BEA = "4915000000002@s.whatsapp.net", "77000000000003@lid"
_NOBODY: tuple[str | None, ...] = (None,)
_CONTACTS = (_ADA, _BEA)
_OTHERS = (
    "4915000000002:7@s.whatsapp.net",
    "77000000000003:1@lid",
    "4915000000001@s.whatsapp.net",
    "77000000000001@lid",
)


# --- notifications --------------------------------------------------------------------------------------------------


def _steps(senders: tuple[str | None, ...], **fixed: Value) -> SearchStrategy[Value]:
    """One notification, and what the world answers to what is asked because of it."""
    offline: SearchStrategy[str | None] = st.sampled_from((None, "", "0", "12"))
    parts = st.fixed_dictionaries(
        {
            "from": st.sampled_from(senders),
            "offline": offline,
            "has identity": st.booleans(),
            "has session": st.booleans(),
            "store fails": st.booleans(),
            "refresh fails": st.booleans(),
        }
    )
    return parts.map(lambda made: made | fixed)


def _notification(step: Value) -> Value:
    attrs = {"type": "encrypt", "id": "1"}
    attrs |= {name: step[name] for name in ("from", "offline") if step[name] is not None}
    children = [node("identity", {}, b"key")] if step["has identity"] else []
    return node("notification", attrs, children)


def _their_codes(baileys: Functions, story: list[Value]) -> Value:
    steps = [
        {
            "notification": _notification(step),
            "hasSession": step["has session"],
            "storeFails": step["store fails"],
            "refreshFails": step["refresh fails"],
        }
        for step in story
    ]
    return baileys.ask("identityChanges", steps=steps, me=ME, lid=MY_LID)


class _World:
    """What the handler asks of a client; each step says what it answers."""

    def __init__(self) -> None:
        from waton.client.identity_change_handler import Debounce, IdentityPolicy

        self.policy: IdentityPolicy = IdentityPolicy.TRUST
        self.debounce: Debounce = Debounce()
        self.step: Value = {}
        self.calls: list[list[str]] = []

    def now(self) -> float:
        return 1_800_000_000.0

    def is_me(self, jid: Jid) -> bool:
        from waton.jid import Jid

        return jid.bare in [Jid.parse(text).bare for text in (ME, MY_LID)]

    async def has_session(self, jid: Jid) -> bool:
        from waton.errors import StorageError

        self.calls.append(["session?", str(jid)])
        if self.step["store fails"]:
            raise StorageError("session")
        return bool(self.step["has session"])

    def before_refresh(self, jid: Jid) -> None:
        self.calls.append(["before", str(jid)])

    async def refresh(self, jid: Jid) -> None:
        from waton.errors import Disconnected, DisconnectReason

        self.calls.append(["refresh", str(jid)])
        if self.step["refresh fails"]:
            raise Disconnected(DisconnectReason.LOST)


def _our_codes(story: list[Value]) -> Value:
    return asyncio.run(_play(story))


async def _play(story: list[Value]) -> Value:
    from waton.client.identity_change_handler import handle_identity_change
    from waton.errors import StorageError

    world, told = _World(), list[Value]()
    for step in story:
        world.step, world.calls = step, []
        try:
            code = (await handle_identity_change(to_ours(_notification(step)), world)).code.value
        except StorageError:
            code = "raised"
        told.append([code, world.calls])
    return told


def _codes(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"handleIdentityChange{name}",
        Domain.IDENTITY_CHANGE,
        f"{HANDLER}:handleIdentityChange",
        "waton.client.identity_change_handler:handle_identity_change",
        inputs,
        _their_codes,
        _our_codes,
        examples,
    )


def _alone() -> Pair:
    """One notification after the other, none with a past."""
    inputs = _steps((*_NOBODY, *_CONTACTS, *_OTHERS)).map(lambda step: [step])
    pair = _codes("", lambda: several(inputs))
    return replace(pair, ask=each(_their_codes), answer=each_of(_our_codes))


def _refreshed(sender: str) -> SearchStrategy[Value]:
    """A notification after which the session is made anew."""
    sound = {"has identity": True, "has session": True, "store fails": False, "refresh fails": False, "offline": None}
    return _steps((sender,), **sound)


def _twice() -> SearchStrategy[Value]:
    """A refresh, then anything of the same contact or of another."""
    return st.tuples(_refreshed(_ADA), _steps(_CONTACTS, **{"has identity": True})).map(list)


def _after_nothing() -> SearchStrategy[Value]:
    """A notification that leaves the session as it is, then one that should not."""
    idle = st.sampled_from(({"has session": False}, {"offline": "1"}, {"store fails": True}, {"refresh fails": True}))
    return st.tuples(_refreshed(_ADA), idle, _refreshed(_ADA)).map(lambda made: [made[0] | made[1], made[2]])


# --- ending a session -----------------------------------------------------------------------------------------------


def _their_ending(baileys: Functions, value: Value) -> Value:
    baileys.ask("party", party="ender", creds=devices.theirs(value))
    answer = bundle_answer(value, BOB, with_prekey=False)
    baileys.ask("inject", party="ender", answer=answer, dice=value["entropy"])
    before = baileys.ask("validateSession", party="ender", jid=BOB)["exists"]
    baileys.ask("deleteSession", party="ender", jids=[BOB])
    return [before, baileys.ask("validateSession", party="ender", jid=BOB)["exists"]]


def _our_ending(value: Value) -> Value:
    from waton._core import session_archive, session_is_open
    from waton.protocol import signal_repo

    user = bundle_answer(value, BOB, with_prekey=False)["content"][0]["content"][0]
    bundle = signal_repo.bundle_from_node(to_ours(user))
    local = signal_repo.LocalIdentity.of(devices.ours(value))
    opened = signal_repo.open_session(None, bundle, local, entropy=value["entropy"])
    return [session_is_open(opened), session_is_open(session_archive(opened))]


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [
        _alone(),
        _codes(": twice", _twice, 20),
        _codes(": after one that did nothing", _after_nothing, 10),
        Pair(
            "makeLibSignalRepository.deleteSession",
            Domain.IDENTITY_CHANGE,
            f"{REPOSITORY}:makeLibSignalRepository",
            "waton.client.sessions:Sessions.archive",
            devices_with_prekeys,
            _their_ending,
            _our_ending,
            10,
        ),
    ]
