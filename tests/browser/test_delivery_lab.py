"""The delivery notebook as somebody runs it: choose faults, send, watch; and its timeline as a widget of its own."""

import pytest

from tests.browser.conftest import ROOT, Jupyter, LabPage
from tests.browser.test_live_session import cell_of

pytestmark = pytest.mark.browser

NOTEBOOK = ROOT / "notebooks" / "delivery_lab.ipynb"
TIMELINE = ".waton-timeline"
READY = f"{TIMELINE}[data-ready='true']"


def test_x(jupyter: Jupyter) -> None:
    page = jupyter.open(jupyter.copy(NOTEBOOK))
    page.show_cell(cell_of(page, "def send(chat"))
    page.command("notebook:run-all-above")
    page.show_cell(cell_of(page, "choice = Dropdown"))
    page.wait_for(".widget-dropdown select").select_option("flaky")
    page.show_cell(cell_of(page, "session.timeline_widget"))
    page.wait_for(READY)
    page.screenshot("dl-0")
    page.show_cell(cell_of(page, "def send(chat"))
    page.start("notebook:run-all-below")
    page.show_cell(cell_of(page, "session.timeline_widget"))
    page.wait_until("Number(document.querySelector('.waton-timeline').dataset.spans) > 60")
    page.screenshot("dl-1")
    page.wait_until("document.body.innerText.includes('of them once')")
    page.screenshot("dl-2")
    page.page.wait_for_timeout(1500)
    page.screenshot("dl-3", TIMELINE)
    page.set_theme("dark")
    page.page.wait_for_timeout(500)
    page.screenshot("dl-4", TIMELINE)
    page.page.set_viewport_size({"width": 760, "height": 900})
    page.page.wait_for_timeout(800)
    page.screenshot("dl-5")
    page.show_cell(cell_of(page, "widget.freeze()"))
    page.page.wait_for_timeout(800)
    page.screenshot("dl-6")
    page.page.set_viewport_size({"width": 1280, "height": 900})
    page.page.wait_for_timeout(800)
    for n, c in enumerate(["deliveries.sort_values", "session.retries()[", "session.connections()[[", "lanes = session"]):
        page.show_cell(cell_of(page, c))
        page.page.wait_for_timeout(300)
        page.screenshot(f"dl-7{n}")
    assert page.console_errors == []
