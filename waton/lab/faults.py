"""Misbehaviour on request: single faults at named moments, and seeded schedules of a bad network or a tired server.

    lab.faults.next(Fault.certificate(Defect.LEAF_KEY))           the next connection gets a bad chain
    lab.faults.next(Fault.frame(Harm.GARBAGE, Moment.SUCCESS))    the next frame of that kind is garbage
    lab.faults.next(Fault.frame(Harm.CLOSE, Moment.PAIR_SUCCESS), connections=2)

    lab.faults.schedule("drop=1%,delay=5-40ms,seed=7")            from now on, until
    lab.faults.calm()                                             the lab behaves again

Single faults are what a hostile, broken or dying server does. Each is armed on the connections it was asked for, one
fault per connection, oldest first; afterwards the lab behaves. A fault whose moment never comes on its connection is
spent all the same.

A schedule is a correct server behind a bad network: whatever it does, a correct client can lose nothing.
waton.lab.lines says what each kind means, waton.lab.schedules how to ask for it. Every fault of a schedule is traced
as "lab.fault" and counted.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from waton.lab.schedules import Kind, Schedule, profile
from waton.lab.storm import Passing, Storm, Strike
from waton.ports import Clock
from waton.protocol.trace import Layer, Tracer, Way

if TYPE_CHECKING:
    from waton.lab.lines import Line

_log = logging.getLogger(__name__)


class Defect(StrEnum):
    """What is wrong with the certificate chain."""

    UNKNOWN_ROOT = "unknown_root"
    INTERMEDIATE_SIGNATURE = "intermediate_signature"
    """Random bytes."""
    LEAF_SIGNATURE = "leaf_signature"
    """Random bytes."""
    INTERMEDIATE_ISSUER = "intermediate_issuer"
    """The intermediate names another issuer than the root."""
    LEAF_ISSUER = "leaf_issuer"
    """The leaf names another issuer than the intermediate."""
    LEAF_KEY = "leaf_key"
    """The leaf names another key than the server's."""
    DATES = "dates"
    """Both certificates have expired."""


class Vouching(StrEnum):
    """What is wrong with the phone's word for a companion."""

    HMAC = "hmac"
    """Sealed with another secret than the QR's."""
    ACCOUNT_SIGNATURE = "account_signature"
    """Signed by another key than the one it names."""


class Moment(StrEnum):
    """Which frame of the server's a frame fault strikes, in the order they are sent."""

    SERVER_HELLO = "server_hello"
    PAIR_DEVICE = "pair_device"
    PAIR_SUCCESS = "pair_success"
    RESTART = "restart"
    """stream:error 515; the device is stored by then."""
    SUCCESS = "success"
    """The login's welcome."""


class Harm(StrEnum):
    """What happens to that frame."""

    CLOSE = "close"
    """The socket closes instead of sending it."""
    TRUNCATED = "truncated"
    """Half of it is sent, then the socket closes."""
    OVERSIZED = "oversized"
    """A length of 16,777,215 is announced, a few bytes follow, then the socket closes."""
    GARBAGE = "garbage"
    """A frame of the same length with random bytes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour; make it with certificate(), vouching(), frame() or declined()."""

    defect: Defect | None = None
    vouched: Vouching | None = None
    harm: Harm | None = None
    moment: Moment | None = None
    declines: bool = False
    passkey: bool = False

    @staticmethod
    def certificate(defect: Defect) -> Fault:
        return Fault(defect=defect)

    @staticmethod
    def vouching(wrong: Vouching) -> Fault:
        return Fault(vouched=wrong)

    @staticmethod
    def frame(harm: Harm, moment: Moment) -> Fault:
        return Fault(harm=harm, moment=moment)

    @staticmethod
    def declined() -> Fault:
        """A resumed handshake (IK) is answered with XXfallback, though it could be read."""
        return Fault(declines=True)

    @staticmethod
    def asks_for_passkey() -> Fault:
        """Instead of the pair-success comes the word that the account links no device without a passkey."""
        return Fault(passkey=True)

    def strikes(self, moment: Moment | None) -> bool:
        """True when a frame sent at this moment is harmed."""
        return self.moment is not None and self.moment is moment


NO_FAULT = Fault()
TRACE = "lab.fault"
"""Name of the state traces of a schedule's faults; detail has kind, way and tag, and id and connection are columns."""


