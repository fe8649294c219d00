"""Widgets without a browser: what they would send is caught, what a view would send is put in."""

from collections.abc import Callable, Iterator, Mapping
from queue import Queue
from typing import Any, Protocol, TypeVar

import pytest

from waton.widgets.base import LiveWidget

W = TypeVar("W", bound=LiveWidget)
PATIENCE = 30.0
"""Seconds; only a failure waits so long."""


class Front:
    """What stands for the browser: messages from the widget, in order."""

    def __init__(self, widget: LiveWidget) -> None:
        self.widget = widget
        self.messages: Queue[Mapping[str, Any]] = Queue()
        self.widget.send = self.messages.put  # instead of a comm, which there is none of outside a kernel

    def say(self, kind: str, view: str = "v", **content: object) -> None:
        self.widget._handle_custom_msg({"type": kind, "view": view, **content}, [])

    def next(self, kind: str) -> Mapping[str, Any]:
        """The next message of this kind; others are passed over."""
        while True:
            message = self.messages.get(timeout=PATIENCE)
            if message["type"] == kind:
                return message

    def ask(self, kind: str, answer: str, **content: object) -> Mapping[str, Any]:
        self.say(kind, **content)
        return self.next(answer)


class Show(Protocol):
    def __call__(self, make: Callable[[], W]) -> tuple[W, Front]: ...


@pytest.fixture
def show() -> Iterator[Callable[[Callable[[], W]], tuple[W, Front]]]:
    """Make a widget and its front; it is closed after the test."""
    made: list[LiveWidget] = []

    def show(make: Callable[[], W]) -> tuple[W, Front]:
        widget = make()
        made.append(widget)
        return widget, Front(widget)

    yield show
    for widget in made:
        widget.close()
