"""RetryManager: transcripts of what is asked and answered, and what holds whatever comes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.client.retry_counters import AnswerCounters, AskCounters, SessionHistory, answer_key, ask_key, session_key
from waton.client.retry_manager import (
    GUARDED_IDS,
    PHONE_AGE_SECONDS,
    RENEW_SECONDS,
    SETTLE_SECONDS,
    STATUS_SECONDS,
    AnswerDecision,
    Ask,
    AskDecision,
    FailedMessage,
    Leave,
    PeerSession,
    Refuse,
    Requester,
    Resend,
    RetryManager,
    TryAlternate,
)
from waton.client.retry_rules import FAILURES, REASONS, Failure
from waton.client.sent_messages import SentMessage
from waton.errors import DecryptReason, RetryReason, StorageError
from waton.jid import STATUS_BROADCAST, Jid
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.stanza.retry import RetryRequest

NOW = 1_755_000_000
ADA = Jid.parse("4915000000001:3@s.whatsapp.net")
BEA = Jid.parse("77000000000002@lid")
GROUP = Jid.parse("120363000000000001@g.us")
CHANNEL = Jid.parse("120363000000000002@newsletter")
MESSAGE = FailedMessage("3EB01", ADA.bare, ADA, NOW)
IN_GROUP = replace(MESSAGE, chat=GROUP)
PEER = replace(MESSAGE, is_peer=True)
OPEN = PeerSession(is_open=True, registration_id=7, base_key=b"a" * 32, identity=b"i" * 32)


# --- asking ---------------------------------------------------------------------------------------------------------


def tell_ask(decision: AskDecision) -> str:
    """A decision in few words."""
    match decision:
        case TryAlternate():
            return "try the other address"
        case Ask():
            words = [f"ask {decision.count}", f"error {int(decision.error)}"]
            words += ["keys"] * decision.include_keys
            words += [f"after {decision.delay:g}"] * (decision.delay > 0)
            words += ["renew"] * decision.renew_session
            words += [decision.category] if decision.category else []
        case Leave():
            words = ["leave", decision.why.value]
            words += [f"nack {decision.nack}"] * (decision.nack is not None)
    words += [] if decision.phone_in is None else [f"phone in {decision.phone_in:g}"]
    return ", ".join(words)


@dataclass
class Asking:
    """One message, whose counters are stored and loaded between the steps, and the session with its author."""

    message: FailedMessage = MESSAGE
    session: PeerSession = OPEN
    manager: RetryManager = field(default_factory=RetryManager)
    now: float = NOW
    record: bytes = field(default_factory=AskCounters().to_json)

    def fails(self, failure: str, *, later: float = 1.0, answers: int = 0) -> str:
        """It could not be read; `answers` is the count in its <enc>."""
        self.now += later
        message = replace(self.message, count=answers)
        decision = self.manager.ask(AskCounters.from_json(self.record), failure, message, self.session, self.now)
        self.record = decision.counters.to_json()
        if isinstance(decision, Ask) and decision.history is not None:
            self.session = replace(self.session, is_open=False, history=decision.history)
        return tell_ask(decision)


def test_a_session_out_of_step_is_asked_for_five_times_and_never_again() -> None:
    asking = Asking()
    assert [asking.fails("bad_mac", answers=count) for count in range(8)] == [
        "ask 1, error 7, phone in 3",
        "ask 2, error 7, keys, after 0.25, renew",
        "ask 3, error 7, keys, after 0.5",
        "ask 4, error 7, keys, after 0.75",
        "ask 5, error 7, keys, after 1",
        "leave, exhausted, nack 500, phone in 0",
        "leave, exhausted, nack 500",
        "leave, exhausted, nack 500",
    ]


def test_a_lost_session_gets_our_keys_at_once() -> None:
    assert Asking(session=PeerSession()).fails("no_session") == "ask 1, error 1, keys, phone in 3"


def test_a_lost_sender_key_is_asked_for_and_the_session_stays() -> None:
    asking = Asking(message=IN_GROUP)
    assert [asking.fails("no_sender_key") for _ in range(3)] == [
        "ask 1, error 1, keys, phone in 3",
        "ask 2, error 1, keys, after 0.25",
        "ask 3, error 1, keys, after 0.5",
    ]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("invalid_key", "ask 1, error 2, phone in 3"),
        ("invalid_key_id", "ask 1, error 3, keys, phone in 3"),
        ("invalid_message", "ask 1, error 4, phone in 3"),
        ("invalid_signature", "ask 1, error 5, phone in 3"),
        ("future_message", "ask 1, error 6, phone in 3"),
        ("decode", "ask 1, error 4, phone in 3"),
        ("unknown_companion", "ask 1, error 11, keys, phone in 3"),
        ("what nobody has heard of", "ask 1, error 0, phone in 3"),
        ("duplicate", "ask 1, error 9, phone in 3"),
        ("malformed", "leave, rule, nack 491"),
        ("padding", "leave, rule, nack 491"),
        ("untrusted_identity", "leave, rule"),
        ("withheld", "leave, rule"),
        ("unsupported", "leave, rule, phone in 0"),
        ("unavailable", "leave, rule, phone in 0"),
        ("absent", "leave, rule, phone in 0"),
    ],
)
def test_what_asking_cannot_mend_is_not_asked_for(failure: str, told: str) -> None:
    assert Asking().fails(failure) == told


def test_the_phone_is_asked_once_for_what_the_server_does_not_have() -> None:
    asking = Asking()
    assert [asking.fails("unavailable") for _ in range(2)] == ["leave, rule, phone in 0", "leave, rule"]


@pytest.mark.parametrize(
    ("type", "failure"),
    [
        (None, "unavailable"),
        ("view_once_unavailable_fanout", "withheld"),
        ("bot_unavailable_fanout", "withheld"),
        ("hosted_unavailable_fanout", "withheld"),
        ("something_new", "unavailable"),
    ],
)
def test_some_kinds_of_unavailable_are_given_to_no_companion(type: str | None, failure: str) -> None:
    assert Failure.unavailable(type) == failure


def test_our_phones_own_words_are_asked_for_as_such_and_not_as_a_placeholder() -> None:
    asking = Asking(message=PEER)
    assert asking.fails("bad_mac") == "ask 1, error 7, peer"
    assert [asking.fails("bad_mac") for _ in range(5)][-1] == "leave, exhausted, nack 500"


def test_a_newsletter_and_a_bot_are_not_asked() -> None:
    bot = Jid.parse("867051314767696@bot")
    assert Asking(message=replace(MESSAGE, chat=CHANNEL)).fails("bad_mac") == "leave, newsletter"
    assert Asking(message=replace(MESSAGE, chat=bot, author=bot)).fails("bad_mac") == "leave, bot, phone in 0"


def test_a_status_of_yesterday_is_let_go() -> None:
    asking = Asking(message=replace(MESSAGE, chat=STATUS_BROADCAST))
    assert asking.fails("bad_mac", later=STATUS_SECONDS) == "ask 1, error 7, phone in 3"
    assert asking.fails("bad_mac", later=0.5) == "leave, expired"


def test_the_phone_is_not_asked_for_what_is_older_than_a_fortnight() -> None:
    assert Asking().fails("bad_mac", later=PHONE_AGE_SECONDS) == "ask 1, error 7, phone in 3"
    assert Asking().fails("bad_mac", later=PHONE_AGE_SECONDS + 1) == "ask 1, error 7"
    assert Asking().fails("unavailable", later=PHONE_AGE_SECONDS + 1) == "leave, rule"


def test_the_other_address_is_tried_before_anybody_is_asked() -> None:
    asking = Asking(message=replace(MESSAGE, has_alternate=True))
    assert asking.fails("no_session") == "try the other address"
    assert asking.fails("bad_mac") == "try the other address"
    asking.message = replace(asking.message, has_alternate=False)
    assert asking.fails("no_session") == "ask 1, error 1, keys, phone in 3"


def test_the_other_address_cannot_help_what_was_read() -> None:
    message = replace(MESSAGE, has_alternate=True)
    assert Asking(message=message).fails("duplicate") == "ask 1, error 9, phone in 3"
    assert Asking(message=message).fails("malformed") == "leave, rule, nack 491"


def test_a_lost_count_goes_on_where_the_authors_answer_stands() -> None:
    assert Asking().fails("bad_mac", answers=2).startswith("ask 3, error 7, keys, after 0.5, renew")


def test_an_answer_that_claims_to_be_the_last_is_asked_for_once_more() -> None:
    asking = Asking()
    assert asking.fails("bad_mac", answers=4_000_000_000).startswith("ask 5,")
    assert asking.fails("bad_mac", answers=1).startswith("leave, exhausted")


def test_a_session_is_renewed_at_most_once_an_hour() -> None:
    session = replace(OPEN, history=SessionHistory(NOW, 1))
    assert "renew" not in second(replace(session), at=RENEW_SECONDS)
    assert "renew" in second(replace(session), at=RENEW_SECONDS + 1)


def test_there_is_nothing_to_renew_without_a_session() -> None:
    assert "renew" not in second(PeerSession(), at=0)


def test_a_clock_set_back_does_not_forbid_a_renewal_for_ever() -> None:
    assert "renew" in second(replace(OPEN, history=SessionHistory(NOW + 10**7, 1)), at=0)


def second(session: PeerSession, *, at: float) -> str:
    asking = Asking(session=session, record=AskCounters(1, (7,), 1).to_json())
    return asking.fails("bad_mac", later=at)


def test_the_counters_say_what_is_still_due() -> None:
    decision = RetryManager().ask(AskCounters(), "bad_mac", MESSAGE, OPEN, NOW + 0.5)
    assert (decision.counters.ask_at, decision.counters.phone_at) == (NOW, NOW + 3)
    done = decision.counters.sent().phone_asked()
    assert (done.ask_at, done.phone_at, done.count, done.phone_asks) == (None, None, 1, 1)


def test_how_many_attempts_is_the_callers_choice() -> None:
    asking = Asking(manager=RetryManager(max_attempts=2))
    told = [asking.fails("bad_mac") for _ in range(3)]
    assert [one.split(",")[0] for one in told] == ["ask 1", "ask 2", "leave"]
    for wrong in (0, -1, 33):
        with pytest.raises(ValueError, match="max_attempts"):
            RetryManager(wrong)


def test_how_much_longer_each_request_waits_is_the_callers_choice() -> None:
    manager = RetryManager(delay=2.0)
    delays = [manager.ask(AskCounters(count), "bad_mac", MESSAGE, OPEN, NOW) for count in (0, 1, 2)]
    assert [one.delay if isinstance(one, Ask) else None for one in delays] == [0.0, 2.0, 4.0]
    for wrong in (-0.1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="delay"):
            RetryManager(delay=wrong)


def test_who_wants_no_session_made_anew_gets_none_as_long_as_it_can_work() -> None:
    manager = RetryManager(recreates=False)
    asking = Asking(manager=manager)
    assert not any("renew" in asking.fails("bad_mac") for _ in range(4))
    answering = Answering(manager=manager)
    assert [answering.asks(count, RetryReason.BAD_MAC) for count in (1, 2)] == [
        "resend 1, session",
        "resend 2, session",
    ]
    # The last answer went out in this very session; and other keys, or none, can never work.
    assert answering.asks(3, RetryReason.BAD_MAC) == "resend 3, server, drop"
    assert Answering(manager=manager, session=PeerSession()).asks(1) == "resend 1, server"
    assert Answering(manager=manager).asks(1, registration=8) == "resend 1, server, drop"


def test_a_failed_message_reads_the_count_from_its_ciphertexts() -> None:
    encs = (Enc("msg", b"x", count=2), Enc("skmsg", b"y"))
    stanza = IncomingMessage("3EB02", GROUP, NOW, "text", encs, participant=ADA)
    assert FailedMessage.of(stanza, GROUP) == FailedMessage("3EB02", GROUP, ADA, NOW, count=2)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(list(Failure)), st.text(max_size=5)),
            st.integers(-(10**12), 10**12),
            st.floats(-4000, 4000),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.integers(1, 32),
)
def test_no_message_is_asked_for_more_often_than_allowed(steps: list[tuple[str, int, float, bool]], most: int) -> None:
    asking = Asking(manager=RetryManager(most))
    told: list[str] = []
    for failure, answers, later, reopened in steps:
        asking.session = replace(asking.session, is_open=asking.session.is_open or reopened)
        told.append(asking.fails(failure, answers=answers, later=later))
    counts = [int(one.split(",")[0].removeprefix("ask ")) for one in told if one.startswith("ask")]
    assert len(counts) <= most
    assert counts == sorted(set(counts))
    assert all(1 <= count <= most for count in counts)
    assert sum("phone" in one for one in told) <= 2


# --- answering ------------------------------------------------------------------------------------------------------

SENT = SentMessage(ADA.bare, NOW, b"content", devices=(ADA,))
FRIEND = Requester(is_own=False, is_reader=True, is_known=True)
OURSELVES = replace(FRIEND, is_own=True)
KEYS = Bundle(7, b"i" * 32, SignedPrekey(1, b"s" * 32, b"g" * 64), (2, b"p" * 32))


def tell_answer(decision: AnswerDecision) -> str:
    match decision:
        case Refuse():
            words = ["refuse", decision.why.value]
            words += ["rotate"] * decision.rotate_sender_key
            words += ["devices"] * decision.refresh_devices
        case Resend():
            words = [f"resend {decision.count}", decision.keys.value]
            words += ["drop"] * decision.drop_session
            words += ["sender key"] * decision.with_sender_key
            words += ["wrapped"] * decision.wrap
    return ", ".join(words)


@dataclass
class Answering:
    """One device that asks for one message; the record is stored and loaded between the steps."""

    sent: SentMessage | None = SENT
    session: PeerSession = OPEN
    requester: Requester = FRIEND
    peer: Jid = ADA
    manager: RetryManager = field(default_factory=RetryManager)
    now: float = NOW
    record: bytes = field(default_factory=AnswerCounters().to_json)
    sessions: int = 0

    def asks(
        self,
        count: int,
        error: int = RetryReason.UNKNOWN,
        *,
        keys: Bundle | None = None,
        later: float = 1.0,
        registration: int = 7,
        at: int | None = None,
        t: int = NOW,
    ) -> str:
        """A request comes; what is decided is done: the session is opened anew, its base key remembered."""
        self.now += later
        request = RetryRequest("3EB01", self.peer, count, t, registration, keys, error, at=at)
        counters = AnswerCounters.from_json(self.record)
        decision = self.manager.answer(request, counters, self.sent, self.session, self.requester, self.now)
        counters = decision.counters
        if isinstance(decision, Resend):
            if decision.history is not None:
                self.sessions += 1
                fresh = self.sessions.to_bytes(32, "big")
                self.session = replace(
                    self.session,
                    is_open=True,
                    registration_id=registration,
                    base_key=fresh,
                    history=decision.history,
                )
            if decision.remember_base_key:
                counters = counters.remember(self.session.base_key)
        self.record = counters.to_json()
        return tell_answer(decision)


def test_a_lost_session_is_answered_with_the_readers_keys() -> None:
    answering = Answering()
    assert [answering.asks(count, 1, keys=KEYS) for count in range(1, 7)] == [
        "resend 1, receipt, drop",
        "resend 2, receipt, drop",
        "resend 3, receipt, drop",
        "resend 4, receipt, drop",
        "resend 5, receipt, drop",
        "refuse, exhausted",
    ]


def test_without_keys_the_first_answer_goes_in_the_session_we_have() -> None:
    answering = Answering()
    assert answering.asks(1) == "resend 1, session"
    assert answering.asks(2) == "resend 2, server, drop"


def test_the_hour_holds_and_a_session_that_did_not_help_is_given_up_all_the_same() -> None:
    answering = Answering(session=replace(OPEN, history=SessionHistory(NOW - 60, 1)))
    assert answering.asks(1) == "resend 1, session"
    assert answering.asks(2) == "resend 2, session"
    # It asks again, and our session is still the one that the second answer went out in.
    assert answering.asks(3) == "resend 3, server, drop"


def test_a_session_that_was_renewed_meanwhile_is_used() -> None:
    answering = Answering(session=replace(OPEN, history=SessionHistory(NOW - 60, 1)))
    answering.asks(2)
    answering.session = replace(answering.session, base_key=b"other" + bytes(27))
    assert answering.asks(3) == "resend 3, session"


def test_a_renewal_counts_for_the_hour_and_the_renewed_session_can_be_given_up_too() -> None:
    answering = Answering()
    assert [answering.asks(count, RetryReason.INVALID_KEY_ID) for count in (1, 2, 3, 4)] == [
        "resend 1, server, drop",
        "resend 2, session",
        "resend 3, server, drop",
        "resend 4, server, drop",
    ]
    assert answering.session.history == SessionHistory(NOW + 4, 3)


def test_an_early_request_that_comes_late_gives_up_no_session() -> None:
    answering = Answering(session=replace(OPEN, history=SessionHistory(NOW - 60, 1)))
    assert [answering.asks(count) for count in (2, 1)] == ["resend 2, session", "resend 1, session"]


@pytest.mark.parametrize("error", [RetryReason.INVALID_MESSAGE, RetryReason.BAD_MAC])
def test_a_mac_failure_renews_at_once_and_within_the_hour(error: int) -> None:
    answering = Answering(session=replace(OPEN, history=SessionHistory(NOW - 60, 1)))
    assert answering.asks(1, error) == "resend 1, server, drop"
    assert answering.asks(2, error) == "resend 2, server, drop"


def test_ten_messages_lost_with_one_session_need_one_renewal() -> None:
    history = SessionHistory(NOW, 1)
    answering = Answering(session=replace(OPEN, history=history))
    assert answering.asks(1, RetryReason.BAD_MAC, later=SETTLE_SECONDS) == "resend 1, session"
    assert answering.asks(2, RetryReason.BAD_MAC, later=0) == "resend 2, server, drop"
    answering = Answering(session=replace(OPEN, history=history))
    assert answering.asks(1, RetryReason.BAD_MAC, later=SETTLE_SECONDS + 1) == "resend 1, server, drop"


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (RetryReason.UNKNOWN, "session"),
        (RetryReason.NO_SESSION, "server, drop"),
        (RetryReason.INVALID_KEY, "server, drop"),
        (RetryReason.INVALID_KEY_ID, "server, drop"),
        (RetryReason.INVALID_MESSAGE, "server, drop"),
        (RetryReason.INVALID_SIGNATURE, "session"),
        (RetryReason.FUTURE_MESSAGE, "server, drop"),
        (RetryReason.BAD_MAC, "server, drop"),
        (RetryReason.INVALID_SESSION, "server, drop"),
        (RetryReason.INVALID_MSG_KEY, "session"),
        (RetryReason.BAD_BROADCAST_EPHEMERAL_SETTING, "session"),
        (RetryReason.UNKNOWN_COMPANION_NO_PREKEY, "server, drop"),
        (RetryReason.ADV_FAILURE, "server, drop"),
        (RetryReason.STATUS_REVOKE_DELAY, "session"),
        (14, "session"),
        (99_999_999, "session"),
    ],
)
def test_what_each_code_does_to_the_session(error: int, first: str) -> None:
    assert Answering().asks(1, error) == f"resend 1, {first}"


def test_without_a_session_the_server_is_asked_for_keys() -> None:
    assert Answering(session=PeerSession()).asks(1) == "resend 1, server"


def test_another_registration_means_another_device() -> None:
    recent = replace(OPEN, history=SessionHistory(NOW - 60, 1))
    assert Answering(session=recent).asks(1, registration=8) == "resend 1, server, drop"
    assert Answering(session=replace(recent, registration_id=0)).asks(1, registration=8) == "resend 1, session"
    assert Answering(session=recent).asks(1, registration=0) == "resend 1, session"


def test_keys_under_another_identity_are_asked_of_the_server() -> None:
    assert Answering().asks(1, keys=replace(KEYS, identity=b"j" * 32)) == "resend 1, server, drop"
    assert Answering(session=PeerSession()).asks(1, keys=KEYS) == "resend 1, receipt"


def test_our_own_device_changes_its_registration_by_the_servers_word_only() -> None:
    other = replace(KEYS, registration_id=8)
    assert Answering(requester=OURSELVES).asks(1, keys=KEYS) == "resend 1, receipt, drop, wrapped"
    assert Answering(requester=OURSELVES).asks(1, keys=other, registration=8) == "resend 1, server, drop, wrapped"
    assert Answering().asks(1, keys=other, registration=8) == "resend 1, receipt, drop"


def test_the_same_receipt_twice_is_answered_once() -> None:
    answering = Answering()
    assert [answering.asks(count) for count in (1, 1, 2, 1, 2)] == [
        "resend 1, session",
        "refuse, answered",
        "resend 2, server, drop",
        "refuse, answered",
        "refuse, answered",
    ]


def test_who_has_lost_count_is_answered_again_and_not_for_ever() -> None:
    """Baileys counts from 1 again at each connection, and may have lost the answer with the last one."""
    answering = Answering()
    assert [answering.asks(1, at=NOW + number) for number in (0, 0, 60, 0, 60, 120, 180, 240, 300)] == [
        "resend 1, session",
        "refuse, answered",
        "resend 1, session",
        "refuse, answered",
        "refuse, answered",
        "resend 1, session",
        "resend 1, session",
        "resend 1, session",
        "refuse, exhausted",
    ]


def test_an_answer_that_could_not_be_read_is_asked_for_again_in_the_same_second() -> None:
    """Baileys asks for an answer with the count it had for the message; what it could not read tells them apart."""
    answering = Answering()
    assert answering.asks(1, at=NOW, t=NOW - 40) == "resend 1, session"
    assert answering.asks(1, at=NOW, t=NOW) == "resend 1, session"
    assert answering.asks(1, at=NOW, t=NOW - 40) == "refuse, answered"
    assert answering.asks(1, at=NOW, t=NOW) == "refuse, answered"


@pytest.mark.parametrize("count", [0, -1, 6, 2**40])
def test_a_count_that_no_reader_reaches_is_refused(count: int) -> None:
    assert Answering().asks(count) == "refuse, exhausted"


def test_an_unknown_message_is_not_sent_again() -> None:
    assert Answering(sent=None).asks(1) == "refuse, unknown_message"


def test_a_removed_member_gets_nothing_and_the_group_another_sender_key_once() -> None:
    answering = Answering(sent=replace(SENT, chat=GROUP), requester=replace(FRIEND, is_reader=False))
    assert [answering.asks(count, keys=KEYS) for count in (1, 2)] == ["refuse, no_reader, rotate", "refuse, no_reader"]


def test_a_stranger_who_guesses_an_id_gets_nothing() -> None:
    assert Answering(requester=replace(FRIEND, is_reader=False)).asks(1, keys=KEYS) == "refuse, no_reader"
    assert Answering(requester=replace(FRIEND, is_reader=False, is_own=True)).asks(1) == "refuse, no_reader"


def test_a_device_nobody_knows_is_looked_up_and_answered_when_it_asks_again() -> None:
    answering = Answering(requester=replace(FRIEND, is_known=False))
    assert answering.asks(1) == "refuse, unknown_device, devices"
    answering.requester = FRIEND
    assert answering.asks(1) == "resend 1, session"
    answering = Answering(sent=replace(SENT, chat=GROUP), requester=replace(FRIEND, is_known=False))
    assert answering.asks(1) == "refuse, unknown_device, rotate, devices"


def test_a_member_gets_a_groups_message_for_itself_with_the_sender_key() -> None:
    group = replace(SENT, chat=GROUP)
    assert Answering(sent=group).asks(1) == "resend 1, session, sender key"
    # Our own devices read a group's messages as everybody does.
    assert Answering(sent=group, requester=OURSELVES).asks(1) == "resend 1, session, sender key"


def test_in_a_group_no_session_may_mean_no_sender_key() -> None:
    answering = Answering(sent=replace(SENT, chat=GROUP))
    assert answering.asks(1, RetryReason.NO_SESSION) == "resend 1, session, sender key"
    assert answering.asks(2, RetryReason.NO_SESSION) == "resend 2, server, drop, sender key"


def test_what_we_told_our_phone_is_not_wrapped() -> None:
    peer = replace(SENT, chat=BEA, category="peer")
    assert Answering(sent=peer, requester=OURSELVES).asks(1) == "resend 1, session"


def test_a_status_of_yesterday_is_not_sent_again() -> None:
    status = replace(SENT, chat=STATUS_BROADCAST)
    assert Answering(sent=status).asks(1, later=STATUS_SECONDS) == "resend 1, session, sender key"
    assert Answering(sent=status).asks(1, later=STATUS_SECONDS + 1) == "refuse, expired"


def test_an_answer_is_addressed_as_the_request_was() -> None:
    request = RetryRequest("3EB01", GROUP, 1, NOW, 7, participant=ADA, recipient=BEA)
    decision = RetryManager().answer(request, AnswerCounters(), SENT, OPEN, FRIEND, NOW)
    assert isinstance(decision, Resend)
    assert (decision.to, decision.participant, decision.recipient) == (GROUP, ADA, BEA)


@given(
    st.lists(
        st.tuples(st.integers(-3, 40), st.integers(0, 20), st.booleans(), st.floats(-10, 5000), st.integers(0, 9)),
        max_size=40,
    ),
    st.integers(1, 32),
)
def test_no_request_is_answered_twice_and_none_too_often(
    requests: list[tuple[int, int, bool, float, int]], most: int
) -> None:
    answering = Answering(manager=RetryManager(most))
    told = [
        answering.asks(count, error, keys=KEYS if with_keys else None, later=later, registration=registration)
        for count, error, with_keys, later, registration in requests
    ]
    answered = [int(one.split(",")[0].removeprefix("resend ")) for one in told if one.startswith("resend")]
    assert len(answered) == len(set(answered)) <= most
    assert set(answered) <= {count for count, *_ in requests} & set(range(1, most + 1))


# --- the guard, the tables, the records -------------------------------------------------------------------------------


def test_an_id_is_sent_once() -> None:
    manager = RetryManager()
    assert [manager.should_send(id) for id in ("a", "b", "a", "a", "b")] == [True, True, False, False, False]


def test_the_guard_remembers_the_last_ids_and_not_all_of_them() -> None:
    manager = RetryManager()
    ids = [f"3EB0{number}" for number in range(GUARDED_IDS)]
    assert all(manager.should_send(id) for id in ids)
    assert not manager.should_send(ids[0])
    assert manager.should_send("one more")
    # ids[0] was asked for just now, so ids[1] is the one that fell out.
    assert (manager.should_send(ids[0]), manager.should_send(ids[1])) == (False, True)


@given(st.lists(st.text(max_size=3), max_size=60))
def test_exactly_the_first_of_each_id_is_sent(ids: list[str]) -> None:
    manager = RetryManager()
    assert [id for id in ids if manager.should_send(id)] == list(dict.fromkeys(ids))


def test_the_tables_name_every_failure_and_every_code() -> None:
    assert set(FAILURES) == set(Failure)
    assert set(REASONS) == set(RetryReason)
    assert [int(reason) for reason in REASONS] == list(range(14))
    assert {reason.value for reason in DecryptReason} <= {failure.value for failure in Failure}
    assert all(rule.why for rule in (*FAILURES.values(), *REASONS.values()))


JIDS = st.builds(lambda user, device: Jid(user, "lid", device), st.text(max_size=6), st.integers(0, 99))


@given(st.lists(st.tuples(JIDS, JIDS, st.text(max_size=6)), min_size=2, max_size=2, unique=True))
def test_no_two_messages_share_a_key(pair: list[tuple[Jid, Jid, str]]) -> None:
    (chat, author, id), (other_chat, other_author, other_id) = pair
    same = (chat.bare, author, id) == (other_chat.bare, other_author, other_id)
    assert (ask_key(chat, author, id) == ask_key(other_chat, other_author, other_id)) == same
    assert (answer_key(chat, author, id) == answer_key(other_chat, other_author, other_id)) == same
    assert len({ask_key(chat, author, id), answer_key(chat, author, id), session_key(author)}) == 3


def test_an_address_with_a_blank_poses_as_nobody_else() -> None:
    one, two, three = (Jid(user, "lid") for user in "abc")
    assert ask_key(Jid("a@lid b", "lid"), three, "1") != ask_key(one, Jid("b@lid c", "lid"), "1")
    assert ask_key(one, two, "c 1") != ask_key(one, Jid("b@lid c", "lid"), "1")


def test_a_key_is_readable() -> None:
    assert ask_key(GROUP, ADA, "3EB01") == "in 120363000000000001@g.us 4915000000001:3@s.whatsapp.net 3EB01"


TIMES = st.none() | st.integers(0, 2**40)
NUMBERS = st.integers(0, 2**31)
RECORDS = st.one_of(
    st.builds(AskCounters, NUMBERS, st.lists(NUMBERS, max_size=8).map(tuple), NUMBERS, TIMES, TIMES),
    st.builds(
        AnswerCounters,
        st.lists(NUMBERS, max_size=8).map(tuple),
        st.binary(max_size=32),
        st.booleans(),
        st.lists(NUMBERS, max_size=8).map(tuple),
    ),
    st.builds(SessionHistory, TIMES, NUMBERS),
)


@given(RECORDS)
def test_counters_survive_the_disk(record: AskCounters | AnswerCounters | SessionHistory) -> None:
    assert type(record).from_json(record.to_json()) == record


@pytest.mark.parametrize("kind", [AskCounters, AnswerCounters, SessionHistory])
@given(
    data=st.binary(max_size=40).filter(lambda data: b"{" not in data)
    | st.sampled_from([b"[]", b"null", b"1", b"", b"[" * 9999, b'{"count":1'])
)
def test_a_damaged_record_is_named(kind: type[AskCounters | AnswerCounters | SessionHistory], data: bytes) -> None:
    with pytest.raises(StorageError, match=kind.__name__):
        kind.from_json(data)


def test_a_record_of_another_shape_is_damaged() -> None:
    for damaged in (b'{"count":"1"}', b'{"errors":[1.5]}', b'{"ask_at":NaN}', b'{"count":true}'):
        with pytest.raises(StorageError):
            AskCounters.from_json(damaged)
    with pytest.raises(StorageError):
        AnswerCounters.from_json(b'{"base_key":"*"}')
