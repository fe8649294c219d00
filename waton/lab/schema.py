"""The shape of `lab.db`, as numbered steps; each runs once.

A file's `user_version` says how many steps it has had. Steps are only ever appended: a file that has had one will not
have it again, so one that was released is never edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

STEPS: Final[Sequence[str]] = (
    """
CREATE TABLE setting (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE account (
    id INTEGER PRIMARY KEY, pn TEXT NOT NULL UNIQUE, lid TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    raw_id INTEGER NOT NULL, identity BLOB NOT NULL, next_device INTEGER NOT NULL DEFAULT 1,
    key_list BLOB NOT NULL DEFAULT x'', key_list_t INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE device (
    account INTEGER NOT NULL REFERENCES account, number INTEGER NOT NULL, identity BLOB NOT NULL,
    registration_id INTEGER NOT NULL, noise BLOB NOT NULL, signed_identity BLOB NOT NULL, key_index INTEGER NOT NULL,
    skey_id INTEGER, skey BLOB, skey_signature BLOB, welcomed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, number)
) WITHOUT ROWID;
CREATE TABLE prekey (
    account INTEGER NOT NULL, number INTEGER NOT NULL, id INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (account, number, id)
) WITHOUT ROWID;
CREATE TABLE queue (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, number INTEGER NOT NULL,
    tag TEXT NOT NULL, id TEXT NOT NULL, peer TEXT NOT NULL, kind TEXT NOT NULL, stanza BLOB NOT NULL
);
CREATE INDEX queue_device ON queue (account, number, seq);
CREATE TABLE profile (
    account INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (account, name)
) WITHOUT ROWID;
CREATE TABLE watcher (account INTEGER NOT NULL, by INTEGER NOT NULL, PRIMARY KEY (account, by)) WITHOUT ROWID;
CREATE TABLE phone_record (
    account INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (account, kind, key)
) WITHOUT ROWID;
CREATE TABLE phone_message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, id TEXT NOT NULL, chat TEXT NOT NULL,
    sender TEXT NOT NULL, from_me INTEGER NOT NULL, t INTEGER NOT NULL, message BLOB NOT NULL
);
CREATE INDEX phone_message_id ON phone_message (account, id);
""",
    # Groups. Accounts are people of this lab; a member's rowid is the order of joining.
    """
CREATE TABLE chat_group (
    id TEXT PRIMARY KEY, addressing TEXT NOT NULL, creator INTEGER NOT NULL, creation INTEGER NOT NULL,
    subject TEXT NOT NULL, subject_by INTEGER NOT NULL, subject_t INTEGER NOT NULL,
    announcement INTEGER NOT NULL DEFAULT 0, locked INTEGER NOT NULL DEFAULT 0, ephemeral INTEGER NOT NULL DEFAULT 0,
    member_add_mode TEXT NOT NULL, approval INTEGER NOT NULL DEFAULT 0, invite TEXT NOT NULL UNIQUE,
    description TEXT, description_id TEXT, description_by INTEGER, description_t INTEGER,
    participant_version INTEGER NOT NULL, announcement_version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE group_member (
    group_id TEXT NOT NULL, account INTEGER NOT NULL, role TEXT NOT NULL, UNIQUE (group_id, account)
);
CREATE INDEX group_member_account ON group_member (account);
CREATE TABLE group_request (
    group_id TEXT NOT NULL, account INTEGER NOT NULL, t INTEGER NOT NULL, PRIMARY KEY (group_id, account)
) WITHOUT ROWID;
""",
    # Ids of messages taken from each device; see waton.lab.taken.
    """
CREATE TABLE taken (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL,
    target TEXT NOT NULL, t INTEGER NOT NULL, UNIQUE (account, number, id, target)
);
""",
    # What the stanza was, so that it is known again when it comes once more.
    """
ALTER TABLE taken ADD COLUMN stanza BLOB;
""",
)
