"""What a person does with groups, on a phone: the questions and changes of xmlns=w:g2, asked like any client.

Mixed into Phone, and into its handle for other threads. A group is named by its address, people by LID or phone number.

Source: waton.protocol.stanza.group_query.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from waton.jid import Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza import group_query as ask
from waton.protocol.stanza.group import (
    GROUPS,
    XMLNS,
    Action,
    AddressingMode,
    GroupMetadata,
    GroupParticipant,
    MemberAddMode,
)
from waton.protocol.stanza.iq import IqType

Address = Jid | str
"""A JID, or its text."""


class GroupCalls(ABC):
    """The calls of a phone that concern groups. All raise LabError when it is offline, IqError when it may not."""

    @abstractmethod
    async def ask(self, xmlns: str, type: IqType, content: list[Node], to: Jid) -> Node:
        """Ask the service something; its answer. Raises LabError, IqError."""

    @abstractmethod
    async def new_id(self) -> str:
        """A message id of this phone's that was not used yet."""

    # --- being in groups ----------------------------------------------------------------------------------------------

    async def create_group(
        self, subject: str, members: Iterable[Address], addressing: AddressingMode | str = AddressingMode.LID
    ) -> Jid:
        """Make a group; this account is its superadmin.

        Args:
            subject: its name, at most 100 characters.
            members: everybody else; who does not exist is left out.
            addressing: how the group will address people, "lid" or "pn".
        Returns:
            the group's address.
        """
        content = ask.create(subject, [GroupParticipant(_jid(one)) for one in members], key=await self.new_id())
        (created,) = content
        # Real clients cannot choose; this is between the lab's phones and the lab.
        chosen = Node(created.tag, {**created.attrs, "addressing_mode": AddressingMode(addressing)}, created.content)
        return ask.parse_group(await self._set(GROUPS, [chosen])).id

    async def leave_group(self, group: Address) -> None:
        """Go out of a group."""
        await self._set(GROUPS, ask.leave(_jid(group)))

    async def group_metadata(self, group: Address) -> GroupMetadata:
        """Everything about a group this account is in."""
        return ask.parse_group(await self._get(_jid(group), ask.metadata_query()))

    async def groups(self) -> list[GroupMetadata]:
        """Every group this account is in."""
        return ask.parse_groups(await self._get(GROUPS, ask.participating_query()))

    # --- people -------------------------------------------------------------------------------------------------------

    async def add_to_group(self, group: Address, *people: Address) -> dict[Jid, int]:
        """Add people; a code for each (200: done), by the group's address of them."""
        return await self._change(group, Action.ADD, people)

    async def remove_from_group(self, group: Address, *people: Address) -> dict[Jid, int]:
        """Take people out; a code for each (200: done)."""
        return await self._change(group, Action.REMOVE, people)

    async def promote_in_group(self, group: Address, *people: Address) -> dict[Jid, int]:
        """Make people admins; a code for each (200: done)."""
        return await self._change(group, Action.PROMOTE, people)

    async def demote_in_group(self, group: Address, *people: Address) -> dict[Jid, int]:
        """Make admins plain members; a code for each (200: done)."""
        return await self._change(group, Action.DEMOTE, people)

    async def _change(self, group: Address, action: Action, people: Iterable[Address]) -> dict[Jid, int]:
        content = ask.change(action, [GroupParticipant(_jid(one)) for one in people])
        answer = await self._set(_jid(group), content)
        return {one.jid: one.code for one in ask.parse_changed(answer, action)}

    # --- what it says and allows --------------------------------------------------------------------------------------

    async def set_group_subject(self, group: Address, subject: str) -> None:
        """Name a group anew."""
        await self._set(_jid(group), ask.set_subject(subject))

    async def set_group_description(self, group: Address, text: str) -> None:
        """Describe a group; an empty text takes the description away."""
        present = (await self.group_metadata(group)).description
        previous = None if present is None else present.id
        await self._set(_jid(group), ask.set_description(text, id=await self.new_id(), previous=previous))

    async def set_group_announcement(self, group: Address, *, on: bool) -> None:
        """Let only admins write, or everybody."""
        await self._set(_jid(group), ask.set_announcement(on=on))

    async def set_group_locked(self, group: Address, *, on: bool) -> None:
        """Let only admins change what the group says of itself, or everybody."""
        await self._set(_jid(group), ask.set_locked(on=on))

    async def set_group_ephemeral(self, group: Address, seconds: int) -> None:
        """Have messages disappear after so many seconds; 0: never."""
        await self._set(_jid(group), ask.set_ephemeral(seconds))

    async def set_group_member_add_mode(self, group: Address, mode: MemberAddMode | str) -> None:
        """Say who may add people: "admin_add" or "all_member_add"."""
        await self._set(_jid(group), ask.set_member_add_mode(MemberAddMode(mode)))

    async def set_group_approval(self, group: Address, *, on: bool) -> None:
        """Have who comes by an invite wait for an admin's word."""
        await self._set(_jid(group), ask.set_membership_approval(on=on))

    # --- invites ------------------------------------------------------------------------------------------------------

    async def group_invite(self, group: Address, *, renew: bool = False) -> str:
        """A group's invite code; with renew, a new one."""
        content = ask.invite()
        answer = await (self._set(_jid(group), content) if renew else self._get(_jid(group), content))
        return ask.parse_invite(answer)

    async def join_group(self, code: str) -> tuple[Jid, bool]:
        """Follow an invite code: the group, and False when an admin has to let this account in."""
        return ask.parse_joined(await self._set(GROUPS, ask.invite(code)))

    async def _get(self, to: Jid, content: list[Node]) -> Node:
        return await self.ask(XMLNS, IqType.GET, content, to)

    async def _set(self, to: Jid, content: list[Node]) -> Node:
        return await self.ask(XMLNS, IqType.SET, content, to)


def _jid(address: Address) -> Jid:
    parsed = Jid.parse(address) if isinstance(address, str) else address
    return parsed.bare
