"""Scenarios that are still to be written, each with the domain it will be told under and what waton lacks for it."""

from __future__ import annotations

from dataclasses import dataclass

from waton.parity.evidence import Domain


@dataclass(frozen=True, slots=True)
class Coming:
    """A scenario without a file."""

    name: str
    domain: Domain
    note: str


_CONTENT = (
    "image", "video", "audio", "document", "sticker", "contact", "location", "reaction", "poll", "event", "edit",
    "revoke", "forward", "quote", "mention", "view-once", "disappearing", "pin", "group-invite", "album", "product",
)  # fmt: skip
_CHATS = ("person", "lid-group", "pn-group", "status")


def _contents() -> list[Coming]:
    media = {"image", "video", "audio", "document", "sticker"}
    return [
        Coming(
            f"send-{kind}-to-{chat}",
            Domain.MEDIA if kind in media else Domain.MESSAGES_SEND,
            f"waton does not make {kind} messages yet",
        )
        for kind in _CONTENT
        for chat in _CHATS
    ]


COMING: tuple[Coming, ...] = (
    *_contents(),
    Coming("send-text-to-status", Domain.MESSAGES_SEND, "waton sends nothing to the status list yet"),
    Coming("app-state-first-sync", Domain.APP_STATE_SYNC, "waton reads no app state yet"),
    Coming("app-state-patch", Domain.APP_STATE_SYNC, "waton reads no app state yet"),
    Coming("app-state-upload", Domain.APP_STATE_SYNC, "waton writes no app state yet"),
    Coming("app-state-conflict", Domain.APP_STATE_SYNC, "waton writes no app state yet"),
    Coming("history-chunks", Domain.HISTORY, "waton keeps history chunks and does not decode them yet"),
    Coming("history-on-demand", Domain.HISTORY, "waton asks for no history yet"),
    Coming("media-upload", Domain.MEDIA, "waton uploads nothing yet"),
    Coming("media-download", Domain.MEDIA, "waton downloads nothing yet"),
    Coming("media-again", Domain.MEDIA, "waton asks for no media yet"),
    Coming("community-created", Domain.COMMUNITIES, "waton has no communities yet"),
    Coming("newsletter-followed", Domain.NEWSLETTER, "waton has no newsletters yet"),
    Coming("newsletter-read", Domain.NEWSLETTER, "waton has no newsletters yet"),
    Coming("business-profile", Domain.BUSINESS, "waton asks for no business data yet"),
    Coming("catalog", Domain.BUSINESS, "waton asks for no business data yet"),
    Coming("presence-both-ways", Domain.CHATS, "waton subscribes to nobody's presence yet"),
    Coming("typing", Domain.CHATS, "waton sends no chat states yet"),
    Coming("privacy-settings", Domain.CHATS, "waton asks for the privacy settings and cannot change them yet"),
    Coming("profile-picture", Domain.CHATS, "waton has no pictures yet"),
    Coming("block-and-unblock", Domain.CHATS, "waton follows the blocklist and cannot change it yet"),
    Coming("events-held-back", Domain.EVENT_BUFFER, "waton emits each event as it is committed; nothing is buffered"),
)
