"""Which devices a person has: asked by usync, remembered for a while, forgotten when the server says they changed.

Source: Baileys Socket/messages-send.ts getUSyncDevices; companions without a key index are left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from waton.jid import Jid
from waton.ports import Clock
from waton.protocol.stanza.usync import UserResult

REMEMBER_SECONDS = 300.0

Ask = Callable[[Sequence[Jid]], Awaitable[list[UserResult]]]


@dataclass(frozen=True, slots=True)
class _Remembered:
    result: UserResult
    until: float


class DeviceLists:
    """A cache in front of the usync question."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[Jid, _Remembered] = {}

    async def of(self, users: Iterable[Jid]) -> dict[Jid, UserResult]:
        """The answer for each user (bare address). A user the server does not know is missing from the result."""
        wanted = list(dict.fromkeys(user.bare for user in users))
        now = self._clock.now()
        # Taken out before asking: somebody who is forgotten meanwhile must not be missing from this answer.
        found = {user: known.result for user in wanted if (known := self._known.get(user)) and known.until >= now}
        missing = [user for user in wanted if user not in found]
        if missing:
            for result in await self._ask(missing):
                found[result.jid.bare] = result
                self._known[result.jid.bare] = _Remembered(result, now + REMEMBER_SECONDS)
        return {user: found[user] for user in wanted if user in found}

    def forget(self, user: Jid) -> None:
        """The server told us that this user's devices changed."""
        self._known.pop(user.bare, None)

    def clear(self) -> None:
        """Forget everybody: a new connection may have missed changes."""
        self._known.clear()
