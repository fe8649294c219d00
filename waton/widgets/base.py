"""What the widgets have in common: one thread for all of them, one way in, one way out, errors in sight.

A widget is called from three sides: by its source (a session's own thread, a recorder's), by the front end (the
kernel's main thread or, with JupyterLab 4.4 and ipykernel 7, a subshell's thread), and by the cell that makes it. None
of them may be held up and none may meet another, so each only posts to the widgets' thread, and everything else
happens there.

Sending from there is safe: ipykernel hands every outgoing message to its IOPub thread through a queue, whichever thread
it comes from. It is not so simple the other way round, see `answer_where_asked`.

What a callback raises is shown in the widget's status line; ipywidgets would only log it where nobody looks.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from asyncio import TimerHandle
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeGuard

import anywidget

from waton.errors import WatonError
from waton.infra.loop_thread import LoopThread
from waton.widgets.sources import Unsubscribe

_HERE = Path(__file__).parent
_MODULE_LIMIT = 60 * 1024
"""Bytes. The module is sent once for each instance, and saved by those who save widget state."""


def front_end(name: str) -> tuple[str, str]:
    """The ES module and the style sheet of a widget: what all share, then its own.

    Raises:
        ValueError: the module is over its budget.
    """
    module, style = (
        "\n".join((_HERE / f"{part}.{kind}").read_text(encoding="utf-8") for part in ("common", name))
        for kind in ("js", "css")
    )
    if len(module.encode()) > _MODULE_LIMIT:
        raise ValueError(f"{name}.js is over {_MODULE_LIMIT} bytes")
    return module, style


# --- the widgets' thread ---------------------------------------------------------------------------------------------

_thread: LoopThread | None = None
_thread_lock = threading.Lock()


def widget_thread() -> LoopThread:
    """The one thread on which all widgets do their work."""
    global _thread
    with _thread_lock:
        if _thread is None or not _thread.is_running:
            _thread = LoopThread("waton-widgets")
            atexit.register(_thread.stop)
        return _thread


# --- the cell a widget was made in -----------------------------------------------------------------------------------

_made_in: dict[str, tuple[str, list[weakref.ref[LiveWidget]]]] = {}
"""Of each cell: the run that was last seen, and the widgets that run made."""


def _running_cell() -> tuple[str, str] | None:
    """The id of the cell that is being run, and of this run of it; None outside a notebook."""
    from IPython.core.getipython import get_ipython  # only a kernel has one, and then it is loaded already

    ask: Callable[[], object] | None = getattr(get_ipython(), "get_parent", None)  # ipykernel's shell has it
    parent = ask() if ask is not None else None
    if not is_message(parent):
        return None
    metadata, header = parent.get("metadata"), parent.get("header")
    if not is_message(metadata) or not is_message(header) or "cellId" not in metadata:
        return None
    return str(metadata["cellId"]), str(header.get("msg_id"))


def _close_earlier_runs(made: LiveWidget) -> None:
    """Close what an earlier run of this cell made: its view is gone, and two of a kind would both follow the source."""
    running = _running_cell()
    if running is None:
        return
    cell, run = running
    seen, widgets = _made_in.get(cell, ("", []))
    if seen != run:
        for widget in (known() for known in widgets):
            if widget is not None:
                widget.close()
        widgets = []
        _made_in[cell] = (run, widgets)
    widgets.append(weakref.ref(made))


# --- messages --------------------------------------------------------------------------------------------------------


def is_message(value: object) -> TypeGuard[Mapping[str, object]]:
    """True for a JSON object."""
    return isinstance(value, dict)


def text_of(message: Mapping[str, object], key: str) -> str:
    """A text of a message from the front end. Raises ValueError."""
    value = message.get(key)
    if not isinstance(value, str):
        raise ValueError(f"the view sent no text for {key!r}")
    return value


def number_of(message: Mapping[str, object], key: str) -> int:
    """A whole number of a message from the front end. Raises ValueError."""
    value = message.get(key)
    if not isinstance(value, int | float):
        raise ValueError(f"the view sent no number for {key!r}")
    return int(value)


def said(error: BaseException) -> str:
    """An error in one line: waton's are sentences, others are named."""
    text = str(error)
    if isinstance(error, WatonError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def answer_where_asked(comm: object) -> None:
    """Let the view's messages reach the thread that JupyterLab addressed them to.

    ipykernel 7.4 sends a front end's message to the shell of whatever request was current when the kernel last *sent*
    on that comm, and for a widget that is the cell that made it, or the one now running. So a button pressed during a
    cell that waits for that button would wait for the cell. Our handlers may run on any thread; nothing needs the
    detour. Harmless where ipykernel has no such detour.

    Source: ipykernel 7.4.0 comm/comm.py and kernelbase.py, shell_channel_thread_main; seen in JupyterLab 4.6.
    """
    if hasattr(comm, "_reply_subshell_for"):

        def as_addressed(data: object, default: str | None) -> str | None:
            return default

        setattr(comm, "_reply_subshell_for", as_addressed)  # noqa: B010 -- not an attribute of every comm


# --- the widget ------------------------------------------------------------------------------------------------------


class LiveWidget(anywidget.AnyWidget):
    """A widget that follows a source. Subclasses say what to do with a message, and what to say without a browser."""

    title: ClassVar[str]
    """What this is, for text/plain."""

    _unsubscribes: tuple[Unsubscribe, ...] = ()
    _is_closed = False

    def __init__(self) -> None:
        self._thread = widget_thread()
        super().__init__()
        answer_where_asked(self.comm)
        self.on_msg(self._received)  # pyright: ignore[reportUnknownMemberType]
        _close_earlier_runs(self)

    # --- for subclasses

    def receive(self, message: Mapping[str, object]) -> None:
        """Handle a message from a view; on the widgets' thread. May raise: it is shown."""
        raise NotImplementedError

    def summary(self) -> str:
        """One line for a place without a browser, such as an executed notebook on disk. No address, no text, no QR."""
        raise NotImplementedError

    def follow(self, unsubscribe: Unsubscribe) -> None:
        """Remember to stop this when the widget is closed."""
        self._unsubscribes += (unsubscribe,)

    def post(self, work: Callable[[], None]) -> None:
        """Do this on the widgets' thread, soon; from any thread."""
        if not self._is_closed:
            with suppress(RuntimeError):  # the interpreter is going, and the loop went first
                self._thread.call_soon(lambda: self._run(work))

    def post_later(self, seconds: float, work: Callable[[], None]) -> TimerHandle:
        """Do this on the widgets' thread after a while; only from that thread."""
        return self._thread.loop.call_later(seconds, self._run, work)

    def push(self, message: Mapping[str, object]) -> None:
        """Send to all views; only from the widgets' thread."""
        if not self._is_closed:
            self.send(message)  # pyright: ignore[reportUnknownMemberType]

    def show_error(self, error: BaseException) -> None:
        """Put an error into the status line of every view."""
        self.push({"type": "error", "text": said(error)})

    # --- life

    def close(self) -> None:
        """Stop following the source and take the views away. May be called twice, from any thread."""
        self._is_closed = True
        unsubscribes, self._unsubscribes = self._unsubscribes, ()
        for unsubscribe in unsubscribes:
            unsubscribe()
        super().close()

    def _received(self, _: object, content: object, buffers: object) -> None:
        if is_message(content):
            self.post(lambda: self.receive(content))

    def _run(self, work: Callable[[], None]) -> None:
        if self._is_closed:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 -- a source may raise anything; the status line is where it is seen
            self.show_error(error)

    def __repr__(self) -> str:
        return f"<{self.title}: {'closed' if self._is_closed else self._summary()}>"

    def _summary(self) -> str:
        try:
            return self.summary()
        except WatonError as error:  # a session that is closed for good
            return str(error)
