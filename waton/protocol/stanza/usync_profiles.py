"""What usync says of a person beside devices and addresses: the about text, messages that disappear, a bot's profile.

Each is one child of a <user>. Text is the content of an element, as bytes or as a token of the codec; both are read.
A person may keep such things to himself, so each may be absent, and for an about text the server says when it is kept
back on purpose.

Source: Baileys WAUSync/Protocols, whatsmeow user.go GetBotProfiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from waton.jid import Jid
from waton.protocol.binary_node import Node, get_int, get_text, require_child

_NOT_FOR_US = 401
"""The code of a <status> that its owner does not show to us."""


@dataclass(frozen=True, slots=True, repr=False)
class About:
    """The line a person shows under the name."""

    text: str | None
    """None when there is none."""
    t: int = 0
    """Unix seconds of when it was written; 0 when the server does not say."""
    is_hidden: bool = False
    """There may be one, and its owner does not show it to us."""

    @staticmethod
    def from_node(node: Node) -> About:
        """Read a <status>. Raises StanzaError."""
        text = text_of(node)
        return About(text or None, get_int(node, "t") or 0, not text and get_text(node, "code") == str(_NOT_FOR_US))


@dataclass(frozen=True, slots=True)
class Disappearing:
    """How long messages stay in chats that somebody begins."""

    seconds: int
    """0 for ever."""
    t: int = 0
    """Unix seconds of when it was set; 0 when the server does not say."""

    @staticmethod
    def from_node(node: Node) -> Disappearing:
        """Read a <disappearing_mode>. Raises StanzaError."""
        return Disappearing(get_int(node, "duration") or 0, get_int(node, "t") or 0)


@dataclass(frozen=True, slots=True)
class BotCommand:
    """One command that a bot understands."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class BotProfile:
    """What a bot says of itself. "" for what it does not say."""

    jid: Jid
    name: str = ""
    attributes: str = ""
    description: str = ""
    category: str = ""
    persona_id: str = ""
    is_default: bool = False
    commands_description: str = ""
    commands: tuple[BotCommand, ...] = ()
    prompts: tuple[str, ...] = ()
    """Questions to begin with, each after an emoji and a blank."""

    @staticmethod
    def from_node(node: Node, jid: Jid) -> BotProfile:
        """Read a <bot>. Raises StanzaError when it has no profile."""
        profile = require_child(node, "profile")
        commands, prompts = profile.child("commands"), profile.child("prompts")
        return BotProfile(
            jid=jid,
            name=_said(profile, "name"),
            attributes=_said(profile, "attributes"),
            description=_said(profile, "description"),
            category=_said(profile, "category"),
            persona_id=get_text(profile, "persona_id") or "",
            is_default=profile.child("default") is not None,
            commands_description="" if commands is None else _said(commands, "description"),
            commands=tuple(
                BotCommand(_said(one, "name"), _said(one, "description"))
                for one in (() if commands is None else commands.children("command"))
            ),
            prompts=tuple(
                f"{_said(one, 'emoji')} {_said(one, 'text')}"
                for one in (() if prompts is None else prompts.children("prompt"))
            ),
        )


def text_of(node: Node) -> str:
    """The content as text; "" when there is none, or when it is no text."""
    content = node.content
    if isinstance(content, bytes):
        return content.decode("utf-8", "replace")
    return content if isinstance(content, str) else ""


def _said(node: Node, tag: str) -> str:
    child = node.child(tag)
    return "" if child is None else text_of(child)
