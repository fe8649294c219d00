"""The recorder: takes traces from whoever watches, at once, and writes them in the order in which they came.

Called from the protocol's own thread (or several), it only appends to a list; a thread of its own commits what has
gathered, every 20 ms or 256 traces. Nothing is dropped to keep up: when 65,536 traces or 64 MiB wait, the caller waits
for room, for the writer does some 100,000 traces a second and memory must end somewhere. Only while the file cannot be
written (a full disk) does the recorder not hold up its caller: it keeps what fits, tries again every second, and counts
what did not fit in `lost`. Every failure is in `error`, and is raised by flush() and close().

Subscribers are called on the writer's thread, after each commit, with that commit's traces: what they get is on disk
(except while the disk fails: then they get it once all the same). One that raises is counted and hurts nobody else.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from waton.capture.journal import Journal, RefusedTrace
from waton.errors import CaptureError
from waton.protocol.trace import Trace, TraceSink

GROUP_SECONDS: Final = 0.02
GROUP_ROWS: Final = 256
ROOM_ROWS: Final = 65_536
ROOM_BYTES: Final = 64 << 20
RETRY_SECONDS: Final = 1.0


class Recorder:
    """A TraceSink over a journal, for one run. It owns the journal from here on, and closes it.

    Args:
        journal: open for writing.
        client: which program is observed.
        vantage: from which side.
        meta: whatever else should be known of the run, fit for JSON.
    Raises:
        CaptureError: the run cannot be begun.
    """

    def __init__(self, journal: Journal, *, client: str, vantage: str, meta: Mapping[str, Any] | None = None) -> None:
        self.journal = journal
        self.run = journal.begin_run(client, vantage, meta)
        """The run's id in the journal."""
        self.error: CaptureError | None = None
        """The last failure to write, if there was one."""
        self.lost = 0
        """Traces that are not in the journal and never will be."""
        self.subscriber_failures = 0
        """How many times a subscriber raised."""
        self._condition = threading.Condition()
        self._queue: list[Trace] = []
        self._queued_bytes = 0
        self._in_hand: list[Trace] = []
        self._accepted = 0
        self._done = 0
        self._hurrying = 0
        self._is_failing = False
        self._is_closing = False
        self._reported = 0
        self._subscribers: list[TraceSink] = []
        self._thread = threading.Thread(target=self._work, name=f"waton-recorder-{self.run}", daemon=True)
        self._thread.start()
        # The thread is a daemon so that a forgotten recorder does not keep a program from ending; nor is it cut short.
        atexit.register(self._close_at_exit)

    # --- taking ---

    def __call__(self, traces: Sequence[Trace]) -> None:
        """Take traces; they are on disk within a few tens of milliseconds. Never raises. From any thread."""
        with self._condition:
            if not self._has_room():
                self._condition.notify_all()
                self._condition.wait_for(self._may_go_on)
            if self._is_closing or (self._is_failing and not self._has_room()):
                self._lose(
                    len(traces), CaptureError(str(self.journal.path), None, "traces came when none could be kept")
                )
                return
            before = len(self._queue)
            self._queue.extend(traces)
            self._queued_bytes += sum(len(trace.data) for trace in traces)
            self._accepted += len(traces)
            if before == 0 or before < GROUP_ROWS <= len(self._queue):
                self._condition.notify_all()

    def _has_room(self) -> bool:
        return len(self._queue) < ROOM_ROWS and self._queued_bytes < ROOM_BYTES

    def _may_go_on(self) -> bool:
        is_own_thread = threading.current_thread() is self._thread
        return self._has_room() or self._is_failing or self._is_closing or is_own_thread

    def _lose(self, count: int, error: CaptureError) -> None:
        self.lost += count
        self.error = error

    @property
    def accepted(self) -> int:
        """How many traces this run has taken."""
        return self._accepted

    # --- writing, on a thread of its own ---

    def _work(self) -> None:
        try:
            while self._take_group():
                self._write_group()
        except BaseException as error:
            self._give_up(error)
            raise

    def _give_up(self, error: BaseException) -> None:
        """The writer met what it was not made for: nobody may wait for it any more."""
        with self._condition:
            detail = f"the writer stopped: {type(error).__name__}"
            self._lose(self._accepted - self._done, CaptureError(str(self.journal.path), None, detail))
            self._is_closing = True
            self._done = self._accepted
            self._condition.notify_all()

    def _take_group(self) -> bool:
        """Wait for traces, and a little longer for more. False when closed and all is written."""
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._is_closing)
            self._condition.wait_for(self._is_due, timeout=GROUP_SECONDS)
            self._in_hand, self._queue = self._queue, []
            self._queued_bytes = 0
            self._condition.notify_all()
            return bool(self._in_hand)

    def _is_due(self) -> bool:
        return len(self._queue) >= GROUP_ROWS or self._hurrying > 0 or self._is_closing

    def _write_group(self) -> None:
        group = self._in_hand
        if self._try_to_write(group):
            self._put_down(group, is_written=True)
            self._publish(group)
        else:
            self._publish(group)
            self._put_down(group, is_written=self._retry(group))

    def _retry(self, group: Sequence[Trace]) -> bool:
        """Try until it is written, or once more after closing began."""
        is_last_try = False
        while not is_last_try:
            is_last_try = self._wait_to_retry()
            if self._try_to_write(group):
                return True
        return False

    def _put_down(self, group: Sequence[Trace], *, is_written: bool) -> None:
        with self._condition:
            if not is_written:
                self.lost += len(group)
                self._is_failing = False
            self._done += len(group)
            self._in_hand = []
            self._condition.notify_all()

    def _try_to_write(self, group: Sequence[Trace]) -> bool:
        try:
            self.journal.append(self.run, group)
        except RefusedTrace:
            return self._write_singly(group)
        except CaptureError as error:
            with self._condition:
                self.error, self._is_failing = error, True
                self._condition.notify_all()
            return False
        with self._condition:
            self._is_failing = False
        return True

    def _write_singly(self, group: Sequence[Trace]) -> bool:
        """Find the trace that no row can hold, and keep all others."""
        for trace in group:
            try:
                self.journal.append(self.run, [trace])
            except (RefusedTrace, CaptureError) as error:
                detail = f"trace {trace.seq} could not be written ({error})"
                with self._condition:
                    self._lose(1, CaptureError(str(self.journal.path), None, detail))
        return True

    def _wait_to_retry(self) -> bool:
        """Wait a little. True when the next try is the last."""
        with self._condition:
            return self._condition.wait_for(lambda: self._is_closing, timeout=RETRY_SECONDS)

    def _publish(self, group: Sequence[Trace]) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(group)
            except Exception:  # noqa: BLE001  a subscriber may raise anything; recording and the others go on
                self.subscriber_failures += 1

    # --- watching ---

    def subscribe(self, callback: TraceSink) -> Callable[[], None]:
        """Call back with every batch from now on, on the writer's thread; be quick, and do not flush() there.

        Returns:
            The way to stop that.
        """
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):  # it was stopped before
                self._subscribers.remove(callback)

        return unsubscribe

    def tail(self, count: int) -> list[Trace]:
        """The last traces of this run, oldest first, written or not. Subscribe first and drop what comes twice."""
        with self._condition:
            pending = [*self._in_hand, *self._queue]
        if len(pending) < count:
            known = {trace.seq for trace in pending}
            pending = [t for t in self.journal.last(self.run, count) if t.seq not in known] + pending
        return pending[-count:] if count > 0 else []

    def payload(self, seq: int) -> bytes:
        """The bytes of a trace of this run. Raises CaptureError: there is no such trace."""
        with self._condition:
            pending = [*self._in_hand, *self._queue]
        for trace in pending:
            if trace.seq == seq:
                return trace.data
        return self.journal.payload(self.run, seq)

    # --- ending ---

    def flush(self) -> None:
        """Wait until all traces taken so far are on disk. Not from a subscriber.

        Raises:
            CaptureError: they cannot be written now, or some were lost since the last flush.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a subscriber runs on the writer's thread: flushing there would wait for itself")
        with self._condition:
            target = self._accepted
            self._hurrying += 1
            self._condition.notify_all()
            try:
                self._condition.wait_for(lambda: self._done >= target or self._is_failing)
            finally:
                self._hurrying -= 1
            self._report()

    def close(self) -> None:
        """Write what is left, end the run and close the journal. May be called twice. Not from a subscriber.

        Raises:
            CaptureError: not everything could be written.
        """
        with self._condition:
            is_first = not self._is_closing
            self._is_closing = True
            self._condition.notify_all()
        self._thread.join()
        try:
            if is_first:
                self._end_run()
        finally:
            with self._condition:
                self._report()

    def _end_run(self) -> None:
        atexit.unregister(self._close_at_exit)
        try:
            self.journal.end_run(self.run)
        finally:
            self.journal.close()

    def _report(self) -> None:
        """Raise what went wrong, a loss once."""
        if self.error is not None and (self._is_failing or self.lost > self._reported):
            self._reported = self.lost
            raise CaptureError(self.error.path, self.error.version, self.error.detail) from self.error

    def _close_at_exit(self) -> None:
        with suppress(CaptureError):  # the program is over; `error` was there to be asked for
            self.close()

    def __repr__(self) -> str:
        return f"<Recorder run {self.run}: {self._accepted} traces, {self.lost} lost>"
