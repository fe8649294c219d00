"""Groups: who is in them and how they are set, in the lab's database.

A group belongs to nobody's phone: it lives in the service. It addresses its members by LID or by phone number, once and
for all; both addresses of everybody are known here, so every answer tells both.

What is allowed is decided by who asks (answers/w_g2.py, routing_groups.py); nothing is refused here.

Source: facts of the service as Baileys Socket/groups.ts and whatsmeow group.go see it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from waton.jid import Jid, JidServer
from waton.lab.database import Value
from waton.lab.world import Account, Device, World
from waton.protocol.stanza.group import (
    AddressingMode,
    Description,
    GroupMetadata,
    GroupParticipant,
    MemberAddMode,
    Role,
)

_ID_PREFIX = "120363"
"""Every group of today begins so; the rest is invented."""
_COLUMNS = (
    "id, addressing, creator, creation, subject, subject_by, subject_t, announcement, locked, ephemeral,"
    " member_add_mode, approval, invite, description, description_id, description_by, description_t,"
    " participant_version, announcement_version"
)


@dataclass(frozen=True, slots=True, repr=False)
class Group:
    """A group as it is now. Accounts are named by their ids."""

    id: Jid
    addressing: AddressingMode
    creator: int
    creation: int
    """Unix seconds."""
    subject: str
    subject_by: int
    subject_t: int
    announcement: bool
    locked: bool
    ephemeral: int
    """Seconds; 0 for messages that stay."""
    member_add_mode: str
    approval: bool
    invite: str
    """The code that lets people in."""
    description: str | None
    description_id: str | None
    description_by: int | None
    description_t: int | None
    participant_version: int
    announcement_version: int

    def address(self, account: Account) -> Jid:
        """Of an account's two addresses, the one this group uses."""
        return account.lid if self.addressing is AddressingMode.LID else account.pn

    def other(self, account: Account) -> Jid:
        """The one it does not use."""
        return account.pn if self.addressing is AddressingMode.LID else account.lid

    def device(self, device: Device) -> Jid:
        """A device's address in this group."""
        return self.address(device.account).with_device(device.number)

    def __repr__(self) -> str:
        return f"<Group {self.id}>"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a group."""

    account: Account
    role: Role

    @property
    def is_admin(self) -> bool:
        return self.role is not Role.MEMBER


class Groups:
    """All groups of the lab. Every change is a step of the database."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._database = world.database

    # --- finding ----------------------------------------------------------------------------------------------------

    def find(self, jid: Jid) -> Group | None:
        """The group of this address."""
        if not jid.is_group:
            return None
        row = self._database.row(f"SELECT {_COLUMNS} FROM chat_group WHERE id = ?", jid.user)
        return None if row is None else _group(row)

    def by_invite(self, code: str) -> Group | None:
        """The group this invite code leads to."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM chat_group WHERE invite = ?", code)
        return None if row is None else _group(row)

    def of(self, account: Account) -> list[Group]:
        """The groups somebody is in, oldest membership first."""
        rows = self._database.rows("SELECT group_id FROM group_member WHERE account = ? ORDER BY rowid", account.id)
        found = (self.find(Jid(cast(str, row[0]), JidServer.GROUP)) for row in rows)
        return [group for group in found if group is not None]

    def members(self, group: Group) -> list[Member]:
        """Who is in it, in the order of joining."""
        rows = self._database.rows(
            "SELECT account, role FROM group_member WHERE group_id = ? ORDER BY rowid", group.id.user
        )
        return [Member(self._world.account(cast(int, id)), Role(cast(str, role))) for id, role in rows]

    def member(self, group: Group, account: Account) -> Member | None:
        """Somebody's membership, None when there is none."""
        row = self._database.row(
            "SELECT role FROM group_member WHERE group_id = ? AND account = ?", group.id.user, account.id
        )
        return None if row is None else Member(account, Role(cast(str, row[0])))

    def devices(self, group: Group) -> list[Device]:
        """Every device of everybody in it."""
        return [device for member in self.members(group) for device in self._world.devices(member.account)]

    # --- changing ---------------------------------------------------------------------------------------------------

    def create(self, creator: Account, subject: str, others: Iterable[Account], addressing: AddressingMode) -> Group:
        """A new group; its creator is superadmin. Whoever is named twice is in it once."""
        t = self._world.t()
        id = _ID_PREFIX + str(int.from_bytes(self._world.entropy.take(5), "big") % 10**12).zfill(12)
        with self._world.step():
            self._database.write(
                "INSERT INTO chat_group (id, addressing, creator, creation, subject, subject_by, subject_t,"
                " member_add_mode, invite, participant_version, announcement_version)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(id, addressing.value, creator.id, t, subject, creator.id, t),
                *(MemberAddMode.ALL.value, self._fresh_code(), t, t),
            )
            rows = {creator.id: Role.SUPERADMIN, **{one.id: Role.MEMBER for one in others if one.id != creator.id}}
            self._insert(id, rows)
        return self._reload(id)

    def add(self, group: Group, accounts: Iterable[Account]) -> Group:
        """Let people in, as plain members; the group as it is then."""
        with self._world.step():
            self._insert(group.id.user, {account.id: Role.MEMBER for account in accounts})
            return self._next_version(group)

    def remove(self, group: Group, accounts: Iterable[Account]) -> Group:
        """Take people out; the group as it is then."""
        with self._world.step():
            self._database.write_many(
                "DELETE FROM group_member WHERE group_id = ? AND account = ?",
                [(group.id.user, account.id) for account in accounts],
            )
            return self._next_version(group)

    def set_role(self, group: Group, accounts: Iterable[Account], role: Role) -> Group:
        """Make people admins, or plain members; the group as it is then."""
        with self._world.step():
            self._database.write_many(
                "UPDATE group_member SET role = ? WHERE group_id = ? AND account = ?",
                [(role.value, group.id.user, account.id) for account in accounts],
            )
            return self._next_version(group)

    def set_subject(self, group: Group, subject: str, by: Account) -> Group:
        return self._set(group, subject=subject, subject_by=by.id, subject_t=self._world.t())

    def set_description(self, group: Group, text: str, id: str, by: Account) -> Group:
        """A new description; an empty text takes it away."""
        kept = text or None
        return self._set(
            group, description=kept, description_id=id, description_by=by.id, description_t=self._world.t()
        )

    def set_announcement(self, group: Group, *, on: bool) -> Group:
        return self._set(group, announcement=int(on), announcement_version=group.announcement_version + 1)

    def set_locked(self, group: Group, *, on: bool) -> Group:
        return self._set(group, locked=int(on))

    def set_ephemeral(self, group: Group, seconds: int) -> Group:
        return self._set(group, ephemeral=seconds)

    def set_member_add_mode(self, group: Group, mode: MemberAddMode) -> Group:
        return self._set(group, member_add_mode=mode.value)

    def set_approval(self, group: Group, *, on: bool) -> Group:
        return self._set(group, approval=int(on))

    def renew_invite(self, group: Group) -> Group:
        """A new code; the old one leads nowhere."""
        return self._set(group, invite=self._fresh_code())

    def _set(self, group: Group, **columns: Value) -> Group:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._database.write(f"UPDATE chat_group SET {names} WHERE id = ?", *columns.values(), group.id.user)
        return self._reload(group.id.user)

    def _insert(self, id: str, roles: dict[int, Role]) -> None:
        self._database.write_many(
            "INSERT INTO group_member (group_id, account, role) VALUES (?, ?, ?)",
            [(id, account, role.value) for account, role in roles.items()],
        )
        self._database.write_many(
            "DELETE FROM group_request WHERE group_id = ? AND account = ?", [(id, account) for account in roles]
        )

    def _next_version(self, group: Group) -> Group:
        return self._set(group, participant_version=group.participant_version + 1)

    def _reload(self, id: str) -> Group:
        row = self._database.row(f"SELECT {_COLUMNS} FROM chat_group WHERE id = ?", id)
        return _group(cast("tuple[Value, ...]", row))

    def _fresh_code(self) -> str:
        return self._world.entropy.take(11).hex()

    # --- waiting to be let in -----------------------------------------------------------------------------------------

    def ask_in(self, group: Group, account: Account) -> None:
        """Somebody with the invite wants in, and an admin has to say so."""
        self._database.write(
            "INSERT OR IGNORE INTO group_request VALUES (?, ?, ?)", group.id.user, account.id, self._world.t()
        )

    def requests(self, group: Group) -> list[tuple[Account, int]]:
        """Who waits to be let in, and since when (Unix seconds)."""
        rows = self._database.rows(
            "SELECT account, t FROM group_request WHERE group_id = ? ORDER BY t, account", group.id.user
        )
        return [(self._world.account(cast(int, id)), cast(int, t)) for id, t in rows]

    def turn_away(self, group: Group, account: Account) -> None:
        """Forget that somebody wanted in."""
        self._database.write("DELETE FROM group_request WHERE group_id = ? AND account = ?", group.id.user, account.id)

    # --- what is told of it -------------------------------------------------------------------------------------------

    def participant(self, group: Group, account: Account, role: str = Role.MEMBER) -> GroupParticipant:
        """Somebody, as this group names people."""
        is_lid = group.addressing is AddressingMode.LID
        return GroupParticipant(
            jid=group.address(account),
            role=role,
            phone_number=account.pn if is_lid else None,
            lid=None if is_lid else account.lid,
        )

    def metadata(self, group: Group, *, people: bool = True, description: bool = True) -> GroupMetadata:
        """Everything about it."""
        members = self.members(group)
        is_lid = group.addressing is AddressingMode.LID
        owner, named_by = self._world.account(group.creator), self._world.account(group.subject_by)
        return GroupMetadata(
            id=group.id,
            subject=group.subject,
            addressing_mode=group.addressing,
            participants=tuple(self.participant(group, one.account, one.role) for one in members) if people else (),
            owner=group.address(owner),
            owner_pn=owner.pn if is_lid else None,
            creation=group.creation,
            subject_owner=group.address(named_by),
            subject_owner_pn=named_by.pn if is_lid else None,
            subject_t=group.subject_t,
            description=self._description(group) if description else None,
            announcement=group.announcement,
            locked=group.locked,
            ephemeral=group.ephemeral,
            member_add_mode=group.member_add_mode,
            membership_approval=group.approval,
            size=len(members),
            participant_version=str(group.participant_version),
            announcement_version=str(group.announcement_version),
        )

    def _description(self, group: Group) -> Description | None:
        if group.description is None or group.description_by is None:
            return None
        by = self._world.account(group.description_by)
        return Description(
            id=group.description_id or "",
            text=group.description,
            by=group.address(by),
            by_pn=by.pn if group.addressing is AddressingMode.LID else None,
            t=group.description_t,
        )


def _group(row: tuple[Value, ...]) -> Group:
    id, addressing, *columns = row
    made = cast(
        "tuple[int, int, str, int, int, int, int, int, str, int, str, str | None, str | None]", tuple(columns[:13])
    )
    creator, creation, subject, subject_by, subject_t, announcement, locked, ephemeral, add_mode, approval, *rest = made
    invite, description, description_id = cast("tuple[str, str | None, str | None]", tuple(rest))
    by, t, participants, announcements = cast("tuple[int | None, int | None, int, int]", tuple(columns[13:]))
    return Group(
        id=Jid(cast(str, id), JidServer.GROUP),
        addressing=AddressingMode(cast(str, addressing)),
        creator=creator,
        creation=creation,
        subject=subject,
        subject_by=subject_by,
        subject_t=subject_t,
        announcement=bool(announcement),
        locked=bool(locked),
        ephemeral=ephemeral,
        member_add_mode=add_mode,
        approval=bool(approval),
        invite=invite,
        description=description,
        description_id=description_id,
        description_by=by,
        description_t=t,
        participant_version=participants,
        announcement_version=announcements,
    )
