"""Write the Python modules of our .proto files, or check that the committed ones are what the .proto files say.

    python tools/proto/generate.py            writes waton/protocol/proto/*_pb2.py, *_pb2.pyi and __init__.py
    python tools/proto/generate.py --check    writes into a temporary folder, compares, exits 1 if anything differs

The output depends on the generators' versions, so these are pinned below and anything else is refused (exit 2).
grpcio-tools carries protoc; the version chosen here writes modules for the protobuf runtime 6.31.1, which runtimes up
to the end of the 7 series accept. mypy-protobuf writes the type stubs, in which HasField and enums are checked by name.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

PINS = {"grpcio-tools": "1.80.0", "mypy-protobuf": "5.1.0"}
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("waton/protocol/proto")
TOP_LEVEL = re.compile(r"^(?:message|enum) (\w+)", re.MULTILINE)
DOCSTRING = '''"""WAProto: every message that WhatsApp's clients and servers exchange in protobuf.

`from waton.protocol import proto`, then `proto.Message`, `proto.ClientPayload`, `proto.SyncActionValue`: all top-level
messages and enums are here under their wire names. The .proto files beside this one hold one domain each.

What holds for all of them:

* Every single field has presence. `HasField` tells an absent number from a zero, as the wire does.
* Repeated numbers are written packed, as Baileys writes them, and both forms are read. A map's entries have no order.
* Enums are open: a number we have no name for is kept in the field and shown. Those whose first number is not zero must
  be closed, says protobuf; there an unnamed number goes to the unknown fields.
* Unknown fields survive parsing and serialising, at every depth, after the known ones.
* Text is not checked for UTF-8 when parsed: the peers' own parsers do not check it, and one cut emoji must not cost a
  message. A text field with invalid UTF-8 is `bytes` when read, whatever its stub says.

What it is not: an interpretation. waton.protocol.message and its neighbours say what the fields mean.

Source: the schema in npm baileys 7.0.0-rc14 (WhatsApp Web 2.3000.1029496320), whole. Added are the messages, fields and
values on which whatsmeow's schema and that of wppconnect's wa-proto (2.3000.1045816814, as whatsmeow's of August 2026)
agree, and the Kyber fields of PreKeySignalMessage, on which the latter agrees with libsignal.
tests/vectors/waproto_inventory.json lists what comes from where.

Written by tools/proto/generate.py; do not edit.
"""
'''


class GenerateError(Exception):
    """The generators are missing, have another version, or refuse the .proto files."""


def require_pins() -> None:
    """Raise GenerateError unless exactly the pinned generators are installed beside this Python."""
    for name, wanted in PINS.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise GenerateError(f"{name}=={wanted} is not installed: pip install {name}=={wanted}") from None
        if found != wanted:
            raise GenerateError(f"{name} is {found}, and the committed modules are made with {wanted}")


def run_protoc(sources: list[Path], out: Path) -> None:
    """Compile `sources` (relative to ROOT) into modules and stubs below `out`."""
    plugin = Path(sysconfig.get_path("scripts")) / "protoc-gen-mypy"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"--python_out={out}", f"--mypy_out=quiet:{out}"]
    command += [f"--plugin=protoc-gen-mypy={plugin}", *map(str, sources)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenerateError(done.stderr.strip())


def exported_names(sources: list[Path]) -> Mapping[str, list[str]]:
    """Top-level messages and enums of each file, by the name of its module, in the order ruff wants."""
    texts = {f"{path.stem}_pb2": (ROOT / path).read_text("utf-8") for path in sources}
    return {module: sorted(TOP_LEVEL.findall(text), key=str.lower) for module, text in texts.items()}


def package_source(names: Mapping[str, list[str]]) -> Iterator[str]:
    """The lines of __init__.py: its docstring, one import for each module, and __all__."""
    yield DOCSTRING
    for module in sorted(names):
        line = f"from .{module} import {', '.join(names[module])}"
        if len(line) <= 120:
            yield line
            continue
        yield f"from .{module} import ("
        yield from (f"    {name}," for name in names[module])
        yield ")"
    yield "\n__all__ = ["
    yield from (f'    "{name}",' for name in sorted(itertools.chain(*names.values())))
    yield "]"


def generate(out: Path) -> None:
    """Write all that is generated below `out`, in the package's folder."""
    sources = sorted(path.relative_to(ROOT) for path in (ROOT / PACKAGE).glob("*.proto"))
    run_protoc(sources, out)
    text = "\n".join(package_source(exported_names(sources))) + "\n"
    (out / PACKAGE / "__init__.py").write_text(text, "utf-8")


def generated_files(root: Path) -> dict[str, bytes]:
    """Name and content of every generated file in the package's folder below `root`."""
    paths = [*(root / PACKAGE).glob("*_pb2.py*"), root / PACKAGE / "__init__.py"]
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def differences() -> list[str]:
    """Names of the files that are missing, left over, or not what the .proto files say."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = generated_files(Path(folder)), generated_files(ROOT)
    return sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))


def write() -> None:
    """Generate in place, and remove modules whose .proto file is gone."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = generated_files(Path(folder))
    for name in generated_files(ROOT).keys() - fresh.keys():
        (ROOT / PACKAGE / name).unlink()
    for name, content in fresh.items():
        (ROOT / PACKAGE / name).write_bytes(content)


def main() -> int:
    """Run one of the two commands; see the module's docstring for the exit codes."""
    parser = argparse.ArgumentParser(description="Generate the WAProto modules.")
    parser.add_argument("--check", action="store_true", help="compare with the committed modules instead of writing")
    arguments = parser.parse_args()
    try:
        require_pins()
        stale = differences() if arguments.check else write()
    except GenerateError as error:
        print(error, file=sys.stderr)
        return 2
    if stale:
        print("not what the .proto files say; run tools/proto/generate.py: " + ", ".join(stale), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
