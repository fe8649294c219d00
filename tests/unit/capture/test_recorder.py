"""The recorder: takes at once, writes everything, and says so when it could not."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.unit.capture.traces import trace
from waton.capture import recorder as recorder_module
from waton.capture.journal import Journal
from waton.capture.recorder import Recorder
from waton.errors import CaptureError
from waton.protocol.trace import Layer, Trace, Tracer, TraceSink, Way

ROOT = Path(__file__).parents[3]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "journal.db")


@pytest.fixture
def recorder(journal: Journal) -> Iterator[Recorder]:
    made = Recorder(journal, client="waton", vantage="client")
    yield made
    try:
        made.close()
    except CaptureError:
        assert made.error is not None


def recorded(recorder: Recorder) -> list[int]:
    """The seqs on disk, in the order in which they were written."""
    found: list[int] = []
    after = 0
    while rows := recorder.journal.rows(after=after, limit=10_000, run=recorder.run):
        found += [row.trace.seq for row in rows]
        after = rows[-1].row
    return found


def limit_pages(journal: Journal, more: int) -> None:
    """Let the disk be full after so many more pages; 1 << 30 lets it be empty again."""
    with journal._lock:
        assert journal._connection is not None
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages + more}")


# --- everything, in order


def test_what_is_traced_is_on_disk_after_flush(recorder: Recorder) -> None:
    sink: TraceSink = recorder
    tracer = Tracer(sink)
    first = tracer.add(Layer.FRAME, Way.IN, "stanza", at=1.0, data=b"bytes")
    tracer.add(Layer.STATE, Way.LOCAL, "client", at=2.0, parent=first, transition=3, detail="{}")
    recorder.flush()
    [frame, state] = [row.trace for row in recorder.journal.rows(with_data=True)]
    assert frame == Trace(1, None, 1.0, Layer.FRAME, Way.IN, "stanza", data=b"bytes")
    assert (state.parent, state.transition) == (1, 3)
    assert recorder.accepted == 2
    assert recorder.error is None


def test_fifty_thousand_traces_from_two_threads_are_all_there(recorder: Recorder) -> None:
    def work(first: int) -> None:
        for seq in range(first, 50_001, 2):
            recorder([trace(seq)])

    threads = [threading.Thread(target=work, args=(first,)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.flush()
    assert recorder.accepted == 50_000
    found = recorded(recorder)
    assert sorted(found) == list(range(1, 50_001))
    for first in (1, 2):
        assert [seq for seq in found if seq % 2 == first % 2] == list(range(first, 50_001, 2))
    assert recorder.payload(49_999) == b"data 49999"
    assert (recorder.error, recorder.lost) == (None, 0)


def test_close_writes_what_is_left_and_ends_the_run(recorder: Recorder) -> None:
    recorder([trace(seq) for seq in range(1, 1001)])
    recorder.close()
    recorder.close()
    assert recorded(recorder) == list(range(1, 1001))
    assert recorder.payload(1000) == b"data 1000"
    assert [made.seq for made in recorder.tail(2)] == [999, 1000]


def test_a_program_that_forgets_to_close_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.unit.capture.traces import trace\n"
        "from waton.capture.journal import Journal; from waton.capture.recorder import Recorder\n"
        "recorder = Recorder(Journal.open(sys.argv[1]), client='waton', vantage='client')\n"
        "for seq in range(1, 3001): recorder([trace(seq)])\n"
    )
    path = tmp_path / "forgotten.db"
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=True, timeout=60)
    journal = Journal.open(path)
    assert [row.trace.seq for row in journal.rows(limit=5000)] == list(range(1, 3001))
    journal.close()


def test_commits_are_grouped(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the time is not up, 256 traces make a commit, or who waits for them."""
    monkeypatch.setattr(recorder_module, "GROUP_SECONDS", 3600.0)
    batches: list[list[int]] = []
    is_there = threading.Event()

    def look(traces: Sequence[Trace]) -> None:
        batches.append([made.seq for made in traces])
        is_there.set()

    recorder.subscribe(look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the writer has every chance to be too early
    try:
        for seq in range(1, 257):
            recorder([trace(seq)])
    finally:
        sys.setswitchinterval(interval)
    assert is_there.wait(60)
    recorder([trace(257)])
    recorder([trace(258)])
    recorder.flush()
    recorder.close()
    assert batches == [list(range(1, 257)), [257, 258]]


# --- a slow disk


class Gate:
    """Holds up the writer of a journal until it is opened."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_reached = threading.Event()
        self.opened = threading.Event()
        self._append = journal.append
        monkeypatch.setattr(journal, "append", self.append)

    def append(self, run: int, traces: Sequence[Trace]) -> None:
        self.is_reached.set()
        assert self.opened.wait(60)
        self._append(run, traces)


def test_when_the_room_is_full_the_caller_waits_and_nothing_is_dropped(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "ROOM_ROWS", 10)
    gate = Gate(recorder.journal, monkeypatch)
    recorder([trace(1)])
    assert gate.is_reached.wait(60)
    recorder([trace(seq) for seq in range(2, 12)])

    is_calling, is_taken = threading.Event(), threading.Event()

    def call() -> None:
        is_calling.set()
        recorder([trace(12)])
        is_taken.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert is_calling.wait(60)
    assert recorder.accepted == 11
    assert not is_taken.is_set()
    assert [made.seq for made in recorder.tail(3)] == [9, 10, 11], "asking does not wait for the disk"
    assert recorder.payload(1) == b"data 1"
    gate.opened.set()
    thread.join()
    recorder.flush()
    assert recorded(recorder) == list(range(1, 13))


def test_large_payloads_fill_the_room_too(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "ROOM_BYTES", 1000)
    gate = Gate(recorder.journal, monkeypatch)
    recorder([trace(1)])
    assert gate.is_reached.wait(60)
    recorder([trace(2, data=bytes(1000))])
    thread = threading.Thread(target=recorder, args=([trace(3)],))
    thread.start()
    assert recorder.accepted == 2
    gate.opened.set()
    thread.join()
    recorder.flush()
    assert recorded(recorder) == [1, 2, 3]


# --- a disk that fails


def test_a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.01)
    seen: list[int] = []
    recorder.subscribe(lambda traces: seen.extend(made.seq for made in traces))
    recorder([trace(1)])
    recorder.flush()
    limit_pages(recorder.journal, 0)
    recorder([trace(2, data=bytes(100_000))])
    with pytest.raises(CaptureError, match="full"):
        recorder.flush()
    assert recorder.error is not None
    recorder([trace(3)])
    assert recorded(recorder) == [1]
    assert [made.seq for made in recorder.tail(5)] == [1, 2, 3]
    limit_pages(recorder.journal, 1 << 30)
    recorder.close()
    assert recorded(recorder) == [1, 2, 3]
    assert recorder.lost == 0
    assert seen == [1, 2, 3], "each once, though the second was tried more than once"


def test_closing_on_a_full_disk_says_how_much_is_lost(recorder: Recorder) -> None:
    limit_pages(recorder.journal, 0)
    recorder([trace(1, data=bytes(100_000))])
    with pytest.raises(CaptureError, match="full"):
        recorder.close()
    assert recorder.lost == 1
    assert recorder.error is not None


def test_while_the_disk_fails_the_caller_does_not_wait(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "ROOM_ROWS", 10)
    limit_pages(recorder.journal, 0)
    recorder([trace(1, data=bytes(100_000))])
    with pytest.raises(CaptureError, match="full"):
        recorder.flush()
    for seq in range(2, 22):
        recorder([trace(seq)])
    assert recorder.accepted == 11
    assert recorder.lost == 10
    limit_pages(recorder.journal, 1 << 30)


def test_one_bad_trace_costs_only_itself(recorder: Recorder) -> None:
    recorder([trace(1), trace(2, name="\ud800"), trace(3)])
    with pytest.raises(CaptureError, match="trace 2 could not be written"):
        recorder.flush()
    recorder([trace(4)])
    recorder.flush()
    assert recorded(recorder) == [1, 3, 4]
    assert recorder.lost == 1
    assert recorder.error is not None


def test_traces_after_close_are_counted_as_lost_and_said(recorder: Recorder) -> None:
    recorder.close()
    recorder([trace(1)])
    assert recorder.lost == 1
    with pytest.raises(CaptureError):
        recorder.flush()


# --- watching


def test_subscribers_get_what_is_on_disk_on_the_writers_thread(recorder: Recorder) -> None:
    got: list[tuple[int, bytes, str]] = []

    def look(traces: Sequence[Trace]) -> None:
        for made in traces:
            got.append((made.seq, recorder.journal.payload(recorder.run, made.seq), threading.current_thread().name))

    unsubscribe = recorder.subscribe(look)
    recorder([trace(1), trace(2)])
    recorder.close()
    unsubscribe()
    unsubscribe()
    name = f"waton-recorder-{recorder.run}"
    assert got == [(1, b"data 1", name), (2, b"data 2", name)]


def test_who_unsubscribed_hears_no_more(recorder: Recorder) -> None:
    got: list[int] = []
    unsubscribe = recorder.subscribe(lambda traces: got.append(len(traces)))
    unsubscribe()
    recorder([trace(1)])
    recorder.close()
    assert got == []


def test_a_subscriber_that_raises_hurts_nobody(recorder: Recorder) -> None:
    got: list[int] = []

    def fail(traces: Sequence[Trace]) -> None:
        raise ZeroDivisionError

    recorder.subscribe(fail)
    recorder.subscribe(lambda traces: got.extend(made.seq for made in traces))
    recorder([trace(1)])
    recorder.flush()
    recorder([trace(2)])
    recorder.close()
    assert got == [1, 2]
    assert recorded(recorder) == [1, 2]
    assert recorder.subscriber_failures == 2


def test_a_subscriber_that_flushes_is_told_instead_of_waiting_for_itself(recorder: Recorder) -> None:
    recorder.subscribe(lambda _: recorder.flush())
    recorder([trace(1)])
    recorder.close()
    assert recorder.subscriber_failures == 1


def test_a_subscriber_may_trace_even_when_there_is_no_room(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "ROOM_ROWS", 0)
    recorder.subscribe(lambda traces: recorder([trace(2)]) if traces[0].seq == 1 else None)
    with recorder._condition:
        recorder._queue.append(trace(1))
        recorder._accepted += 1
        recorder._condition.notify_all()
    while recorder.accepted < 2:
        recorder.flush()
    recorder.flush()
    assert recorded(recorder) == [1, 2]


def test_tail_has_the_last_written_or_not(recorder: Recorder) -> None:
    assert recorder.tail(5) == []
    recorder([trace(seq) for seq in range(1, 11)])
    assert [made.seq for made in recorder.tail(3)] == [8, 9, 10]
    recorder.flush()
    recorder([trace(11)])
    assert recorder.tail(3) == [trace(9), trace(10), trace(11)]
    assert [made.seq for made in recorder.tail(100)] == list(range(1, 12))
    assert recorder.tail(0) == []


def test_payload_of_a_trace_that_is_not_there(recorder: Recorder) -> None:
    with pytest.raises(CaptureError, match="no trace 9"):
        recorder.payload(9)
