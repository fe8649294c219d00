"""Lines: the network between one client and the lab, as good or as bad as the schedule says.

Every stanza of a connection passes here once, on its way in or out, and nowhere else is anything done to it. The server
behind the line is a correct one, always; a correct client can lose nothing. What each kind means, and what is promised:

    drop, truncate, corrupt, half_open, close, restart
        A byte stream is in order or dead. The stanza that is struck, and all behind it that way, are lost: on the way
        in they never reached the server, on the way out they never reached the client. Queued stanzas among them stay
        unacknowledged and come again at the next login, marked offline; what else was lost must be asked for again.
        drop        that way vanishes, the other goes on; after the rule's time the connection is closed.
        truncate    half of the frame passes and the connection is closed.
        corrupt     out: one bit of the ciphertext is flipped, the rest vanishes, and the connection dies as in drop,
                    unless the client hangs up first; in: the frame does not decrypt, so the server hangs up.
        half_open   both ways vanish, the socket stays open, and not even a WebSocket ping is answered; it ends when
                    the client hangs up, logs in anew (the server then drops the old connection), or the lab is calmed.
        close       the socket is closed, without a farewell and without a closing handshake.
        restart     that happens to every connection, and nobody can connect until the pause is over.
    stream_error    the server says a code and closes instead of taking or sending the stanza, which is lost as above.
    lost_ack        the server has taken the message and does not say so; the connection goes on. The client must send
                    it again with the same id, and gets the same ack: the service takes an id from a device once.
    lost_answer     the server has taken the query, did what it asks, and does not answer; the connection goes on.
    duplicate       a queued stanza is delivered twice in a row, as if its acknowledgement had been lost. A client's
                    stanza never comes twice by itself: the network cannot do that to a stream.
    reorder         two queued stanzas of different conversations swap places. A conversation stays in order, and
                    nothing passes the end of the offline queue. With nothing to swap with in time, nothing happens.
    delay           the stanza comes later, and all behind it with it; nothing overtakes.
    clock_skew      the timestamps of the server's stanzas are off; its certificates and its traces are not.

A stanza on its way in that is delayed when its connection ends never reached the server.

What must stay true: with no schedule a line passes everything at once, in order and unchanged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from waton.lab.harm import cut_short, farewell, flipped
from waton.lab.schedules import GENTLE, Kind
from waton.lab.storm import CLIENT_FINISH, SERVER_HELLO, Passing, Strike
from waton.protocol.binary_node import Node, get_jid
from waton.protocol.connection import ConnectionEvent, NodeReceived
from waton.protocol.trace import Way

if TYPE_CHECKING:
    from waton.lab.faults import Faults, Moment
    from waton.lab.world import World

_UNSAID = frozenset({Kind.LOST_ACK, Kind.LOST_ANSWER, Kind.STREAM_ERROR, Kind.CLOSE, Kind.HALF_OPEN, Kind.RESTART})
"""The stanza that is struck never becomes a frame."""


class End(Protocol):
    """The socket at the server's end of a line."""

    @property
    def owner(self) -> str:
        """Push name of the account that has logged in; empty before."""
        ...

    @property
    def is_pairing(self) -> bool:
        """Shows a QR."""
        ...

    def take(self, event: ConnectionEvent) -> None:
        """A stanza, or the end of the handshake, has arrived."""
        ...

    def encode(self, node: Node, parent: int | None) -> tuple[int, list[bytes]]:
        """A stanza's node trace and its frames; they must be put in this order or not at all."""
        ...

    def put(self, data: bytes, due: float, moment: Moment | None) -> None:
        """Write a frame after those before it, and not before `due` on the loop's clock."""
        ...

    def finish(self, node: Node | None) -> None:
        """Say a last stanza, if any, and close."""
        ...

    def cut(self) -> None:
        """Close without a word."""
        ...

    def hush(self) -> None:
        """Take no byte and give none, and keep the socket open."""
        ...


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A stanza, or the server's hello, on its way out."""

    passing: Passing
    parent: int | None
    """The trace it follows from."""
    frames: Callable[[], tuple[int | None, list[bytes]]]
    """Encrypts it: its own trace, if it has one, and what to write."""
    moment: Moment | None
    delay: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A stanza that waits for one to swap with."""

    leaving: _Leaving
    conversation: str


class Line:
    """One connection's network."""

    def __init__(self, end: End, faults: Faults, world: World, number: int) -> None:
        self._end = end
        self._faults = faults
        self._world = world
        self._number = number
        self.is_deaf = False
        """Nothing comes in any more."""
        self.is_mute = False
        """Nothing goes out any more."""
        self._inbox: deque[tuple[float, ConnectionEvent]] = deque()
        self._held: _Held | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        faults.join(self)

    def close(self) -> None:
        """The connection is over; nothing of it happens later."""
        self.is_deaf = self.is_mute = True
        self._held = None
        self._inbox.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._faults.leave(self, self._number)

    def heal(self) -> None:
        """Be a good line from now on. What has lost a frame cannot be healed, and is cut."""
        if self.is_deaf or self.is_mute:
            self._end.cut()
        else:
            self._release()

    def _judge(self, passing: Passing, parent: int | None) -> tuple[float, Strike | None]:
        """How long a stanza is delayed, and what else happens to it. Turns the clock at once."""
        delay, harm = 0.0, None
        for strike in self._faults.judge(self._number, passing, is_pairing=self._end.is_pairing):
            if strike.kind not in GENTLE:
                harm = strike
                continue
            self._record(strike, passing, parent)
            if strike.kind is Kind.DELAY:
                delay = strike.seconds
            else:
                self._faults.skew(strike.seconds)
        return delay, harm

    def _record(self, strike: Strike, passing: Passing, parent: int | None) -> None:
        self._faults.record(strike, passing, self._number, parent)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            work()

        timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), act)
        self._timers.add(timer)

    def _sever(self, strike: Strike) -> None:
        """End the connection without a word, at once or, half open, never."""
        self.is_deaf = self.is_mute = True
        match strike.kind:
            case Kind.HALF_OPEN:
                self._end.hush()
            case Kind.RESTART:
                self._faults.restart(strike.seconds)
            case _:
                self._end.cut()

    # --- in ---------------------------------------------------------------------------------------------------------

    def arrive(self, event: ConnectionEvent) -> None:
        """A stanza has been decrypted; the end takes it now, later, or never."""
        if self.is_deaf:
            return
        if isinstance(event, NodeReceived):
            passing, parent = Passing.stanza(Way.IN, event.node, self._end.owner), event.trace
        else:
            passing, parent = Passing(Way.IN, CLIENT_FINISH), None
        delay, strike = self._judge(passing, parent)
        if strike is None:
            self._take(event, delay)
            return
        self._record(strike, passing, parent)
        match strike.kind:
            case Kind.STREAM_ERROR:
                self._end.finish(farewell(strike.code, is_login=passing.tag == CLIENT_FINISH))
            case Kind.CORRUPT:
                self._end.finish(None)
            case Kind.DROP:
                self.is_deaf = True
                self._later(strike.seconds, self._end.cut)
            case _:
                self._sever(strike)

    def _take(self, event: ConnectionEvent, delay: float) -> None:
        if not self._inbox and delay <= 0:
            self._end.take(event)
            return
        if not self._inbox:
            self._later(delay, self._take_due)
        self._inbox.append((asyncio.get_running_loop().time() + delay, event))

    def _take_due(self) -> None:
        _, event = self._inbox.popleft()
        if self._inbox:
            self._later(self._inbox[0][0] - asyncio.get_running_loop().time(), self._take_due)
        self._end.take(event)

    # --- out --------------------------------------------------------------------------------------------------------

    def hello(self, data: bytes, moment: Moment | None) -> None:
        """The server's handshake frame leaves."""
        passing = Passing(Way.OUT, SERVER_HELLO)
        delay, strike = self._judge(passing, None)
        self._send(_Leaving(passing, None, lambda: (None, [data]), moment, delay), strike)

    def leave(self, node: Node, parent: int | None, moment: Moment | None) -> None:
        """A stanza leaves: now, later, twice, or never."""
        if self.is_mute:
            self._end.encode(node, parent)  # the server has said it, as far as it knows
            return
        passing = Passing.stanza(Way.OUT, node, self._end.owner)
        delay, strike = self._judge(passing, parent)
        leaving = _Leaving(passing, parent, lambda: self._end.encode(node, parent), moment, delay)
        reorders = strike is not None and strike.kind is Kind.REORDER
        if self._held is not None and (strike is None or reorders) and self._may_swap(self._held, node, passing):
            self._swap(self._held, leaving)
            return
        self._release()
        if strike is not None and reorders:
            self._held = _Held(leaving, self._conversation(node))
            self._later(strike.seconds, self._release)
        else:
            self._send(leaving, strike)

    def _may_swap(self, held: _Held, node: Node, passing: Passing) -> bool:
        return passing.is_queued and self._conversation(node) != held.conversation

    def _swap(self, held: _Held, leaving: _Leaving) -> None:
        self._held = None
        self._send(leaving, None)
        self._record(Strike(Kind.REORDER), held.leaving.passing, held.leaving.parent)
        self._send(held.leaving, None)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._send(held.leaving, None)

    def _conversation(self, node: Node) -> str:
        """Whose it is, by whichever address: a person's id here, a group's or the server's address."""
        jid = get_jid(node, "recipient") or get_jid(node, "from")
        account = None if jid is None else self._world.find(jid)
        return str(jid) if account is None else str(account.id)

    def _send(self, leaving: _Leaving, strike: Strike | None) -> None:
        if strike is None:
            self._put(leaving, leaving.frames()[1])
        elif strike.kind in _UNSAID:
            self._record(strike, leaving.passing, leaving.parent)
            if strike.kind is Kind.STREAM_ERROR:
                self._end.finish(farewell(strike.code, is_login=False))
            elif strike.kind not in (Kind.LOST_ACK, Kind.LOST_ANSWER):
                self._sever(strike)
        else:
            trace, frames = leaving.frames()
            self._record(strike, leaving.passing, leaving.parent if trace is None else trace)
            self._harm(leaving, frames, strike)

    def _harm(self, leaving: _Leaving, frames: list[bytes], strike: Strike) -> None:
        match strike.kind:
            case Kind.DUPLICATE:
                self._put(leaving, frames + leaving.frames()[1])
            case Kind.TRUNCATE:
                self._put(leaving, [cut_short(frames[0], strike.place)])
                self._end.finish(None)
            case Kind.CORRUPT:
                self._put(leaving, [flipped(frames[0], strike.place)])
                self._vanish(strike.seconds)
            case _:
                self._vanish(strike.seconds)

    def _vanish(self, seconds: float) -> None:
        self.is_mute = True
        self._later(seconds, self._end.cut)

    def _put(self, leaving: _Leaving, frames: list[bytes]) -> None:
        due = asyncio.get_running_loop().time() + leaving.delay
        for data in frames:
            self._end.put(data, due, leaving.moment)
