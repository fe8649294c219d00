"""Addresses: the `Jid` value (made in Rust, see `waton._core`) and the well-known addresses.

A JID names a person (by phone number on s.whatsapp.net, or by LID on lid), one of a person's devices, a group, or the
service itself. It is parsed once, at the edge, and stays a `Jid` from there upwards.

Source: Baileys WABinary/jid-utils.ts, whatsmeow types/jid.go.
"""

from enum import StrEnum

from waton._core import Jid

__all__ = ["SERVER", "STATUS_BROADCAST", "Jid", "JidServer", "signal_address"]


class JidServer(StrEnum):
    """The part behind the @, in the wire's spelling."""

    PN = "s.whatsapp.net"
    LID = "lid"
    GROUP = "g.us"
    BROADCAST = "broadcast"
    NEWSLETTER = "newsletter"
    HOSTED = "hosted"
    HOSTED_LID = "hosted.lid"
    BOT = "bot"
    CALL = "call"
    LEGACY = "c.us"
    MESSENGER = "msgr"
    INTEROP = "interop"


SERVER = Jid("", JidServer.PN)
"""The service itself."""

STATUS_BROADCAST = Jid("status", JidServer.BROADCAST)

_SIGNAL_DOMAIN = {JidServer.LID: "_1", JidServer.HOSTED: "_128", JidServer.HOSTED_LID: "_129"}


def signal_address(jid: Jid) -> str:
    """The name of a device's Signal session: `user[_domain].device`, as Baileys and whatsmeow write it.

    Source: Baileys Signal/libsignal.ts, whatsmeow types/jid.go SignalAddressUser.
    """
    return f"{jid.user}{_SIGNAL_DOMAIN.get(JidServer(jid.server), '')}.{jid.device}"
