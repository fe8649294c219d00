"""Schedules: read as they are written, refused by the part that is wrong, drawn alike from one seed, and bounded."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.errors import LabError
from waton.lab.schedules import OUT_ONLY, PROFILES, Kind, Rule, Schedule, profile
from waton.protocol.trace import Way


def test_the_example_of_the_command_line_is_read() -> None:
    schedule = Schedule.parse("drop=1%,delay=5-40ms,restart=every:200,seed=7")
    assert schedule == Schedule(
        7,
        (
            Rule(Kind.DROP, chance=0.01),
            Rule(Kind.DELAY, seconds=(0.005, 0.04)),
            Rule(Kind.RESTART, every=200),
        ),
    )


def test_every_word_is_read() -> None:
    schedule = Schedule.parse(
        "max=100, until=1m, pairing=yes, drop=2.5%/in/max:3/until:30s/tag:message|receipt/of:Ada/0.5-2s,"
        "stream_error=1%/503|replaced, clock_skew=-1..1h, restart=every:9/500ms"
    )
    assert (schedule.limit, schedule.until, schedule.pairing) == (100, 60.0, True)
    drop, error, skew, restart = schedule.rules
    assert drop == Rule(
        Kind.DROP,
        chance=0.025,
        way=Way.IN,
        tags=frozenset({"message", "receipt"}),
        of="Ada",
        limit=3,
        until=30.0,
        seconds=(0.5, 2.0),
    )
    assert error.codes == ("503", "replaced")
    assert (skew.seconds, skew.limit, skew.chance) == ((-3600.0, 3600.0), 1, 1.0)
    assert (restart.every, restart.seconds) == (9, (0.5, 0.5))


@pytest.mark.parametrize(
    ("text", "part", "complaint"),
    [
        ("seed=7,drop=1x", "drop=1x", "'1x'"),
        ("drop", "drop", "how often"),
        ("drop=in", "drop=in", "how often"),
        ("drop=", "drop=", "''"),
        ("drop=1%/2%", "drop=1%/2%", "second time"),
        ("drop=0%", "drop=0%", "chance"),
        ("drop=101%", "drop=101%", "chance"),
        ("delay=1%", "delay=1%", "needs a time"),
        ("delay=40-5ms", "delay=40-5ms", "low to high"),
        ("delay=11m", "delay=11m", "600 s"),
        ("delay=-5ms", "delay=-5ms", "0 and 600"),
        ("close=1%/2s", "close=1%/2s", "has no time"),
        ("close=1%/503", "close=1%/503", "has no codes"),
        ("lost_ack=1%/in", "lost_ack=1%/in", "way out only"),
        ("restart=every:0", "restart=every:0", "counts from 1"),
        ("restart=every:-3", "restart=every:-3", "'-3'"),
        ("stream_error=1%/99", "stream_error=1%/99", "'99'"),
        ("hurricane=1%", "hurricane=1%", "'hurricane'"),
        ("hurricane", "hurricane", "no profile 'hurricane'; there are slow"),
        ("seed=x", "seed=x", "'x' is no whole number"),
        ("pairing=maybe", "pairing=maybe", "yes nor no"),
        ("max=0", "max=0", "more than 0"),
        ("clock_skew=99999999h", "clock_skew=99999999h", "between"),
    ],
)
def test_an_error_names_the_part_that_is_wrong(text: str, part: str, complaint: str) -> None:
    with pytest.raises(LabError) as refused:
        Schedule.parse(text)
    assert refused.value.detail.startswith(f"faults, {part!r}: ")
    assert complaint in refused.value.detail


def test_a_text_without_end_is_not_read() -> None:
    with pytest.raises(LabError, match="characters"):
        Schedule.parse("drop=1%," * 1000)


@given(st.text(alphabet="drop=1%,/:.-smh|every delayinout", max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        schedule = Schedule.parse(text)
    except LabError:
        return
    assert Schedule.parse(str(schedule)) == schedule


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_what_is_written_is_read_the_same(seed: int, limit: int) -> None:
    schedule = Schedule.random(seed, limit)
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_read_written_and_extended(name: str) -> None:
    assert Schedule.parse(f"{name},seed=3") == profile(name, 3)
    assert Schedule.parse(str(profile(name, 3))) == profile(name, 3)
    assert Schedule.parse(f"{name},drop=50%").rules == (*PROFILES[name].rules, Rule(Kind.DROP, chance=0.5))


def test_random_schedules_differ_by_seed_and_by_nothing_else() -> None:
    made = [Schedule.random(seed) for seed in range(200)]
    assert made == [Schedule.random(seed) for seed in range(200)]
    assert len({str(schedule) for schedule in made}) == 200
    kinds = Counter(rule.kind for schedule in made for rule in schedule.rules)
    assert set(kinds) == set(Kind)
    assert all(3 <= len(schedule.rules) <= 6 for schedule in made)


def test_random_schedules_hold_nothing_a_client_cannot_come_back_from_by_itself() -> None:
    for seed in range(200):
        schedule = Schedule.random(seed)
        assert schedule.limit == 20
        assert not schedule.pairing
        assert all(set(rule.codes) <= {"503", "515", "429"} for rule in schedule.rules)


def test_what_only_a_server_can_do_is_on_the_way_out() -> None:
    for kind in OUT_ONLY:
        assert Rule(kind).way is Way.OUT
        with pytest.raises(LabError):
            Rule(kind, way=Way.IN)


def test_names_that_cannot_be_written_are_refused() -> None:
    with pytest.raises(LabError):
        Rule(Kind.DROP, of="Ada, Countess")
