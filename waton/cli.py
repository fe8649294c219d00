"""The command line: `waton demo | lab | notebook | parity`.

Printing is this module's business and nobody else's.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from waton.errors import WatonError
from waton.parity import needing_the_extra

_FAULTS_HELP = """\
faults: parts with commas between them, for example  drop=1%,delay=5-40ms,restart=every:200,seed=7

  profiles   slow, flaky, lossy, forgetful, restarts, hostile
  settings   seed=7 (equal seeds, equal faults)   max=100 (in all)   until=60s   pairing=yes (strike QRs too)
  kinds      delay=5-40ms   drop=1%   truncate=1%   corrupt=1%   close=1%   half_open=1%   duplicate=5%   reorder=5%
             lost_ack=5%   lost_answer=5%   stream_error=1%/503|429|515|replaced   restart=every:200/500ms
             clock_skew=-1..1h
  with       1% (of the stanzas) or every:200, in or out, max:3, until:30s, tag:message|receipt, of:NAME (push name),
             joined by slashes: drop=2%/in/tag:message/max:3
"""


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

    lab = commands.add_parser(
        "lab",
        help="run the lab for any client, until interrupted",
        description="Run the lab for any client, until interrupted.",
        epilog=_FAULTS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lab.add_argument("--port", type=int, default=8080)
    lab.add_argument("--host", default="127.0.0.1", help="loopback unless you say otherwise")
    lab.add_argument("--tls", action="store_true", help="also listen for wss, with a throwaway certificate")
    lab.add_argument("--path", type=Path, help="where its world is kept (default: nowhere)")
    lab.add_argument("--faults", metavar="SPEC", help="be a bad network or a tired server: see below")
    lab.set_defaults(run=_lab)

    notebook = commands.add_parser("notebook", help="open a notebook in JupyterLab, or run it without a browser")
    notebook.add_argument("notebook", type=Path, nargs="?", default=Path("notebooks/live_session.ipynb"))
    notebook.add_argument("--headless", action="store_true", help="execute it and print what happened")
    notebook.add_argument("--port", type=int, default=8888)
    notebook.set_defaults(run=_notebook)

    _add_parity(commands.add_parser("parity", help="compare with the real Baileys"))
    return parser


def _add_parity(parity: argparse.ArgumentParser) -> None:
    commands = parity.add_subparsers(required=True, metavar="command")
    setup = commands.add_parser("setup", help="install the Baileys to compare with (needs Node 20)")
    setup.add_argument("--baileys", metavar="VERSION", help="another version than the pinned one")
    setup.set_defaults(run=_parity_setup)

    for name, told in (
        ("run", "compare, hold the outcome to the baseline, and write both if nothing got worse"),
        ("gate", "compare and hold the outcome to the baseline; write nothing"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("--domain", help="one domain only; nothing is written then")
        command.add_argument("--scenario", help="one scenario only; nothing is written then")
        command.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")
        command.add_argument("--baileys", metavar="VERSION", help="another version than the pinned one")
        command.add_argument("--baseline", type=Path, help="the file to hold it to (default: the one in docs/parity)")
        if name == "run":
            command.add_argument("--accept", action="store_true", help="write even if rows got worse or vanished")
        command.set_defaults(run=_parity_run, writes=name == "run", accept=False)

    drift = commands.add_parser("drift", help="what changed between two Baileys, or is new to waton")
    drift.add_argument("old", nargs="?", help="a version that is installed, or a folder")
    drift.add_argument("new", nargs="?", help="a version that is installed, or a folder")
    drift.add_argument("--proto", type=Path, help="instead: a WAProto to hold against ours")
    drift.add_argument("--tokens", type=Path, help="instead: a token dictionary to hold against ours")
    drift.add_argument("--web-version", help="instead: a version of WhatsApp Web, 2.3000.N")
    drift.add_argument("--json", action="store_true", help="print one JSON list, and nothing else")
    drift.set_defaults(run=_parity_drift)


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
    from waton.lab.schedules import Schedule
    from waton.lab.server import serve_forever

    faults = None if options.faults is None else Schedule.parse(options.faults)
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
            faults=faults,
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


def _parity_setup(options: argparse.Namespace) -> int:
    from waton.parity.oracle import PINNED, install

    package = install(options.baileys or PINNED, print)
    print(f"Baileys is at {package}")
    return 0


def _parity_run(options: argparse.Namespace) -> int:
    with needing_the_extra():
        from waton.parity import compare

    def say(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    outcome = compare.compare(
        version=options.baileys,
        domain=options.domain,
        scenario=options.scenario,
        baseline=options.baseline,
        writes=options.writes,
        accept=options.accept,
        say=say,
        progress=_progress if sys.stderr.isatty() else None,
    )
    if options.json:
        print(json.dumps(outcome.summary()))
    return 1 if outcome.complaints else 0


def _progress(line: str) -> None:
    print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)


def _parity_drift(options: argparse.Namespace) -> int:
    with needing_the_extra():
        from waton.parity import compare

    changes = compare.drift(
        options.old, options.new, proto=options.proto, tokens=options.tokens, web_version=options.web_version
    )
    if options.json:
        print(json.dumps([dataclasses.asdict(change) for change in changes]))
    else:
        for change in changes:
            values = " -> ".join(value for value in (change.old, change.new) if value)
            print(
                f"{change.change:9} {'known  ' if change.known else 'UNKNOWN'} {change.kind:16} {change.name}  {values}"
            )
        print(f"{len(changes)} changes, {sum(not change.known for change in changes)} of them unknown to waton")
    return 0
