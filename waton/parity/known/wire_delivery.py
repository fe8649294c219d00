"""Known differences on the wire: groups, messages that are asked for again, identities that change."""

from collections.abc import Iterator

from waton.parity.known import Known, better, left_out

_GROUPS = "tests/peers/parity/test_better_groups.py::"
_RETRIES = "tests/peers/parity/test_better_retries.py::"


def _of(where: str, fields: str, note: str, test: str) -> Iterator[Known]:
    """One reason for several places of a row; `fields` are parted by blanks."""
    for one in fields.split():
        yield better(f"wire/{where}#{one}", note, test)


_SENDING: tuple[Known, ...] = (
    better(
        "wire/stanza/*group*/iq get w:g2 query*",
        "Baileys asks for the whole group before each message",
        _GROUPS + "test_baileys_asks_for_the_group_before_each_message",
    ),
    better(
        "wire/stanza/*group*/message text *#message@phash",
        "Baileys does not say which devices it thought of, so the server cannot tell it of others",
        _GROUPS + "test_baileys_does_not_say_whom_it_thought_of",
    ),
    *_of(
        "stanza/send-text-to-lid-group/first text/*",
        "iq/key/user?200000000001001:2@lid?@jid message/participants/to?200000000001001:2@lid?*",
        "in a group that addresses people by LID, Baileys opens a session with itself",
        _GROUPS + "test_baileys_tells_its_key_to_itself",
    ),
    *_of(
        "stanza/send-text-to-*-group/*/message text *",
        "*@iteration *axolotlSenderKeyDistributionMessage",
        "each message costs Baileys two places of its chain, and every reader a key that is kept for nothing",
        _GROUPS + "test_baileys_leaves_out_every_other_place_of_its_chain",
    ),
    *_of(
        "stanza/group-member-leaves/next text/message text *",
        "message/enc/by@key message/enc/by@iteration message/participants/* message/device-identity/*",
        "who has left reads on: Baileys never makes its sender key anew",
        _GROUPS + "test_baileys_goes_on_with_the_key_of_one_who_has_left",
    ),
)

_TOLD: tuple[Known, ...] = (
    better(
        "wire/event/*group*/messages.update <id of *> 2",
        "Baileys does not tell that the server has taken a message to a group",
        _GROUPS + "test_baileys_does_not_tell_that_the_server_has_a_message",
    ),
    better(
        "wire/event/*group*/message-receipt.update * by *1001@* read",
        "Baileys tells of our own devices' receipts as if we had read what we wrote",
        _GROUPS + "test_baileys_takes_a_delivery_to_our_devices_for_reading",
    ),
    better(
        "wire/event/*/messages.upsert *#messages.upsert/message/senderKeyDistributionMessage/*",
        "Baileys hands the author's sender key to whoever listens to messages",
        _GROUPS + "test_baileys_hands_out_sender_keys",
    ),
    better(
        "wire/event/*#group*/authorPn",
        "Baileys loses the number of who changed a group on the way to its event",
        _GROUPS + "test_baileys_loses_the_number_of_who_changed_a_group",
    ),
    left_out(
        "wire/event/*/messages.upsert <id of the lab's notification w:gp2*",
        "Baileys tells of each change of a group a second time, as a message without content; the change is compared",
    ),
)

_ASKING: tuple[Known, ...] = (
    better(
        "wire/stanza/*/receipt retry *#receipt/retry@error",
        "Baileys never says why it could not read a message",
        _RETRIES + "test_baileys_never_says_why_it_asks",
    ),
    *_of(
        "stanza/*again/[at]*/receipt retry *",
        "receipt/keys/*",
        "a first request without keys costs one of the one-time prekeys that the server holds for us",
        _RETRIES + "test_a_request_of_baileys_costs_a_prekey_of_the_server_s",
    ),
    *_of(
        "stanza/ask-for-a-message-again/nonsense 2/receipt retry *",
        "receipt/keys/key/id",
        "the first request's key is not given twice",
        _RETRIES + "test_a_request_of_baileys_costs_a_prekey_of_the_server_s",
    ),
    better(
        "wire/stanza/*/ack message *#ack@error",
        "Baileys refuses the message it has asked for; the service delivers what was refused again, and first",
        _RETRIES + "test_baileys_refuses_what_it_asks_for",
    ),
    better(
        "wire/event/ask-for-a-message-again/nonsense 2/messages.upsert *",
        "Baileys tells of the same unreadable message at each attempt",
        _RETRIES + "test_baileys_tells_of_an_unreadable_message_at_each_attempt",
    ),
    left_out(
        "wire/event/*/messages.upsert *#messages.upsert/messageStubParameters",
        "waton gives a reason by its name, Baileys the text of what its decryption has thrown",
    ),
)

