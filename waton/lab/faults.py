"""Misbehaviour on request: what a hostile, broken or dying server would do, for a bounded number of connections.

    lab.faults.next(Fault.certificate(Defect.LEAF_KEY))           the next connection gets a bad chain
    lab.faults.next(Fault.frame(Harm.GARBAGE, Moment.SUCCESS))    the next frame of that kind is garbage
    lab.faults.next(Fault.frame(Harm.CLOSE, Moment.PAIR_SUCCESS), connections=2)

Each fault is armed on the connections it was asked for, one fault per connection, oldest first; afterwards the lab
behaves. A fault whose moment never comes on its connection is spent all the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


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
    """One misbehaviour; make it with certificate(), vouching() or frame()."""

    defect: Defect | None = None
    vouched: Vouching | None = None
    harm: Harm | None = None
    moment: Moment | None = None

    @staticmethod
    def certificate(defect: Defect) -> Fault:
        return Fault(defect=defect)

    @staticmethod
    def vouching(wrong: Vouching) -> Fault:
        return Fault(vouched=wrong)

    @staticmethod
    def frame(harm: Harm, moment: Moment) -> Fault:
        return Fault(harm=harm, moment=moment)

    def strikes(self, moment: Moment | None) -> bool:
        """True when a frame sent at this moment is harmed."""
        return self.moment is not None and self.moment is moment


NO_FAULT = Fault()


class Faults:
    """The faults still to come."""

    def __init__(self) -> None:
        self._armed: deque[Fault] = deque()

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
