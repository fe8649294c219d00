"""The pairing view: the QR, how long it lasts, and how the connection is.

The QR's text links a device to an account, so it goes to the views as a message and nowhere else: not into a trait,
which would be saved with the notebook, not into text/plain, not into an error. Once paired, nothing of it is left to
draw.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import ClassVar

from waton.client.events import ConnectionStatus, ConnectionUpdate
from waton.protocol.stanza.pairing import FIRST_QR_SECONDS, NEXT_QR_SECONDS
from waton.widgets.base import LiveWidget, front_end, said, text_of
from waton.widgets.qr import qr_path
from waton.widgets.sources import PairingSource

_SAID = {
    ConnectionStatus.IDLE: "not connected yet",
    ConnectionStatus.CONNECTING: "connecting",
    ConnectionStatus.QR: "waiting for a phone to scan; the QR is shown in a notebook",
    ConnectionStatus.PAIRED: "paired",
    ConnectionStatus.OPEN: "paired and open",
    ConnectionStatus.RECONNECTING: "reconnecting",
    ConnectionStatus.CLOSED: "closed",
}


class PairingWidget(LiveWidget):
    """Pair by QR, and see the connection's state afterwards.

    Args:
        source: a session.
    """

    _esm, _css = front_end("pairing")
    title: ClassVar[str] = "Pairing"

    def __init__(self, source: PairingSource) -> None:
        self._source = source
        self._qr_count = 0
        """How many QRs this round has, as far as was seen."""
        self._is_scanning = False
        self._is_subscribed = False
        super().__init__()
        self.follow(source.on_connection(self._noted))
        self.post(lambda: self._count(source.connection))

    def summary(self) -> str:
        return _SAID[self._source.connection.status]

    def receive(self, message: Mapping[str, object]) -> None:
        match text_of(message, "type"):
            case "hello":
                self._show(self._source.connection)
            case "scan":
                self._scan()
            case _:
                pass  # ack and bye: this view is small and keeps no account of who watches

    # --- from the source ---------------------------------------------------------------------------------------------

    def _noted(self, update: ConnectionUpdate) -> None:
        """Called by the source, on its thread."""
        self.post(lambda: self._show(update))

    def _count(self, update: ConnectionUpdate) -> None:
        if update.qr is None:
            self._qr_count = 0
        else:
            self._qr_count = max(self._qr_count, update.qr_left + 1)

    def _show(self, update: ConnectionUpdate) -> None:
        self._count(update)
        self.push(
            {
                "type": "state",
                "status": update.status.value,
                "qr": self._qr(update),
                "me": "" if update.me is None else str(update.me.bare),
                "lid": "" if update.lid is None else str(update.lid.bare),
                "reason": "" if update.error is None else said(update.error),
                "retry_in": None if update.retry_at is None else max(0.0, update.retry_at - time.time()),
                "can_scan": self._source.can_scan,
                "scanning": self._is_scanning,
            }
        )

    def _qr(self, update: ConnectionUpdate) -> dict[str, object] | None:
        if update.status is not ConnectionStatus.QR or update.qr is None:
            return None
        path = qr_path(update.qr)
        # Seconds, not a time of day: the browser's clock may be another machine's.
        left = NEXT_QR_SECONDS if update.qr_expires_at is None else max(0.0, update.qr_expires_at - time.time())
        return {
            "size": path.size,
            "d": path.d,
            "number": self._qr_count - update.qr_left,
            "of": self._qr_count,
            "expires_in": left,
            "lasts": FIRST_QR_SECONDS if left > NEXT_QR_SECONDS else NEXT_QR_SECONDS,
        }

    # --- the button --------------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        if self._is_scanning:
            return
        scan = self._source.lab_scan()
        self._is_scanning = True
        self._show(self._source.connection)
        scan.add_done_callback(lambda done: self.post(lambda: self._scanned(done)))

    def _scanned(self, done: Future[None]) -> None:
        self._is_scanning = False
        self._show(self._source.connection)
        if not done.cancelled() and (error := done.exception()) is not None:
            self.show_error(error)
