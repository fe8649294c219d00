"""Deliveries: what each device has yet to get, who is connected, and the order of both.

A stanza for a device is written to its queue first and leaves the queue when the device acknowledges it (an ack, or for
a message also a receipt, unless that asks for it again). So nothing acknowledged to its sender can be
lost, and what a device did not acknowledge comes again at its next login, in order, marked `offline`.

A login drains in four beats: offline_preview, the stanzas that waited (at most `window` of them unacknowledged at
once), offline, and then whatever came meanwhile. The window is what the client asks for by offline_batch; clients
that never ask get the default. What must stay true: stanzas of one device leave in the order of their numbers.

Source: Baileys Socket/socket.ts (offline_preview, offline_batch 100), whatsmeow connectionevents.go, whatsapp-rust
(waits for offline).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from waton.lab.world import Device, World
from waton.protocol.binary_node import Node, decode_node, encode_node, get_text
from waton.protocol.stanza import stream

WINDOW = 100
"""Unacknowledged stanzas of the offline queue in flight."""


class Endpoint(Protocol):
    """The far end of a delivery: a socket, or a phone in this process."""

    def deliver(self, node: Node, parent: int | None) -> None:
        """Take a stanza. Must not raise for anything in it."""
        ...

    def end(self, node: Node | None) -> None:
        """Take a last stanza, if any, and be gone."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    seq: int
    tag: str
    stanza: bytes


class Session:
    """One connected device: how far its queue has been sent."""

    def __init__(self, device: Device, endpoint: Endpoint, deliveries: Deliveries) -> None:
        self.device = device
        self.endpoint = endpoint
        self._deliveries = deliveries
        self.is_active = False
        """Wants deliveries."""
        self.is_available = False
        """Has announced presence."""
        self.push_name = device.account.name
        """What others see of its messages: the account's name until it announces another."""
        self.window = WINDOW
        self._sent = 0
        self._offline_until = 0
        self._offline_sent = 0
        self._in_flight: set[int] = set()
        self._is_draining = False
        self._parents: dict[int, int] = {}

    def activate(self) -> None:
        """Begin to deliver: announce what waits, then send it."""
        if self.is_active:
            return
        self.is_active = True
        counts = self._deliveries.counts(self.device)
        self._offline_until = self._deliveries.last(self.device)
        self._is_draining = True
        preview = stream.offline_preview(
            messages=counts.get("message", 0),
            receipts=counts.get("receipt", 0),
            notifications=counts.get("notification", 0),
            t=self._deliveries.world.t(),
        )
        self.endpoint.deliver(preview, None)
        self.pump()

    def deactivate(self) -> None:
        """Hold deliveries back; they wait in the queue."""
        self.is_active = False

    def expect(self, seq: int, parent: int | None) -> None:
        """A stanza was queued; send it when its turn comes. parent: the trace it follows from."""
        if parent is not None:
            self._parents[seq] = parent
        self.pump()

    @property
    def sent(self) -> int:
        """The number of the last stanza that was sent at this login."""
        return self._sent

    def settle(self, seq: int) -> None:
        """A stanza was acknowledged; that may make room for the next."""
        self._in_flight.discard(seq)
        self.pump()

    def pump(self) -> None:
        """Send what may be sent now."""
        if self.is_active and self._is_draining:
            self._drain()
        if self.is_active and not self._is_draining:
            for waiting in self._deliveries.waiting(self.device, self._sent):
                self._send(waiting, decode_node(waiting.stanza))

    def _drain(self) -> None:
        room = self.window - len(self._in_flight)
        for waiting in self._deliveries.waiting(self.device, self._sent, self._offline_until, max(room, 0)):
            self._in_flight.add(waiting.seq)
            node = decode_node(waiting.stanza)
            marked = Node(node.tag, {**node.attrs, "offline": str(self._offline_sent)}, node.content)
            self._offline_sent += 1
            self._send(waiting, marked)
        if not self._deliveries.waiting(self.device, self._sent, self._offline_until, 1):
            self._is_draining = False
            self.endpoint.deliver(stream.offline_done(self._offline_sent), None)

    def _send(self, waiting: _Waiting, node: Node) -> None:
        self._sent = waiting.seq
        self.endpoint.deliver(node, self._parents.pop(waiting.seq, None))