class Server(Protocol):
    """What a schedule does to the lab as a whole."""

    clock: Clock
    tracer: Tracer

    def restart_soon(self, pause: float) -> None:
        """Drop every connection and listen again after `pause` seconds; nothing, when that is under way."""
        ...

    def skew_clock(self, seconds: float) -> None:
        """Have the timestamps of stanzas this far off from now on."""
        ...


class Faults:
    """The single faults still to come, and the schedule under way."""

    def __init__(self, server: Server | None = None) -> None:
        self._server = server
        self._armed: deque[Fault] = deque()
        self._storm: Storm | None = None
        self._began = 0.0
        self._lines: dict[Line, None] = {}
        self.injected: Counter[Kind] = Counter()
        """How often each kind has happened, over all schedules of this lab."""

    # --- single faults ----------------------------------------------------------------------------------------------

    def next(self, fault: Fault, connections: int = 1) -> None:
        """Arm `fault` for that many connections, after those armed before."""
        self._armed.extend([fault] * connections)

    def take(self) -> Fault:
        """The fault of a connection that begins now; NO_FAULT when none is armed."""
        return self._armed.popleft() if self._armed else NO_FAULT

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def __len__(self) -> int:
        return len(self._armed)

    # --- schedules --------------------------------------------------------------------------------------------------

    def schedule(self, schedule: Schedule | str) -> Schedule:
        """Follow a schedule from now on, instead of the one before.

        Args:
            schedule: one, or the text of one.
        Returns:
            the schedule; its str() repeats it.
        Raises:
            LabError: the text is none; the part that is wrong is named.
        """
        wanted = Schedule.parse(schedule) if isinstance(schedule, str) else schedule
        self._storm = Storm(wanted)
        self._began = self._now()
        return wanted

    def profile(self, name: str, seed: int = 0) -> Schedule:
        """Follow a named mix: slow, flaky, lossy, forgetful, restarts, hostile. Raises LabError."""
        return self.schedule(profile(name, seed))

    def calm(self) -> None:
        """Behave from now on.

        Nothing is armed or drawn any more, the clock is right, and connections that have lost a frame are closed, so
        that their clients come back to a good one.
        """
        self._storm = None
        self.clear()
        if self._server is not None:
            self._server.skew_clock(0.0)
        for line in list(self._lines):
            line.heal()

    @property
    def running(self) -> Schedule | None:
        """The schedule under way, also when nothing is left of it."""
        return None if self._storm is None else self._storm.schedule

    @property
    def is_over(self) -> bool:
        """Nothing will happen any more: there is no schedule, or its bounds are reached."""
        return self._storm is None or self._storm.is_over(self._now() - self._began)

    # --- what lines ask and tell ------------------------------------------------------------------------------------

    def join(self, line: Line) -> None:
        """A connection has begun."""
        self._lines[line] = None

    def leave(self, line: Line, number: int) -> None:
        """A connection is over."""
        self._lines.pop(line, None)
        if self._storm is not None:
            self._storm.forget(number)

    def judge(self, number: int, passing: Passing, *, is_pairing: bool) -> list[Strike]:
        """What becomes of a stanza of this connection; see Storm.judge."""
        storm = self._storm
        if storm is None or (is_pairing and not storm.schedule.pairing):
            return []
        return storm.judge(number, passing, self._now() - self._began)

    def record(self, strike: Strike, passing: Passing, number: int, parent: int | None) -> None:
        """A fault has happened: count and trace it."""
        kind = strike.kind
        self.injected[kind] += 1
        level = logging.DEBUG if kind is Kind.DELAY else logging.INFO
        _log.log(level, "fault: %s %s %s on connection %d", kind.value, passing.way.value, passing.tag, number)
        if self._server is None:
            return
        detail: dict[str, str | float] = {"kind": kind.value, "way": passing.way.value, "tag": passing.tag}
        if strike.seconds:
            detail["seconds"] = round(strike.seconds, 6)
        if strike.code:
            detail["code"] = strike.code
        self._server.tracer.add(
            Layer.STATE,
            Way.LOCAL,
            TRACE,
            at=self._now(),
            parent=parent,
            id=passing.id,
            kind=kind.value,
            detail=json.dumps(detail),
            connection=number,
        )

    def restart(self, pause: float) -> None:
        """Restart the server soon."""
        if self._server is not None:
            self._server.restart_soon(pause)

    def skew(self, seconds: float) -> None:
        """Turn the server's clock."""
        if self._server is not None:
            self._server.skew_clock(seconds)

    def _now(self) -> float:
        return 0.0 if self._server is None else self._server.clock.now()
