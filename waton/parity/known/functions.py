"""Known differences in what functions return."""

from waton.parity.known import Known, better, left_out, open_

_CODEC = "tests/peers/test_codec_baileys.py::"
_HERE = "tests/peers/parity/test_functions.py::"
_GROUPS = "tests/peers/test_sender_key_libsignal.py::"
_DIFFERENCES = f"{_CODEC}test_where_we_differ_baileys_still_does_what_we_say"
_PADDING = f"{_HERE}test_baileys_takes_any_last_byte_for_padding"
_CERTIFICATES = f"{_HERE}test_baileys_trusts_every_certificate_chain"


def _of(pair: str, path: str = "*") -> str:
    """The pattern for a pair's fields."""
    return f"function/function/{pair}#{path}"


_ADDRESSES = (
    better(
        _of("encodeBinaryNode: a name of JavaScript's objects"),
        "Baileys writes an empty text for such words",
        _DIFFERENCES,
    ),
    better(
        _of("encodeBinaryNode: an at sign in text"),
        "Baileys takes any text with an @ for an address",
        f"{_CODEC}test_text_with_an_at_sign_stays_text",
    ),
    better(_of("encodeBinaryNode: an underscore in a user part"), "Baileys drops what follows it", _DIFFERENCES),
    better(
        _of("encodeBinaryNode: an agent for a server"), "Baileys drops the agent, and with it the server", _DIFFERENCES
    ),
    better(_of("encodeBinaryNode: a second colon in a user part"), "Baileys drops what follows it", _DIFFERENCES),
    better(_of("encodeBinaryNode: an empty device"), "Baileys drops the colon", _DIFFERENCES),
    better(
        _of("encodeBinaryNode: a device where none can be"),
        "Baileys writes another person's phone number",
        _DIFFERENCES,
    ),
    better(
        _of("encodeBinaryNode: a device above 255"),
        "Baileys writes another device's number",
        f"{_CODEC}test_a_device_that_wraps_in_baileys_is_refused",
    ),
    left_out(
        _of("encodeBinaryNode: names of attributes that are numbers"),
        "JavaScript sorts such names; no stanza has any, so their order says nothing",
    ),
    better(
        _of("decodeBinaryNode: bytes left over"),
        "Baileys does not notice that a frame holds more than its node",
        f"{_HERE}test_baileys_overlooks_what_follows_a_node",
    ),
    better(
        _of("assertNodeErrorFree: type error and nothing in it"),
        "Baileys takes an answer of type error for a good one when it has no <error>",
        f"{_HERE}test_an_error_without_a_child_passes_in_baileys",
    ),
    better(_of("jidDecode: an agent that stands for none"), "Baileys drops the agent when it writes", _DIFFERENCES),
    better(
        _of("jidDecode: a device above 65535"),
        "no wire form can carry it; Baileys writes another device's number",
        f"{_HERE}test_baileys_reads_devices_that_no_address_can_have",
    ),
    open_(_of("jidNormalizedUser: the old server"), "Jid.bare leaves c.us as it is; s.whatsapp.net is the same person"),
    better(
        _of("isPnUser: the old server"),
        "c.us is a phone number's address too; Baileys knows no sender of it",
        f"{_HERE}test_baileys_refuses_senders_of_the_old_server_and_bots",
    ),
    better(
        _of("areJidsSameUser: a number and a LID of the same digits"),
        "two people; Baileys compares the digits alone",
        f"{_HERE}test_baileys_takes_a_number_and_a_lid_of_the_same_digits_for_one_person",
    ),
    left_out(
        _of("makeLibSignalRepository.jidToSignalProtocolAddress: device 99 of another"),
        "device 99 is kept for hosted accounts, and nobody else has it; a name that is never used says nothing",
    ),
    better(
        _of("extractAddressingContext: of a peer's recipient", "author"),
        "it is the address of whom our other device wrote to; Baileys takes it for our own, and learns it as ours",
        f"{_HERE}test_baileys_takes_whom_we_wrote_to_for_ourselves",
    ),
    better(
        _of("decodeMessageNode: the other address of who wrote a status"),
        "a list has one address; Baileys gives it the author's other one",
        f"{_HERE}test_baileys_gives_a_list_the_address_of_who_wrote_in_it",
    ),
    better(
        _of("LIDMappingStore.storeLIDPNMappings: two numbers of one LID"),
        "a mapping is one to one; in Baileys the older number still leads to the LID",
        f"{_HERE}test_baileys_keeps_two_numbers_for_one_lid",
    ),
    better(
        _of("LIDMappingStore.storeLIDPNMappings: the wrong way round"),
        "a pair the wrong way round teaches nothing; Baileys keeps the LID's digits as a phone number",
        f"{_HERE}test_baileys_takes_a_lid_for_a_phone_number",
    ),
)

