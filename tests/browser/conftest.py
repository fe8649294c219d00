"""JupyterLab in a real Chromium: the `jupyter` fixture.

    def test_it(jupyter):
        notebook = jupyter.write("story.ipynb", ["import waton", ...])      # or jupyter.copy(path)
        page = jupyter.open(notebook, theme="dark")
        page.run_all()
        page.wait_for(".waton-frames[data-ready='true']")
        page.screenshot("frames-dark")
        assert page.console_errors == []

One server for the whole run, one browser for each test. Nothing is waited for by the clock: a command's promise, a
kernel's reply, or an attribute that the widget sets when it has drawn. JupyterLab is driven by its commands, not by
its buttons, so that a new Lab does not break the tests.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

from tests.requirements import require

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"
"""Screenshots, for people to look at. Not compared, not committed."""
TIMEOUT = 30_000
"""Milliseconds for any one wait: generous, since a loaded machine is not a fault."""
WINDOW = {"width": 1280, "height": 1000}
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
KERNEL = """
const panel = [...window.jupyterapp.shell.widgets('main')].find((widget) => widget.sessionContext);
const kernel = panel.sessionContext.session.kernel;
"""


class LabPage:
    """A notebook, open in JupyterLab."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.console_errors: list[str] = []
        """What the page complained of; a test that drew widgets wants it empty."""
        page.set_default_timeout(TIMEOUT)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def load(self) -> None:
        """Open or reload the notebook, until its kernel is idle."""
        self.page.goto(self.url)
        self.page.wait_for_selector(".jp-Notebook")
        self.page.wait_for_function(
            """() => {
                const widget = [...window.jupyterapp.shell.widgets('main')].find((widget) => widget.sessionContext);
                return widget?.sessionContext.session?.kernel?.status === 'idle';
            }"""
        )

    def command(self, name: str, **arguments: object) -> None:
        """Run one of JupyterLab's commands and wait for its promise."""
        self.page.evaluate(
            "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args) }", [name, arguments]
        )

    def start(self, name: str, **arguments: object) -> None:
        """Run one of JupyterLab's commands without waiting."""
        self.page.evaluate("([name, args]) => { window.jupyterapp.commands.execute(name, args) }", [name, arguments])

    def set_theme(self, theme: str) -> None:
        self.command("apputils:change-theme", theme=THEMES[theme])
        self.page.wait_for_selector(
            f"body[data-jp-theme-light='{'true' if theme == 'light' else 'false'}']", state="attached"
        )
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def run_all(self, *, wait: bool = True) -> None:
        """Run all cells; with wait, until the last has finished."""
        (self.command if wait else self.start)("notebook:run-all-cells")

    def show_cell(self, number: int) -> None:
        """Scroll a cell (counted from 0) into view; JupyterLab draws only those that are near."""
        self.page.evaluate(
            f"""async (number) => {{
                {KERNEL}
                panel.content.activeCellIndex = number;
                await panel.content.scrollToItem(number, 'start');
            }}""",
            number,
        )

    def save(self) -> None:
        self.command("docmanager:save")

    def execute(self, code: str) -> str:
        """Run code in the notebook's kernel, outside any cell; returns what it printed. Raises what it raised."""
        answer: dict[str, str] = self.page.evaluate(
            f"""async (code) => {{
                {KERNEL}
                const answer = {{ out: '', error: '' }};
                const future = kernel.requestExecute({{ code, store_history: false }});
                future.onIOPub = (message) => {{
                    if (message.header.msg_type === 'stream') answer.out += message.content.text;
                    if (message.header.msg_type === 'error') answer.error = message.content.traceback.join('\\n');
                }};
                await future.done;
                return answer;
            }}""",
            code,
        )
        if answer["error"]:
            raise AssertionError(answer["error"])
        return answer["out"]

    def wait_for(self, selector: str) -> Locator:
        """The first element of this selector, once it is visible."""
        found = self.page.locator(selector).first
        found.wait_for(state="visible")
        return found

    def wait_until(self, expression: str, argument: object = None) -> None:
        """Until a JavaScript expression or function is true in the page."""
        self.page.wait_for_function(expression, arg=argument)

    def click(self, selector: str) -> None:
        self.wait_for(selector).click()

    def text(self, selector: str) -> str:
        return self.wait_for(selector).inner_text()

    def data(self, selector: str, name: str) -> str:
        """A data- attribute of an element."""
        return self.page.locator(selector).first.get_attribute(f"data-{name}") or ""

    def wait_data(self, selector: str, name: str, value: object) -> None:
        """Until an element's data- attribute has this value."""
        self.page.locator(f"{selector}[data-{name}='{value}']").first.wait_for(state="attached")

    def screenshot(self, name: str, selector: str | None = None) -> Path:
        """A picture of the page, or of one element, under tests/artifacts."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        if selector is None:
            self.page.screenshot(path=path)
        else:
            self.wait_for(selector).screenshot(path=path)
        return path

    def saved(self) -> str:
        """The notebook as it is on disk after saving."""
        self.save()
        path = self.page.evaluate(
            "() => [...window.jupyterapp.shell.widgets('main')].find((widget) => widget.sessionContext).context.path"
        )
        return self.page.evaluate(
            "async (path) => JSON.stringify((await (await fetch('/api/contents/' + path)).json()).content)", path
        )

    def shut_down(self) -> None:
        """End the kernel, so that the next test has the machine for itself."""
        self.page.evaluate(
            "async () => { for (const widget of window.jupyterapp.shell.widgets('main')) "
            "await widget.sessionContext?.shutdown() }"
        )


@dataclass
class Server:
    """A running JupyterLab server."""

    url: str
    folder: Path
    """Where its notebooks are."""


@dataclass
class Jupyter:
    """JupyterLab and a browser."""

    server: Server
    browser: Browser
    pages: list[LabPage] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.server.folder

    def write(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code cells; returns its name."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / name)
        return name

    def copy(self, path: Path) -> str:
        """Copy a notebook to where the server finds it; returns its name."""
        shutil.copy(path, self.folder / path.name)
        return path.name

    def open(self, notebook: str, *, theme: str = "light") -> LabPage:
        """Open a notebook in a fresh browser context; its kernel is ready."""
        context = self.browser.new_context(viewport=WINDOW, reduced_motion="reduce")
        page = LabPage(context.new_page(), f"{self.server.url}/lab/tree/{notebook}?reset")
        self.pages.append(page)
        page.load()
        page.set_theme(theme)
        page.command("application:toggle-left-area")
        return page


@pytest.fixture(scope="session")
def jupyter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab on loopback, with folders of its own, started once."""
    require("chromium")
    base = tmp_path_factory.mktemp("jupyter")
    folder = base / "notebooks"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = base / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    private = {name: str(base / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **private, "PYTHONPATH": str(ROOT), "WATON_HOME": str(base / "waton")}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"),
        *(
            "--LabApp.workspaces_dir=" + str(base / "workspaces"),
            "--LabApp.user_settings_dir=" + str(base / "settings"),
        ),
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stderr is not None
        log: list[str] = []
        for line in process.stderr:
            log.append(line)
            if "is running at" in line:
                break
        else:
            pytest.fail("JupyterLab did not start:\n" + "".join(log))
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield Server(f"http://127.0.0.1:{port}", folder)
        process.terminate()
        process.wait(timeout=30)
        drain.join(timeout=10)


@pytest.fixture
def jupyter(jupyter_server: Server) -> Iterator[Jupyter]:
    """JupyterLab and a Chromium of this test's own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(require("chromium")), args=CHROMIUM)
        running = Jupyter(jupyter_server, browser)
        yield running
        for page in running.pages:
            page.shut_down()
        browser.close()
