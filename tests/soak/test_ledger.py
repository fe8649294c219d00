"""The ledger sees what is missing, doubled, changed and out of order, and nothing else."""

from __future__ import annotations

from tests.soak.ledger import Ledger, Reader, Text, disorder

MEMBERS = {"pair": frozenset({"Ada", "Bea"}), "other": frozenset({"Bea", "Cal"})}
TEXTS = [Text(7, "pair", "Bea", number) for number in range(4)]


def ledger_of(*texts: Text) -> Ledger:
    ledger = Ledger(members=MEMBERS)
    for text in texts:
        ledger.say(text.id, text)
    return ledger


def reader_of(*texts: Text) -> Reader:
    reader = Reader("Ada's waton", "Ada")
    for text in texts:
        reader.take(text.id, str(text))
    return reader


def test_a_text_says_what_it_is() -> None:
    assert Text.parse(str(TEXTS[2])) == TEXTS[2]
    assert [Text.parse(body) for body in (None, "", "hello", "a/b/c/d", "7/pair/Bea", "7/pair/Bea/-1")] == [None] * 6
    assert len({text.id for text in TEXTS}) == 4


def test_all_in_order_and_once_is_good() -> None:
    ledger = ledger_of(*TEXTS, Text(7, "other", "Cal", 0))
    assert ledger.judge(reader_of(*TEXTS)).lines() == []


def test_what_was_not_told_is_missing() -> None:
    assert ledger_of(*TEXTS).judge(reader_of(*TEXTS[:3])).missing == ("7/pair/Bea/3",)


def test_what_was_told_twice_is_doubled_unless_it_says_that_it_may_be_a_repeat() -> None:
    reader = reader_of(*TEXTS)
    reader.take(TEXTS[0].id, str(TEXTS[0]), is_repeat=True)
    assert ledger_of(*TEXTS).judge(reader).lines() == []
    reader.take(TEXTS[1].id, str(TEXTS[1]))
    assert ledger_of(*TEXTS).judge(reader).doubled == ("7/pair/Bea/1",)


def test_a_repeat_that_is_the_first_is_told() -> None:
    reader = reader_of(*TEXTS[:3])
    reader.take(TEXTS[3].id, str(TEXTS[3]), is_repeat=True)
    assert ledger_of(*TEXTS).judge(reader).lines() == []


def test_what_nobody_said_and_what_comes_under_another_id_is_changed() -> None:
    reader = reader_of(*TEXTS, Text(7, "other", "Cal", 0))
    reader.take(TEXTS[0].id, str(TEXTS[1]))
    verdict = ledger_of(*TEXTS, Text(7, "other", "Cal", 0)).judge(reader)
    assert verdict.changed == ("7/other/Cal/0", "7/pair/Bea/1")


def test_what_comes_after_a_later_one_is_out_of_order() -> None:
    assert ledger_of(*TEXTS).judge(reader_of(TEXTS[1], TEXTS[0], TEXTS[3], TEXTS[2])).disordered == (
        "7/pair/Bea/0",
        "7/pair/Bea/2",
    )


def test_what_had_to_be_asked_for_may_come_late_and_is_named() -> None:
    reader = reader_of(TEXTS[1], TEXTS[0], TEXTS[2], TEXTS[3])
    reader.unread.add(TEXTS[0].id)
    verdict = ledger_of(*TEXTS).judge(reader)
    assert (verdict.disordered, verdict.asked) == ((), ("7/pair/Bea/0",))


def test_order_is_of_one_sender_in_one_chat() -> None:
    bodies = [str(Text(7, chat, sender, number)) for number in (1, 0) for chat, sender in (("pair", "Bea"),)]
    assert disorder(bodies) == ["7/pair/Bea/0"]
    assert disorder(["7/pair/Bea/1", "7/pair/Ada/0", "7/other/Bea/0", "7/pair/Bea/1", "hello"]) == []


def test_a_verdict_says_how_many_and_some_of_them() -> None:
    many = [Text(7, "pair", "Ada", number) for number in range(30)]
    (line,) = ledger_of(*many).judge(reader_of()).lines()
    assert line.startswith("Ada's waton: 30 missing: 7/pair/Ada/0, ")
    assert line.endswith(" ...")
