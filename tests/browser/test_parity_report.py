"""The parity notebook as somebody reads it, and its widget over a small report whose every row is known."""

import re

import pytest

from tests.browser.conftest import ROOT, Jupyter, LabPage
from tests.browser.test_live_session import cell_of
from tests.unit.widgets.test_parity import TEST
from waton.parity.evidence import Domain

pytestmark = pytest.mark.browser

PARITY = ".waton-parity"
READY = f"{PARITY}[data-ready='true']"
OVERFLOW = "(selector) => { const e = document.querySelector(selector); return e.scrollWidth - e.clientWidth; }"
NOTEBOOK = ROOT / "notebooks" / "parity_report.ipynb"
SETUP = "from tests.unit.widgets.test_parity import *"
MANY = """
more = [Row(Domain.CHATS, Evidence.SCAN, "proto", f"Message.{n:03}", Outcome.EQUAL, "a", "b") for n in range(450)]
widget = ParityWidget(Report((*ROWS, *more), {}))"""


def show(jupyter: Jupyter, name: str, cell: str, *, theme: str = "light") -> LabPage:
    """Open a notebook with this cell, run it, and have it in sight with its widget drawn."""
    page = jupyter.open(jupyter.write(f"{name}.ipynb", [SETUP, cell]), theme=theme)
    page.page.set_viewport_size({"width": 1280, "height": 1300})
    page.run_all()
    page.show_cell(1)
    page.wait_for(READY)
    return page


def titles(page: LabPage) -> list[str]:
    return page.page.locator(f"{PARITY} .waton-item .waton-name").all_inner_texts()


def groups(page: LabPage) -> list[str]:
    return page.page.locator(f"{PARITY} .waton-group").all_inner_texts()


def sides(page: LabPage) -> tuple[str, str]:
    """What stands on the left and on the right."""
    lines = page.page.locator(f"{PARITY} .waton-line[data-mark]")
    texts = [lines.nth(line).locator(".waton-code").all_inner_texts() for line in range(lines.count())]
    return "\n".join(left for left, _ in texts), "\n".join(right for _, right in texts)


def press(page: LabPage, *keys: str) -> None:
    for key in keys:
        page.page.keyboard.press(key)


# --- the notebook ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_notebook_answers_within_three_clicks(jupyter: Jupyter, theme: str) -> None:
    page = jupyter.open(jupyter.copy(NOTEBOOK), theme=theme)
    page.page.set_viewport_size({"width": 1280, "height": 1300})
    page.run_all()
    page.show_cell(cell_of(page, "widget = ParityWidget(report)"))
    page.wait_for(READY)
    page.screenshot(f"parity-{theme}")
    first = page.page.locator(PARITY).first

    first.locator(".waton-map [data-choice='chats/wire']").click()
    page.wait_data(PARITY, "chosen", "chats/wire")
    first.locator(".waton-item", has_text="presence available").first.click()
    page.wait_for(f"{PARITY} .waton-detail[data-row$='presence available']")
    ours, theirs = sides(page)
    assert "<presence" in ours
    assert "<presence" in theirs

    first.locator("[data-choice='scenario:login']").click()
    page.wait_data(PARITY, "chosen", "scenario:login")
    digest = first.locator(".waton-item", has_text="iq get encrypt digest")
    digest.click()
    page.wait_for(f"{PARITY} .waton-detail[data-row='wire/stanza/login/start-up/iq get encrypt digest']")
    assert "<digest/>" in sides(page)[1]
    if digest.get_attribute("data-outcome") != "equal":
        reason = first.locator(".waton-reason").first.inner_text()
        assert re.match(r".\s*(missing|open)\s*\S{2,}", reason)
    page.screenshot(f"parity-login-{theme}")

    one_line = page.page.locator(".jp-CodeCell", has_text='report.stanzas("login")')
    page.show_cell(cell_of(page, 'report.stanzas("login")'))
    assert "iq get encrypt digest" in one_line.locator(".jp-OutputArea-output").inner_text()
    page.show_cell(cell_of(page, "opened.show"))
    page.wait_for(f"{PARITY} .waton-detail[data-row='wire/stanza/login/start-up/client payload login']")
    assert page.console_errors == []
    assert "waton.summary+json" in page.saved()