_CONNECTION = (
    better(_of("makeNoiseHandler: an intermediate signed by another root"), "Baileys trusts it", _CERTIFICATES),
    better(_of("makeNoiseHandler: a leaf signed by another key"), "Baileys trusts it", _CERTIFICATES),
    better(_of("makeNoiseHandler: a leaf of another issuer"), "Baileys trusts it", _CERTIFICATES),
    better(_of("makeNoiseHandler: a leaf that names another key"), "Baileys trusts it", _CERTIFICATES),
    better(_of("makeNoiseHandler: a chain that has run out"), "Baileys trusts it", _CERTIFICATES),
    better(
        _of("Curve.verify: a signature by nobody"),
        "Baileys accepts any 64 bytes as a signature",
        f"{_HERE}test_baileys_accepts_any_signature",
    ),
    better(
        _of("getErrorCodeFromStreamError: a removed device without a code"),
        "Baileys calls a removed device replaced, so that its application connects again",
        f"{_HERE}test_baileys_calls_a_removed_device_replaced",
    ),
)

_PAIRING = (
    open_(_of("generateRegistrationNode: an Android phone"), "logging in as an Android companion"),
    open_(_of("generateLoginNode: an Android phone"), "logging in as an Android companion"),
    open_(_of("configureSuccessfulPairing: a business account", "me.name"), "the business name is read and not kept"),
    better(
        _of("configureSuccessfulPairing: a hosted account", "reply*the device signature"),
        "Baileys signs for a hosted device under the prefix of others, and has the right one beside it, unused",
        f"{_HERE}test_baileys_signs_a_hosted_device_as_any_other",
    ),
    better(
        _of("configureSuccessfulPairing: a wrong account signature"),
        "Baileys pairs with whoever knows the QR's secret",
        f"{_HERE}test_baileys_pairs_with_a_wrong_account_signature",
    ),
    better(
        _of("generateRegistrationId: the largest"),
        "Baileys draws 14 bits and uses 8 of them",
        f"{_HERE}test_registration_ids_of_baileys_have_eight_bits",
    ),
)

_SIGNAL = (
    better(
        _of("parseAndInjectE2ESessions: a signed prekey signed by nobody"),
        "Baileys opens a session with keys nobody has signed",
        f"{_HERE}test_baileys_opens_a_session_with_an_unsigned_prekey",
    ),
    better(
        _of("makeLibSignalRepository.decryptMessage: a contact with another identity key", "[[]3]"),
        "what was on its way in the old session is read; in Baileys it is lost with the session",
        f"{_HERE}test_a_new_identity_costs_baileys_what_was_on_its_way",
    ),
    better(
        _of("handleIdentityChange: after one that did nothing"),
        "Baileys' debounce begins with the notification, so that the change that matters is passed over",
        "tests/peers/test_identity_change_baileys.py::"
        "test_what_did_nothing_silences_the_next_change_there_and_not_here",
    ),
    better(
        _of("getNextPreKeysNode: an upload that nobody answered"),
        "the same keys go out again; Baileys makes others, and keeps those that nobody will ever use",
        f"{_HERE}test_an_upload_that_nobody_answered_costs_baileys_its_keys",
    ),
    better(
        _of("makeLibSignalRepository.decryptMessage: a forged message with another identity key"),
        "in Baileys a forged message ends the session it pretends to belong to",
        f"{_HERE}test_a_forged_message_ends_a_session_of_baileys",
    ),
)

_SENDER_KEYS = (
    better(
        _of("makeLibSignalRepository.encryptGroupMessage: the messages after the first"),
        "Baileys steps its chain twice for each message, and keeps a key that nobody will use",
        f"{_GROUPS}test_baileys_skips_every_other_iteration_and_we_none",
    ),
    better(
        _of("makeLibSignalRepository.decryptGroupMessage: a message that comes late"),
        "Baileys keeps the key for it in a form that it cannot read back, and loses the message",
        f"{_GROUPS}test_a_late_message_is_lost_by_baileys_own_storage",
    ),
    better(
        _of("makeLibSignalRepository.decryptGroupMessage: a key told again and again"),
        "Baileys adds the key each time, and then reads a message a second time",
        f"{_GROUPS}test_told_again_at_its_place_baileys_reads_a_message_twice_and_we_do_not",
    ),
    better(
        _of("makeLibSignalRepository.decryptGroupMessage: after more than 2,000 lost messages"),
        "Baileys follows a chain for 2,000 messages, as the official client for 25,000",
        f"{_GROUPS}test_how_far_each_follows_a_jump",
    ),
)

