"""The command line: `waton demo | lab | notebook`.

Printing is this module's business and nobody else's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from waton.errors import WatonError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        return 130
    except WatonError as error:
        print(f"waton: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="waton", description="Research and debug the WhatsApp Web protocol.")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="pair with the embedded lab, send, receive, and say what was recorded")
    demo.add_argument("--json", action="store_true", help="print the summary as one JSON object, and nothing else")
    demo.add_argument("--path", type=Path, help="keep account and lab here (default: a fresh temporary directory)")
    demo.set_defaults(run=_demo)

    lab = commands.add_parser("lab", help="run the lab for any client, until interrupted")
    lab.add_argument("--port", type=int, default=8080)
    lab.add_argument("--host", default="127.0.0.1", help="loopback unless you say otherwise")
    lab.add_argument("--tls", action="store_true", help="also listen for wss, with a throwaway certificate")
    lab.add_argument("--path", type=Path, help="where its world is kept (default: nowhere)")
    lab.set_defaults(run=_lab)

    notebook = commands.add_parser("notebook", help="open a notebook in JupyterLab, or run it without a browser")
    notebook.add_argument("notebook", type=Path, nargs="?", default=Path("notebooks/live_session.ipynb"))
    notebook.add_argument("--headless", action="store_true", help="execute it and print what happened")
    notebook.add_argument("--port", type=int, default=8888)
    notebook.set_defaults(run=_notebook)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from waton import demo  # starting a command should not load what another one needs

    def say(line: str) -> None:
        if not options.json:
            print(line)

    directory = options.path or Path(tempfile.mkdtemp(prefix="waton-demo-"))
    summary = asyncio.run(demo.run(directory, say))
    if options.json:
        print(json.dumps(summary))
    else:
        print("\n".join(f"{name:12} {value}" for name, value in summary.items()))
    return 0 if summary["paired"] else 1


def _lab(options: argparse.Namespace) -> int:
    from waton.infra.clock import SystemClock
    from waton.infra.entropy import SystemEntropy
    from waton.lab.server import serve_forever

    # What the lab did not understand is for whoever runs it to see.
    log = logging.getLogger("waton.lab")
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    asyncio.run(
        serve_forever(
            state=options.path,
            host=options.host,
            port=options.port,
            tls=options.tls,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            say=lambda line: print(line, flush=True),
        )
    )
    return 0


def _notebook(options: argparse.Namespace) -> int:
    if not options.notebook.exists():
        print(f"waton: no notebook at {options.notebook}", file=sys.stderr)
        return 1
    if options.headless:
        from waton.notebook_run import run_headless

        return run_headless(options.notebook, print)
    from waton.notebook_run import open_jupyterlab

    return open_jupyterlab(options.notebook, options.port)