# --- the widget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_map_rows_and_one_row(jupyter: Jupyter, theme: str) -> None:
    page = show(jupyter, f"parity-{theme}", "widget = ParityWidget(REPORT); widget", theme=theme)
    assert "How to read this" in page.text(f"{PARITY} .waton-list")
    assert page.text("[data-choice='chats/scan']") == "1/2"
    assert page.text("[data-choice='chats/function']") == "–"
    assert page.text("[data-choice='media/']") == "◆media"
    page.click("[data-choice='prekeys/wire']")
    page.wait_data(PARITY, "chosen", "prekeys/wire")
    assert (titles(page), groups(page)) == (["iq digest", "iq count"], ["login › start-up"])
    page.click(f"{PARITY} .waton-item[data-outcome='open']")
    page.wait_for(f"{PARITY} .waton-detail[data-row]")
    assert page.text(f"{PARITY} .waton-sentence") == "Both do this, and differ in 3 places."
    assert TEST in page.text(f"{PARITY} .waton-reasons")
    changed = page.page.locator(f"{PARITY} .waton-line[data-mark='changed']")
    assert changed.locator(".waton-own").all_inner_texts() == ["50", "5"]
    assert page.page.locator(f"{PARITY} .waton-line[data-mark='same']").count() == 3
    assert "order of attributes" in page.text(f"{PARITY} .waton-detail > .waton-hint")
    for width in (1280, 880):
        page.page.set_viewport_size({"width": width, "height": 1300})
        page.screenshot(f"parity-small-{theme}-{width}", PARITY)
        assert page.page.evaluate(OVERFLOW, PARITY) <= 0
    assert page.console_errors == []


def test_a_scenario_says_what_only_baileys_does_and_why(jupyter: Jupyter) -> None:
    page = show(jupyter, "parity-scenario", "widget = ParityWidget(REPORT); widget")
    page.click("[data-choice='scenario:login']")
    page.wait_data(PARITY, "chosen", "scenario:login")
    assert titles(page)[2:5] == ["iq digest", "iq count", "always"]
    assert groups(page) == ["wake", "start-up", "start-up: events"]
    page.click(f"{PARITY} .waton-item[data-outcome='missing']")
    assert page.text(f"{PARITY} .waton-sentence") == "Only Baileys does this."
    assert page.text(f"{PARITY} .waton-reason").split("\n")[-1].endswith("no check")
    assert sides(page) == ("", "<iq/>")
    page.click("[data-choice='scenario:']")
    page.wait_data(PARITY, "chosen", "scenario:")
    assert titles(page) == ["send-album"]
    assert not page.page.locator(f"{PARITY} .waton-detail").is_visible()
    assert page.console_errors == []


def test_words_and_chips_narrow_a_long_list(jupyter: Jupyter) -> None:
    page = show(jupyter, "parity-many", f"{MANY}; widget")
    page.click("[data-choice='chats/scan']")
    page.wait_data(f"{PARITY} .waton-list", "shown", 200)
    assert len(titles(page)) == 200
    page.click(f"{PARITY} .waton-more")
    page.wait_data(f"{PARITY} .waton-list", "shown", 400)
    box = page.wait_for(f"{PARITY} .waton-filter")
    box.fill("message.00 proto")
    page.wait_data(f"{PARITY} .waton-list", "shown", 10)
    box.fill("")
    page.click(f"{PARITY} [data-filter='missing']")
    page.wait_data(f"{PARITY} .waton-list", "shown", 1)
    assert titles(page) == ["star"]
    box.fill("nothing like it")
    assert page.text(f"{PARITY} .waton-rows") == "Nothing passes the filter"
    page.click(f"{PARITY} [data-filter='missing']")
    box.fill("")
    page.wait_data(f"{PARITY} .waton-list", "shown", 200)
    assert page.console_errors == []