_USYNC = (
    better(
        _of("USyncUsernameProtocol: a name as bytes"),
        "names come as bytes; Baileys takes text alone, and finds none",
        f"{_HERE}test_baileys_finds_no_username",
    ),
    better(
        _of("USyncBotProfileProtocol: in an answer"),
        "Baileys looks for the profile in the wrong place, and refuses the whole answer",
        f"{_HERE}test_baileys_reads_no_bot_s_profile",
    ),
    better(
        _of("USyncQuery.parseUSyncQueryResult: an error of one user"),
        "in Baileys the others' answers are lost with it",
        f"{_HERE}test_one_user_s_error_costs_baileys_the_whole_answer",
    ),
    better(
        _of("extractDeviceJids: two hosted devices"),
        "Baileys addresses whatever follows a hosted device as hosted, and the next hosted one by phone number",
        f"{_HERE}test_baileys_takes_what_follows_a_hosted_device_for_hosted",
    ),
)

_RETRIES = (
    better(
        _of("MessageRetryManager.hasExceededMaxRetries: delivered again and again"),
        "Baileys forgets the count when it is used up, and begins to ask again",
        f"{_HERE}test_baileys_asks_again_and_again_in_rounds",
    ),
)

_GROUPS_TOLD = (
    better(
        _of("extractGroupMetadata: nobody has to be let in"),
        "Baileys does not look whether the setting is on or off",
        f"{_HERE}test_baileys_does_not_look_whether_people_have_to_be_let_in",
    ),
    open_(_of("extractGroupMetadata: names"), "names of people and of their countries in a group are not kept"),
    better(
        _of("generateParticipantHashV2: its length"),
        "six bytes are eight characters; Baileys cuts the text to six, and never sends it",
        f"{_HERE}test_the_hash_of_baileys_is_cut_short",
    ),
)

_MEANING = "tests/peers/test_process_message_baileys.py::"

_MESSAGES = (
    better(
        _of("processMessage: somebody else's message edited or taken back"),
        "Baileys lets anybody change anybody's message",
        f"{_MEANING}test_baileys_lets_anybody_change_anybodys_message",
    ),
    better(
        _of("processMessage: a member's label taken away"),
        "Baileys tells only that one was given",
        f"{_MEANING}test_baileys_does_not_tell_that_a_label_was_taken_away",
    ),
    better(
        _of("processMessage: keys of the app state from another companion"),
        "they come from our phone; Baileys takes them from any of our devices",
        f"{_MEANING}test_baileys_takes_keys_from_any_of_our_devices",
    ),
    better(
        _of("processMessage: a vote"),
        "Baileys is silent about votes",
        f"{_MEANING}test_baileys_is_silent_about_votes_and_sealed_reactions",
    ),
    better(_of("unpadRandomMax16: more than 16 bytes"), "Baileys takes any last byte for a length", _PADDING),
    better(_of("unpadRandomMax16: bytes that are not equal"), "Baileys takes any last byte for a length", _PADDING),
    better(_of("unpadRandomMax16: no bytes"), "Baileys takes any last byte for a length", _PADDING),
    better(
        _of('getContentType: kinds without "Message" in their name'),
        "Baileys finds no content in them",
        f"{_HERE}test_baileys_finds_no_content_in_a_call",
    ),
    better(
        _of("getContentType: kinds that Baileys' schema lacks"),
        "Baileys' schema does not have them, so it finds no content",
        f"{_HERE}test_baileys_does_not_know_a_spoiler",
    ),
    better(
        _of("decodeMessageNode: the old server"),
        "Baileys refuses the stanza as of an unknown kind",
        f"{_HERE}test_baileys_refuses_senders_of_the_old_server_and_bots",
    ),
    better(
        _of("decodeMessageNode: a bot"),
        "Baileys refuses the stanza as of an unknown kind",
        f"{_HERE}test_baileys_refuses_senders_of_the_old_server_and_bots",
    ),
    better(
        _of("getStatusFromReceiptType: delivered to an inactive device"),
        "a message that arrived where nobody looks has arrived; Baileys does not tell",
        f"{_HERE}test_baileys_does_not_tell_of_an_inactive_delivery",
    ),
    better(
        _of("getStatusFromReceiptType: played on our own other device"),
        "Baileys knows what our other devices have read, and not what they have played",
        f"{_HERE}test_baileys_does_not_tell_of_an_inactive_delivery",
    ),
)

KNOWN: tuple[Known, ...] = (
    *_ADDRESSES,
    *_CONNECTION,
    *_PAIRING,
    *_SIGNAL,
    *_SENDER_KEYS,
    *_USYNC,
    *_RETRIES,
    *_GROUPS_TOLD,
    *_MESSAGES,
)
