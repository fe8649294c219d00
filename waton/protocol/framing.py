"""Framing: how handshake messages and stanzas lie in the byte stream.

A frame is a 3-byte big-endian length and a body. The client's first bytes are the prologue `WA 06 03` (dictionary
version 3), preceded, when the server told us a route earlier, by `ED 00 01`, a 3-byte length and the routing info.
WebSocket message borders mean nothing: a frame may span several, and several frames may share one.

Source: Baileys Utils/noise-handler.ts, whatsmeow socket/framesocket.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from waton.errors import LocalProtocolError, RemoteProtocolError

PROLOGUE = b"WA\x06\x03"
_ROUTING_MARK = b"ED\x00\x01"
MAX_FRAME = (1 << 24) - 1
"""Bytes of a body; what three length bytes can say."""


def intro(routing_info: bytes = b"") -> bytes:
    """The bytes before the client's first frame."""
    if not routing_info:
        return PROLOGUE
    return _ROUTING_MARK + len(routing_info).to_bytes(3, "big") + routing_info + PROLOGUE


def frame(body: bytes) -> bytes:
    """One frame. Raises LocalProtocolError when the body is longer than MAX_FRAME."""
    if len(body) > MAX_FRAME:
        raise LocalProtocolError(f"a frame holds at most {MAX_FRAME} bytes, not {len(body)}")
    return len(body).to_bytes(3, "big") + body


class FrameReader:
    """Cuts a byte stream into frame bodies.

    At most one unfinished frame is kept, and never more than `limit` bytes of it: a longer announced length is an error
    before its bytes are read.
    """

    __slots__ = ("_buffer", "_expect_intro", "limit", "routing_info")

    def __init__(self, *, expect_intro: bool, limit: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._expect_intro = expect_intro
        self.limit = limit
        self.routing_info = b""
        """What the client said before its prologue; server side only."""

    @property
    def buffered(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; the bodies that are complete now are cut as they are asked for.

        So a body may change `limit` for those behind it, and those before a fault are not lost with it.

        Raises:
            RemoteProtocolError: not a WhatsApp intro, an empty frame, or one longer than `limit`.
        """
        self._buffer += data
        return self._bodies()

    def _bodies(self) -> Iterator[bytes]:
        if self._expect_intro and not self._take_intro():
            return
        while (body := self._take_frame()) is not None:
            yield body

    def _take_intro(self) -> bool:
        start = 0
        if self._buffer.startswith(_ROUTING_MARK[:2]):
            if len(self._buffer) < 7:
                return False
            if not self._buffer.startswith(_ROUTING_MARK):
                raise RemoteProtocolError("the stream begins with an unknown routing mark")
            start = 7 + int.from_bytes(self._buffer[4:7], "big")
            if start - 7 > self.limit:
                raise RemoteProtocolError("the routing info is too long")
        if len(self._buffer) < start + len(PROLOGUE):
            so_far = bytes(self._buffer)
            if start == 0 and not PROLOGUE.startswith(so_far) and not _ROUTING_MARK.startswith(so_far):
                raise RemoteProtocolError("the stream does not begin with the WhatsApp prologue")
            return False
        if not self._buffer.startswith(PROLOGUE, start):
            raise RemoteProtocolError("the stream does not begin with the WhatsApp prologue")
        self.routing_info = bytes(self._buffer[7:start]) if start else b""
        del self._buffer[: start + len(PROLOGUE)]
        self._expect_intro = False
        return True

    def _take_frame(self) -> bytes | None:
        if len(self._buffer) < 3:
            return None
        length = int.from_bytes(self._buffer[:3], "big")
        if length == 0:
            raise RemoteProtocolError("an empty frame")
        if length > self.limit:
            raise RemoteProtocolError(f"a frame of {length} bytes, the limit is {self.limit}")
        if len(self._buffer) < 3 + length:
            return None
        body = bytes(self._buffer[3 : 3 + length])
        del self._buffer[: 3 + length]
        return body