def test_without_a_mouse(jupyter: Jupyter) -> None:
    page = show(jupyter, "parity-keys", "widget = ParityWidget(REPORT); widget")
    page.wait_for(f"{PARITY} .waton-map [tabindex='0']").focus()
    down = list(Domain).index(Domain.PREKEYS) + 1  # the first line is of all domains
    press(page, *["ArrowDown"] * down, *["ArrowRight"] * 3, "Enter")
    page.wait_data(PARITY, "chosen", "prekeys/wire")
    page.wait_for(f"{PARITY} .waton-filter").focus()
    press(page, "ArrowDown", "ArrowDown", "Enter")
    page.wait_for(f"{PARITY} .waton-detail[data-row$='iq count']")
    press(page, "Escape")
    assert not page.page.locator(f"{PARITY} .waton-detail").is_visible()
    press(page, "Enter")
    page.wait_for(f"{PARITY} .waton-detail[data-row$='iq count']")
    page.wait_for(f"{PARITY} .waton-detail [aria-label='Close']").focus()
    press(page, "Enter")
    assert page.page.evaluate("document.activeElement.dataset.key").endswith("iq count")
    press(page, "k", " ")
    page.wait_for(f"{PARITY} .waton-detail[data-row$='iq digest']")
    assert page.page.locator(".jp-Cell").count() == 2  # no key got through to the notebook


def test_opened_from_python(jupyter: Jupyter) -> None:
    page = show(jupyter, "parity-show", f"{MANY}; widget")
    page.execute("widget.show('scan/proto/Message.399')")
    page.wait_data(PARITY, "chosen", "chats/scan")
    page.wait_for(f"{PARITY} .waton-detail[data-row='scan/proto/Message.399']")
    item = page.page.locator(f"{PARITY} .waton-item[aria-current]")
    assert item.get_attribute("data-key") == "scan/proto/Message.399"
    assert page.page.locator("[data-choice='chats/scan']").get_attribute("aria-pressed") == "true"
    edges = "(item) => { const at = item.getBoundingClientRect(); return [at.top, at.bottom]; }"
    top, bottom = item.evaluate(edges)
    above, below = page.page.locator(f"{PARITY} .waton-rows").evaluate(edges)
    assert above < top < bottom < below + 1


def test_opened_before_the_view_has_its_overview(jupyter: Jupyter) -> None:
    deaf = """
class HardOfHearing(ParityWidget):
    can_hear = False
    def receive(self, message):
        if self.can_hear or message["type"] != "hello":
            super().receive(message)
widget = HardOfHearing(REPORT); widget"""
    page = jupyter.open(jupyter.write("parity-deaf.ipynb", [SETUP, deaf]))
    page.run_all()
    page.show_cell(1)
    page.wait_for(f"{PARITY}[data-ready='false']")
    page.execute("widget.show('wire/stanza/login/start-up/always'); widget.can_hear = True")
    page.wait_for(f"{PARITY} .waton-detail[data-row='wire/stanza/login/start-up/always']")
    assert page.text("[data-choice='chats/scan']") == "1/2"


def test_a_report_without_rows_says_so(jupyter: Jupyter) -> None:
    page = show(jupyter, "parity-empty", "ParityWidget(Report((), {}))")
    page.wait_until("document.querySelector('.waton-parity').innerText.includes('This report has no rows')")
    assert not page.page.locator(f"{PARITY} .waton-map").is_visible()
    page.screenshot("parity-empty", PARITY)


def test_what_goes_wrong_is_said(jupyter: Jupyter) -> None:
    broken = """
class Broken(Report):
    def row(self, key):
        raise ParityError("the rows are gone")
ParityWidget(Broken(ROWS, {}), scenario="login")"""
    page = show(jupyter, "parity-wrong", broken)
    page.click(f"{PARITY} .waton-item[data-outcome='missing']")
    assert page.text(f"{PARITY} .waton-error") == "the rows are gone"
    page.click("[data-choice='chats/scan']")
    page.wait_data(PARITY, "chosen", "chats/scan")
    assert not page.page.locator(f"{PARITY} .waton-error").is_visible()
