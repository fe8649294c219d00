"""A storm: equal dice for equal stanzas, each rule on what it is about, never more than its bounds."""

from __future__ import annotations

from collections import Counter

import pytest

from waton.jid import SERVER
from waton.lab.schedules import Kind, Rule, Schedule, profile
from waton.lab.storm import CLIENT_FINISH, SERVER_HELLO, Passing, Storm, Strike, can_strike
from waton.protocol.binary_node import Node
from waton.protocol.trace import Way

MESSAGE_OUT = Passing(Way.OUT, "message", "m")
ACK = Passing(Way.OUT, "ack", "a", is_message_ack=True)
ANSWER = Passing(Way.OUT, "iq", "q", is_answer=True)
MESSAGE_IN = Passing(Way.IN, "message", "m")
HELLO = Passing(Way.OUT, SERVER_HELLO)
FINISH = Passing(Way.IN, CLIENT_FINISH)
ALL = (MESSAGE_OUT, ACK, ANSWER, MESSAGE_IN, HELLO, FINISH)


def fates(storm: Storm, connection: int, way: Way, count: int) -> list[list[Strike]]:
    stanzas = [passing for passing in ALL if passing.way is way]
    return [storm.judge(connection, stanzas[number % len(stanzas)], 0.0) for number in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_one_seed_and_one_order_give_one_fate(seed: int) -> None:
    schedule = Schedule.random(seed, limit=10_000)
    assert fates(Storm(schedule), 3, Way.OUT, 300) == fates(Storm(schedule), 3, Way.OUT, 300)


def test_another_seed_connection_or_way_gives_another_fate() -> None:
    schedule = profile("hostile", 7)
    first = fates(Storm(schedule), 1, Way.OUT, 300)
    assert first != fates(Storm(profile("hostile", 8)), 1, Way.OUT, 300)
    assert first != fates(Storm(schedule), 2, Way.OUT, 300)


def test_what_passes_the_other_way_changes_nothing() -> None:
    schedule = profile("lossy", 5)
    mixed = Storm(schedule)
    outgoing = [passing for passing in ALL if passing.way is Way.OUT]
    got: list[list[Strike]] = []
    for number in range(200):
        mixed.judge(1, MESSAGE_IN, 0.0)
        got.append(mixed.judge(1, outgoing[number % len(outgoing)], 0.0))
    assert got == fates(Storm(schedule), 1, Way.OUT, 200)


def test_a_chance_is_kept_over_many_stanzas() -> None:
    storm = Storm(Schedule(1, (Rule(Kind.CLOSE, chance=0.2),)))
    struck = sum(bool(storm.judge(number, MESSAGE_IN, 0.0)) for number in range(5000))
    assert 850 < struck < 1150


def test_every_counts_over_all_connections() -> None:
    storm = Storm(Schedule(1, (Rule(Kind.RESTART, every=4, tags=frozenset({"message"})),)))
    struck = [bool(storm.judge(number % 3, MESSAGE_IN if number % 2 else ACK, 0.0)) for number in range(24)]
    assert [number for number, hit in enumerate(struck) if hit] == [7, 15, 23]


def test_a_rule_strikes_no_more_often_than_its_limit() -> None:
    storm = Storm(Schedule(1, (Rule(Kind.CLOSE, limit=3),)))
    assert [len(storm.judge(1, MESSAGE_IN, 0.0)) for _ in range(6)] == [1, 1, 1, 0, 0, 0]
    assert storm.is_over(0.0)


def test_all_rules_together_strike_no_more_often_than_the_schedules_limit() -> None:
    rules = (Rule(Kind.DELAY, seconds=(0.0, 1.0)), Rule(Kind.CLOSE, every=2), Rule(Kind.DROP, every=3))
    storm = Storm(Schedule(1, rules, limit=5))
    found: Counter[Kind] = Counter()
    for _ in range(1000):
        found.update(strike.kind for strike in storm.judge(1, MESSAGE_IN, 0.0))
    # Delays are not counted, but they end with the rest.
    assert found[Kind.CLOSE] + found[Kind.DROP] == 5
    assert found[Kind.DELAY] < 20
    assert storm.is_over(0.0)


@pytest.mark.parametrize("seed", range(50))
def test_a_random_schedule_ends(seed: int) -> None:
    storm = Storm(Schedule.random(seed, limit=12))
    harm = 0
    for number in range(100_000):
        if storm.is_over(0.0):
            break
        harm += sum(strike.kind is not Kind.DELAY for strike in storm.judge(number // 50, ALL[number % 6], 0.0))
    assert storm.is_over(0.0)
    assert harm <= 12


def test_time_ends_a_rule_and_a_schedule() -> None:
    storm = Storm(Schedule(1, (Rule(Kind.CLOSE, until=10.0), Rule(Kind.DROP)), until=20.0))
    kinds = [[strike.kind for strike in storm.judge(1, MESSAGE_IN, at)] for at in (1.0, 10.0, 15.0, 20.0, 21.0)]
    assert kinds == [[Kind.CLOSE], [Kind.CLOSE], [Kind.DROP], [Kind.DROP], []]
    assert (storm.is_over(20.0), storm.is_over(20.1)) == (False, True)


def test_a_stanza_is_harmed_once_and_may_be_delayed_besides() -> None:
    rules = (Rule(Kind.DROP), Rule(Kind.CLOSE), Rule(Kind.DELAY, seconds=(1.0, 2.0)))
    delay, harm = Storm(Schedule(1, rules)).judge(1, MESSAGE_IN, 0.0)
    assert (delay.kind, harm.kind) == (Kind.DELAY, Kind.DROP)
    assert 1.0 <= delay.seconds < 2.0
    assert 0.1 <= harm.seconds < 1.0


def test_a_schedule_without_rules_is_over_from_the_beginning() -> None:
    assert Storm(Schedule()).is_over(0.0)


STRUCK = {
    Kind.DUPLICATE: {MESSAGE_OUT},
    Kind.REORDER: {MESSAGE_OUT},
    Kind.LOST_ACK: {ACK},
    Kind.LOST_ANSWER: {ANSWER},
    # It cannot be said before the handshake is over.
    Kind.STREAM_ERROR: set(ALL) - {HELLO},
}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_strikes_what_it_is_about(kind: Kind) -> None:
    rule = Rule(kind, seconds=(0.0, 1.0)) if kind in (Kind.DELAY, Kind.CLOCK_SKEW) else Rule(kind)
    assert {passing for passing in ALL if can_strike(rule, passing)} == STRUCK.get(kind, set(ALL))


def test_a_rule_strikes_the_way_the_tags_and_the_people_it_names() -> None:
    rule = Rule(Kind.DROP, way=Way.IN, tags=frozenset({"message"}), of="Ada")
    hers = Passing(Way.IN, "message", of="Ada")
    assert can_strike(rule, hers)
    for other in (Passing(Way.OUT, "message", of="Ada"), Passing(Way.IN, "iq", of="Ada"), MESSAGE_IN):
        assert not can_strike(rule, other)


def test_a_farewell_is_not_answered_by_another() -> None:
    rule = Rule(Kind.STREAM_ERROR)
    assert not any(can_strike(rule, Passing(Way.OUT, tag)) for tag in ("stream:error", "failure"))


def test_acks_of_messages_and_answers_are_told_from_their_like() -> None:
    def of(tag: str, **attrs: str) -> Passing:
        return Passing.stanza(Way.OUT, Node(tag, {name.rstrip("_"): value for name, value in attrs.items()}))

    assert of("ack", class_="message", id="1").is_message_ack
    assert not of("ack", class_="receipt", id="1").is_message_ack
    assert not of("ack", class_="message", id="1", error="479").is_message_ack
    assert of("iq", type="result", id="1").is_answer
    assert of("iq", type="error", id="1").is_answer
    assert not Passing.stanza(Way.OUT, Node("iq", {"type": "get", "from": SERVER})).is_answer
    assert of("receipt", id="1").is_queued
    assert not Passing.stanza(Way.IN, Node("message", {"id": "1"})).is_queued
    assert of("message", id="17").id == "17"


def test_codes_are_drawn_from_those_of_the_rule() -> None:
    storm = Storm(Schedule(1, (Rule(Kind.STREAM_ERROR, codes=("503", "replaced")),)))
    drawn = Counter(storm.judge(1, MESSAGE_IN, 0.0)[0].code for _ in range(400))
    assert set(drawn) == {"503", "replaced"}
    assert min(drawn.values()) > 150


def test_the_dice_of_a_connection_that_is_over_are_forgotten() -> None:
    storm = Storm(profile("lossy", 1))
    for number in range(1000):
        storm.judge(number, MESSAGE_IN, 0.0)
        storm.judge(number, MESSAGE_OUT, 0.0)
        storm.forget(number)
    assert storm._dice == {}