_THE_PHONE: tuple[Known, ...] = (
    *_of(
        "stanza/message-from-the-phone-again/on the phone only/message peer *",
        "message/enc/message/*",
        "Baileys wraps what it asks its phone as if it were the copy of a message to somebody",
        _RETRIES + "test_baileys_asks_its_phone_in_a_copy_of_a_message",
    ),
    better(
        "wire/event/message-from-the-phone-again/*#messages.upsert/requestId",
        "Baileys loses on the way to its event which request the phone has answered",
        _RETRIES + "test_baileys_loses_which_request_was_answered",
    ),
    left_out(
        "wire/event/message-from-the-phone-again/*/messages.update <id of 'read it there'>",
        "Baileys writes its request's id into the placeholder; waton's comes with the message",
    ),
    left_out(
        "wire/event/message-from-the-phone-again/*/messages.up* <id of the phone's PEER_DATA*",
        "Baileys shows what our own devices tell each other as a message",
    ),
    better(
        "wire/event/message-from-the-phone-again/view_once_unavailable_fanout/messages.upsert *",
        "Baileys tells nobody of a message that is withheld from companions",
        _RETRIES + "test_baileys_tells_nobody_of_a_message_that_is_withheld",
    ),
    better(
        "wire/*/message-from-the-phone-again/view_once/*",
        "Baileys tells the author that an empty message was delivered, and never asks for it",
        _RETRIES + "test_baileys_takes_an_empty_message_for_delivered",
    ),
)

_TO_ALL = "a phone that asks makes Baileys repeat the message to everybody, who read it a second time"
_TO_ALL_TEST = _RETRIES + "test_baileys_repeats_a_message_to_everybody_when_a_phone_asks"
_TWICE_TEST = _RETRIES + "test_baileys_encrypts_twice_for_a_companion_that_asks"
_BUNDLE_TEST = _RETRIES + "test_baileys_fetches_a_bundle_before_its_first_answer"
_FEW_TEST = _RETRIES + "test_baileys_gives_up_after_a_few_requests"
_ANSWERING: tuple[Known, ...] = (
    better("wire/stanza/*again/a phone asks/message text * 'read me' #2*", _TO_ALL, _TO_ALL_TEST),
    better("wire/stanza/*again/a phone asks/ack receipt * #2", _TO_ALL, _TO_ALL_TEST),
    better("wire/stanza/group-message-again/a phone asks/iq get usync usync", _TO_ALL, _TO_ALL_TEST),
    *_of(
        "stanza/group-message-again/a phone asks/message text to * 'read me'",
        "message/enc/by@iteration",
        "each message costs Baileys two places of its chain, and every reader a key that is kept for nothing",
        _GROUPS + "test_baileys_leaves_out_every_other_place_of_its_chain",
    ),
    *_of(
        "stanza/group-message-again/a companion asks/message text to GROUP*",
        "message/enc/by@iteration message/participants/to?200000000001003@lid?* message/device-identity/*",
        "the one phone that has asked is told the key again; Baileys has told it to everybody",
        _TO_ALL_TEST,
    ),
    *_of(
        "stanza/*again/*/message text again 1 *",
        "message/participants/*",
        "Baileys encrypts twice for a companion that asks, in one stanza",
        _TWICE_TEST,
    ),
    *_of(
        "stanza/group-message-again/a companion asks/message text again 1 *",
        "*@iteration *axolotlSenderKeyDistributionMessage",
        "each message costs Baileys two places of its chain, and every reader a key that is kept for nothing",
        _GROUPS + "test_baileys_leaves_out_every_other_place_of_its_chain",
    ),
    *_of(
        "stanza/group-message-again/a companion asks/message text again 1 *",
        "message@addressing_mode",
        "what Baileys sends again does not say any more how the group addresses people",
        _TWICE_TEST,
    ),
    better(
        "wire/stanza/send-a-message-again/time and again/message text again [2-9] *",
        "Baileys gives up on a device after a few requests, counting each one twice",
        _FEW_TEST,
    ),
    better(
        "wire/stanza/send-a-message-again/time and again/ack receipt *",
        "a device that Baileys has given up on does not get the message",
        _FEW_TEST,
    ),
    better(
        "wire/event/send-a-message-again/time and again/messages.update *",
        "a device that Baileys has given up on does not get the message",
        _FEW_TEST,
    ),
    better(
        "wire/order/send-a-message-again/time and again#place *",
        "Baileys fetches a bundle before its first answer, however well the session does",
        _BUNDLE_TEST,
    ),
)

_IDENTITIES: tuple[Known, ...] = (
    better(
        "wire/event/identity-change-[ni]*/identity.changed *",
        "Baileys tells nobody that somebody writes with another identity key",
        _RETRIES + "test_baileys_tells_nobody_of_another_identity",
    ),
    better(
        "wire/stanza/identity-change-notified/to the new phone/iq get usync usync",
        "Baileys goes on with the device list of the phone that is gone",
        _RETRIES + "test_baileys_goes_on_with_the_old_device_list",
    ),
)

KNOWN: tuple[Known, ...] = (*_SENDING, *_TOLD, *_ASKING, *_THE_PHONE, *_ANSWERING, *_IDENTITIES)