class Deliveries:
    """All queues and all sessions."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._sessions: dict[tuple[int, int], Session] = {}

    # --- who is connected -------------------------------------------------------------------------------------------

    def attach(self, device: Device, endpoint: Endpoint) -> Session:
        """A device has logged in; an older login of it is ended with conflict replaced."""
        older = self._sessions.get(device.key)
        session = Session(device, endpoint, self)
        self._sessions[device.key] = session
        if older is not None:
            older.deactivate()
            older.endpoint.end(stream.stream_error(child=stream.conflict("replaced")))
        return session

    def detach(self, session: Session) -> None:
        """A login is over; one that was replaced changes nothing."""
        session.deactivate()
        if self._sessions.get(session.device.key) is session:
            del self._sessions[session.device.key]

    def session(self, device: Device) -> Session | None:
        """The device's login, None when it is offline."""
        return self._sessions.get(device.key)

    def sessions(self) -> list[Session]:
        """All logins."""
        return list(self._sessions.values())

    def expel(self, device: Device) -> None:
        """End the device's login because it was unlinked."""
        session = self._sessions.pop(device.key, None)
        if session is not None:
            session.deactivate()
            session.endpoint.end(stream.stream_error(401, stream.conflict("device_removed")))

    # --- what they have yet to get ----------------------------------------------------------------------------------

    def put(self, device: Device, node: Node, parent: int | None = None) -> None:
        """Queue a stanza; it leaves after the step's commit if the device is connected."""
        seq = self.world.database.insert(
            "INSERT INTO queue (account, number, tag, id, peer, kind, stanza) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *device.key,
            node.tag,
            get_text(node, "id") or "",
            get_text(node, "from") or "",
            get_text(node, "type") or "",
            encode_node(node),
        )
        self.world.after(self._expecting(device, seq, parent))

    def _expecting(self, device: Device, seq: int, parent: int | None) -> Callable[[], None]:
        def act() -> None:
            session = self._sessions.get(device.key)
            if session is not None:
                session.expect(seq, parent)

        return act

    def settle(self, device: Device, tag: str, id: str, peer: str = "", kind: str = "") -> bool:
        """A device acknowledged a stanza: it leaves the queue. Returns False when there was none like it.

        Several receipts may carry one message's id, so the one from the right peer and of the right type is preferred.
        What the device has not got at this login it cannot mean: an answer to its retry has the id of the original,
        and may still wait when that is acknowledged.
        """
        session = self._sessions.get(device.key)
        row = self.world.database.row(
            "SELECT seq FROM queue WHERE account = ? AND number = ? AND tag = ? AND id = ? AND seq <= ?"
            " ORDER BY peer = ? DESC, kind = ? DESC, seq LIMIT 1",
            *device.key,
            tag,
            id,
            (1 << 62) if session is None else session.sent,
            peer,
            kind,
        )
        if row is None:
            return False
        seq = cast(int, row[0])
        self.world.database.write("DELETE FROM queue WHERE seq = ?", seq)
        if session is not None:
            self.world.after(lambda: session.settle(seq))
        return True

    def withdraw(self, device: Device, tag: str, kind: str) -> None:
        """Take back queued stanzas of one kind: a newer one says it better."""
        self.world.database.write(
            "DELETE FROM queue WHERE account = ? AND number = ? AND tag = ? AND kind = ?", *device.key, tag, kind
        )

    def waiting(self, device: Device, above: int, until: int | None = None, limit: int = -1) -> list[_Waiting]:
        """Queued stanzas with above < number <= until, oldest first."""
        rows = self.world.database.rows(
            "SELECT seq, tag, stanza FROM queue WHERE account = ? AND number = ? AND seq > ? AND seq <= ?"
            " ORDER BY seq LIMIT ?",
            *device.key,
            above,
            (1 << 62) if until is None else until,
            limit,
        )
        return [_Waiting(*cast("tuple[int, str, bytes]", row)) for row in rows]

    def last(self, device: Device) -> int:
        """The number of the newest queued stanza, 0 when there is none."""
        row = self.world.database.row("SELECT max(seq) FROM queue WHERE account = ? AND number = ?", *device.key)
        return cast(int, row[0]) if row is not None and row[0] is not None else 0

    def counts(self, device: Device) -> dict[str, int]:
        """How many stanzas wait, by tag."""
        rows = self.world.database.rows(
            "SELECT tag, count(*) FROM queue WHERE account = ? AND number = ? GROUP BY tag", *device.key
        )
        return dict(cast("list[tuple[str, int]]", rows))
