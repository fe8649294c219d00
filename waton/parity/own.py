"""Reading waton's source tree: what it declares, without importing a line of it.

A symbol is written "path/inside/waton.py:Qual.name" and is looked up in the file's syntax tree; one whose body only
says that it is not there yet does not count. So a claim of parity can be false about behaviour, which running shows,
but not about existence.

The values by which both sides are told are here as well: a `Shape` is one kind of stanza, a `Schema` the protobuf
messages and enums with their fields. waton.parity.typescript gives the same values for Baileys.

What is read of a stanza is what stands in the code as a constant. "*" stands for what is computed.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TypeAlias

from waton.errors import ParityError

STANZA_TAGS = frozenset({"iq", "message", "receipt", "ack", "presence", "chatstate", "call", "ib"})
"""What a client sends by itself; every other tag is a child of one of these."""
CHILD_TAGS = frozenset({"iq", "chatstate", "call", "ib"})
"""Where the first child says what the stanza is for."""
COMPUTED = "*"
SINGLE_TOKENS = 236
DICTIONARY_TOKENS = 256
DICTIONARIES = 4

Schema: TypeAlias = Mapping[str, Mapping[str, str]]
"""Message or enum, with dots for nesting -> field or value -> "repeated uint32 = 4", "= 2"; "" where unknown."""
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_SCHEMA_FOLDER = Path("protocol", "proto")
_WATON_FOLDERS = ("client", "protocol")
_DEPTH = 8


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """One kind of stanza. "" where it has none of it, "*" where it is computed."""

    tag: str
    type: str = ""
    xmlns: str = ""
    child: str = ""
    """The first child's tag, for the tags in CHILD_TAGS."""

    @property
    def name(self) -> str:
        """Its parts in one line: "iq get encrypt count"."""
        return " ".join(part for part in (self.tag, self.type, self.xmlns, self.child) if part)

    def covers(self, other: Shape) -> bool:
        """True when every stanza of the other shape could be one of this."""
        mine = (self.tag, self.type, self.xmlns, self.child)
        theirs = (other.tag, other.type, other.xmlns, other.child)
        return all(ours in (COMPUTED, its) for ours, its in zip(mine, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token dictionaries of the binary codec."""

    single: tuple[str, ...]
    double: tuple[tuple[str, ...], ...]

    def named(self) -> dict[str, tuple[str, ...]]:
        """Each dictionary under its name."""
        return {"single-byte": self.single, **{f"double-byte {i}": words for i, words in enumerate(self.double)}}


# --- protobuf -------------------------------------------------------------------------------------------------------

_PROTO_TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"[^\"]*\"|-?\d+|[A-Za-z_.][\w.]*|[{}=;<>,\[\]()]", re.DOTALL)


def read_schema(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """The messages and enums of .proto files, proto2, proto3 or an edition."""
    schema: dict[str, dict[str, str]] = {}
    for text in texts:
        words = [word for word in _PROTO_TOKEN.findall(text) if not word.startswith(("//", "/*"))]
        _read_body(words, 0, "", schema)
    return schema


def _read_body(words: list[str], at: int, holder: str, schema: dict[str, dict[str, str]]) -> int:
    """Read statements up to the closing brace; returns the place after it."""
    while at < len(words) and words[at] != "}":
        end = _statement_end(words, at)
        head = words[at:end]
        if end < len(words) and words[end] == "{":
            inner = holder
            if head[0] in ("message", "enum"):
                inner = f"{holder}.{head[1]}" if holder else head[1]
                schema.setdefault(inner, {})
            at = _read_body(words, end + 1, inner, schema)
        else:
            if holder and "=" in head and head[0] not in ("option", "reserved", "extensions"):
                name, what = _read_field(head)
                schema[holder][name] = what
            at = end + 1
    return at + 1


def _statement_end(words: list[str], at: int) -> int:
    while at < len(words) and words[at] not in (";", "{"):
        at += 1
    return at


def _read_field(head: list[str]) -> tuple[str, str]:
    equals = head.index("=")
    name, number = head[equals - 1], head[equals + 1]
    kind = [word.rpartition(".")[2] for word in head[: equals - 1] if word not in ("optional", "required")]
    text = "".join(kind) if "<" in kind else " ".join(kind)
    return _camel(name) if kind else name, f"{text} = {number}".strip()


def _camel(name: str) -> str:
    """A field's name as protobufjs has it, with which Baileys is built: user_id is userId."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


# --- the tree -------------------------------------------------------------------------------------------------------


class Waton:
    """What a waton package declares.

    Args:
        root: the package's folder.
    Raises:
        ParityError: there is no waton package at `root`.
    """

    def __init__(self, root: Path) -> None:
        wanted = ("client/client.py", "protocol/binary_node.py", "errors.py", "_core.pyi")
        lacking = [name for name in wanted if not (root / name).is_file()]
        if lacking:
            raise ParityError(f"no waton package at {root}: it has no {lacking[0]}")
        self._root = root
        self._modules: dict[str, ast.Module | None] = {}

    def module(self, path: str) -> ast.Module | None:
        """The syntax tree of a module by its path inside waton, None when there is none."""
        if path not in self._modules:
            self._modules[path] = _parse(self._root / path)
        return self._modules[path]

    def defines(self, path: str) -> tuple[str, ...]:
        """The names a module defines at its top level; none for an absent module."""
        module = self.module(path)
        return () if module is None else tuple(name for name, _ in _members(module.body))

    def find(self, symbol: str) -> ast.stmt | None:
        """The statement that defines a symbol."""
        path, _, qualified = symbol.partition(":")
        module = self.module(path)
        body: Sequence[ast.stmt] = [] if module is None else module.body
        found: ast.stmt | None = None
        for part in qualified.split("."):
            found = next((statement for name, statement in _members(body) if name == part), None)
            if found is None:
                return None
            body = found.body if isinstance(found, ast.ClassDef) else []
        return found

    def why_not(self, symbol: str) -> str:
        """Why a symbol does not count; "" when it does."""
        path, _, qualified = symbol.partition(":")
        if self.module(path) is None:
            return f"waton has no {path}"
        found = self.find(symbol)
        if found is None:
            return f"{path} defines no {qualified}"
        if isinstance(found, Function) and path.endswith(".py") and _is_hollow(found):
            return f"{qualified} in {path} does nothing yet"
        return ""

    # --- what is declared -------------------------------------------------------------------------------------------

    @cached_property
    def events(self) -> dict[str, str]:
        """Event name -> the class that is it."""
        found: dict[str, str] = {}
        for name, statement in _members(self._body("client/events.py")):
            if isinstance(statement, ast.ClassDef):
                told = dict(_constants(statement.body)).get("type")
                if isinstance(told, str):
                    found[told] = f"client/events.py:{name}"
        return found

    def default(self, symbol: str) -> str:
        """The text of a field's default, "" when it has none."""
        found = self.find(symbol)
        if isinstance(found, ast.AnnAssign | ast.Assign) and found.value is not None:
            return ast.unparse(found.value)
        return ""

    @cached_property
    def web_version(self) -> str:
        """2.3000.N, as the client payload says it."""
        return ".".join(re.findall(r"\d+", self.default("protocol/client_payload.py:Browser.version")))

    def members(self, symbol: str) -> dict[str, str | int]:
        """The constants of an enum class."""
        found = self.find(symbol)
        if not isinstance(found, ast.ClassDef):
            return {}
        return {name: value for name, value in _constants(found.body) if isinstance(value, str | int)}

    def table(self, symbol: str) -> dict[int, str]:
        """A dictionary from numbers to an enum's members: number -> the member's name."""
        found = self.find(symbol)
        value = found.value if isinstance(found, ast.AnnAssign | ast.Assign) else None
        if not isinstance(value, ast.Dict):
            return {}
        return {
            key.value: member.attr
            for key, member in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, int) and isinstance(member, ast.Attribute)
        }

    @cached_property
    def schema(self) -> Schema:
        """The protobuf messages and enums of our .proto files. Raises ParityError when there are none."""
        paths = sorted((self._root / _SCHEMA_FOLDER).glob("*.proto"))
        if not paths:
            raise ParityError(f"no .proto file in the waton at {self._root}")
        return read_schema([path.read_text("utf-8") for path in paths])

    @cached_property
    def tokens(self) -> Tokens:
        """The token dictionaries: of the source when it is beside the package, else of the built extension."""
        source = self._root.parent / "rust" / "src" / "core" / "tokens.txt"
        if source.is_file():
            return tokens_of(source.read_text("utf-8").split("\n"))
        single, double = importlib.import_module("waton._core").token_tables()
        return Tokens(tuple(single), tuple(tuple(words) for words in double))

    @cached_property
    def shapes(self) -> dict[Shape, str]:
        """The stanzas the client sends -> where they are made."""
        return {shape: place for shape, (place, is_sent) in self._declared_shapes.items() if is_sent}

    @cached_property
    def unsent(self) -> dict[Shape, str]:
        """The stanzas that are declared and that no part of the client sends -> where."""
        return {shape: place for shape, (place, is_sent) in self._declared_shapes.items() if not is_sent}

    @cached_property
    def _declared_shapes(self) -> dict[Shape, tuple[str, bool]]:
        paths = [path for folder in _WATON_FOLDERS for path in sorted((self._root / folder).rglob("*.py"))]
        names = [path.relative_to(self._root).as_posix() for path in paths if not path.stem.endswith("_pb2")]
        modules = {name: module for name in names if (module := self.module(name)) is not None}
        return _Stanzas(modules).read()

    def _body(self, path: str) -> Sequence[ast.stmt]:
        module = self.module(path)
        return [] if module is None else module.body


def tokens_of(lines: Sequence[str]) -> Tokens:
    """The dictionaries from one token a line, in the order of rust/src/core/tokens.txt."""
    starts = range(SINGLE_TOKENS, SINGLE_TOKENS + DICTIONARIES * DICTIONARY_TOKENS, DICTIONARY_TOKENS)
    return Tokens(
        tuple(lines[:SINGLE_TOKENS]), tuple(tuple(lines[start : start + DICTIONARY_TOKENS]) for start in starts)
    )


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_text("utf-8"))
    except OSError:
        return None
    except (SyntaxError, ValueError) as error:
        raise ParityError(f"{path} is no Python: {error}") from error


def _members(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that statements define."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, statement
            case ast.Assign(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        yield target.id, statement
            case _:
                pass


def _constants(body: Sequence[ast.stmt]) -> Iterator[tuple[str, object]]:
    for name, statement in _members(body):
        if isinstance(statement, ast.AnnAssign | ast.Assign) and isinstance(statement.value, ast.Constant):
            yield name, statement.value.value


def _is_hollow(function: Function) -> bool:
    """True for a body that only raises NotImplementedError, or has nothing at all in it."""
    body = [statement for statement in function.body if not _is_remark(statement)]
    if not body:
        return True
    first = body[0]
    if len(body) > 1 or not isinstance(first, ast.Raise) or first.exc is None:
        return False
    raised = first.exc.func if isinstance(first.exc, ast.Call) else first.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _is_remark(statement: ast.stmt) -> bool:
    """A docstring, an ellipsis or a pass."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


# --- stanzas --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where an expression stands."""

    path: str
    function: Function | None


class _Stanzas:
    """Finds the stanzas in the modules of the client and the protocol."""

    def __init__(self, modules: Mapping[str, ast.Module]) -> None:
        self._modules = modules
        self._functions: dict[tuple[str, str], tuple[str, Function]] = {}
        self._enums: dict[str, dict[str, str]] = {}
        self._defaults: dict[tuple[str, str], ast.expr] = {}
        for path, module in modules.items():
            for name, statement in _members(module.body):
                if isinstance(statement, Function):
                    self._functions[Path(path).stem, name] = (path, statement)
                elif isinstance(statement, ast.ClassDef):
                    self._note_class(name, statement)

    def _note_class(self, name: str, statement: ast.ClassDef) -> None:
        values = {key: value for key, value in _constants(statement.body) if isinstance(value, str)}
        self._enums.setdefault(name, {}).update(values)
        for key, member in _members(statement.body):
            if isinstance(member, ast.AnnAssign) and member.value is not None:
                self._defaults[name, key] = member.value

    def read(self) -> dict[Shape, tuple[str, bool]]:
        """Shape -> (where it is made, whether the client sends it)."""
        sent = self._names_in_use()
        found: dict[Shape, tuple[str, bool]] = {}
        for path, module in self._modules.items():
            for name, statement in _members(module.body):
                is_sent = path.startswith("client/") or name in sent
                for place, shape in self._shapes(path, name, statement):
                    if shape not in found or (is_sent and not found[shape][1]):
                        found[shape] = (place, is_sent)
        return found

    def _names_in_use(self) -> set[str]:
        """What the client names, and what that names in turn."""
        protocol = {
            name: statement
            for path, module in self._modules.items()
            if not path.startswith("client/")
            for name, statement in _members(module.body)
        }
        seen: set[str] = set()
        waiting = {
            name for path, module in self._modules.items() if path.startswith("client/") for name in _names(module)
        }
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                if name in protocol:
                    waiting |= set(_names(protocol[name]))
        return seen

    def _shapes(self, path: str, name: str, statement: ast.stmt) -> Iterator[tuple[str, Shape]]:
        members = _members(statement.body) if isinstance(statement, ast.ClassDef) else [("", statement)]
        for inner, member in members:
            if isinstance(member, Function) and not member.name.startswith("from_"):  # reads one, makes none
                qualified = f"{name}.{inner}" if inner else name
                scope = _Scope(path, member)
                for call in ast.walk(member):
                    if isinstance(call, ast.Call):
                        for shape in self._shapes_of(call, scope):
                            yield f"{path}:{qualified}", shape

    def _shapes_of(self, call: ast.Call, scope: _Scope) -> Iterator[Shape]:
        base, name = _callee(call)
        if name == "Node" and call.args:
            yield from self._of_node(call, scope)
        elif (base, name) == ("iq", "request") and len(call.args) > 2:
            yield from self._of_request(call.args[2], call.args[1], call.args[3:4], scope)
        elif name == "query" and len(call.args) > 2:
            yield from self._of_request(call.args[0], call.args[1], call.args[2:3], scope)
        elif name in ("Receipt", "OutgoingMessage"):
            tag = "receipt" if name == "Receipt" else "message"
            given = [key.value for key in call.keywords if key.arg == "type"]
            if name == "Receipt":
                given += call.args[2:3]
            kind = given[0] if given else self._defaults.get((name, "type"))
            for type in sorted({""} if kind is None else self._values(kind, scope)):
                if not _is_carried(kind):
                    yield Shape(tag, type)

    def _of_request(
        self, xmlns: ast.expr, type: ast.expr, content: Sequence[ast.expr], scope: _Scope
    ) -> Iterator[Shape]:
        spaces, types = self._values(xmlns, scope), self._values(type, scope)
        if spaces == {COMPUTED}:
            return  # hands on what its caller says
        children = self._children(content[0], scope) if content else {""}
        for space, kind, child in product(sorted(spaces), sorted(types), sorted(children)):
            yield Shape("iq", kind, space, child)

    def _of_node(self, call: ast.Call, scope: _Scope) -> Iterator[Shape]:
        attrs = self._attrs(call.args[1], scope) if len(call.args) > 1 else {}
        tags = self._values(call.args[0], scope) & STANZA_TAGS
        if "from" in attrs and "to" not in attrs:
            return  # the server's
        kind, space = attrs.get("type"), attrs.get("xmlns")
        if _is_carried(kind):
            return
        types = {""} if kind is None else self._values(kind, scope)
        spaces = {""} if space is None else self._values(space, scope)
        if types == spaces == {COMPUTED}:
            return
        for tag in sorted(tags):
            has_child = tag in CHILD_TAGS and len(call.args) > 2
            children = self._children(call.args[2], scope) if has_child else {""}
            for type, xmlns, child in product(sorted(types), sorted(spaces), sorted(children)):
                yield Shape(tag, type, xmlns, child)

    def _attrs(self, node: ast.expr, scope: _Scope) -> dict[str, ast.expr]:
        found = self._assigned(node.id, scope) if isinstance(node, ast.Name) else (node, None)
        if found is None or not isinstance(found[0], ast.Dict):
            return {}
        named: dict[str, ast.expr] = {}
        for key, value in zip(found[0].keys, found[0].values, strict=True):
            for text in set[str]() if key is None else self._values(key, scope):
                named[text] = value
        return named

    def _values(self, node: ast.expr, scope: _Scope) -> set[str]:
        """The texts an expression may be."""
        match node:
            case ast.Constant(value=str() as text):
                return {text}
            case ast.Constant(value=None):
                return {""}
            case ast.Attribute(value=inner, attr="value"):
                return self._values(inner, scope)
            case ast.Attribute(value=ast.Name(id=holder) | ast.Attribute(attr=holder), attr=member):
                return {self._enums.get(holder, {}).get(member, COMPUTED)}
            case ast.IfExp(body=body, orelse=other):
                return self._values(body, scope) | self._values(other, scope)
            case ast.Name(id=name) if (found := self._assigned(name, scope)) is not None and found[1] is None:
                return self._values(found[0], scope) if not isinstance(found[0], ast.Name) else {COMPUTED}
            case _:
                return {COMPUTED}

    def _children(self, node: ast.expr, scope: _Scope, depth: int = 0) -> set[str]:
        """The tags the first child may have."""
        if depth > _DEPTH:
            return {COMPUTED}
        match node:
            case ast.Constant(value=None):
                return {""}
            case ast.List(elts=[first, *_]):
                return self._tags(first, scope, depth + 1)
            case ast.IfExp(body=body, orelse=other):
                return self._children(body, scope, depth + 1) | self._children(other, scope, depth + 1)
            case ast.Call():
                return self._returned(node, scope, None, depth + 1, whole=True)
            case ast.Name(id=name) if (found := self._assigned(name, scope)) is not None:
                value, place = found
                if place is not None and isinstance(value, ast.Call):
                    return self._returned(value, scope, place, depth + 1, whole=True)
                return self._children(value, scope, depth + 1)
            case _:
                return {COMPUTED}

    def _tags(self, node: ast.expr, scope: _Scope, depth: int) -> set[str]:
        """The tags one node may have."""
        if depth > _DEPTH or not isinstance(node, ast.Call | ast.Name):
            return {COMPUTED}
        if isinstance(node, ast.Name):
            found = self._assigned(node.id, scope)
            return {COMPUTED} if found is None or found[1] is not None else self._tags(found[0], scope, depth + 1)
        if _callee(node)[1] == "Node" and node.args:
            return self._values(node.args[0], scope)
        return self._returned(node, scope, None, depth + 1, whole=False)

    def _returned(self, call: ast.Call, scope: _Scope, place: int | None, depth: int, *, whole: bool) -> set[str]:
        """What a function of ours gives back: a list of nodes (`whole`) or one; `place` in a tuple."""
        found = self._function(call, scope)
        if found is None:
            return {COMPUTED}
        path, function = found
        inner = _Scope(path, function)
        tags: set[str] = set()
        for statement in ast.walk(function):
            if isinstance(statement, ast.Return) and statement.value is not None:
                value = statement.value
                if place is not None and isinstance(value, ast.Tuple):
                    value = value.elts[place]
                tags |= self._children(value, inner, depth) if whole else self._tags(value, inner, depth)
        return tags or {COMPUTED}

    def _function(self, call: ast.Call, scope: _Scope) -> tuple[str, Function] | None:
        base, name = _callee(call)
        own = Path(scope.path).stem
        exact = self._functions.get((base or own, name))
        if exact is not None or base:
            return exact
        others = [found for (_, other), found in self._functions.items() if other == name]
        return others[0] if len(others) == 1 else None

    def _assigned(self, name: str, scope: _Scope) -> tuple[ast.expr, int | None] | None:
        """What a local name was given last: the value, and the place in it when it was unpacked."""
        found: tuple[ast.expr, int | None] | None = None
        for statement in ast.walk(scope.function) if scope.function is not None else ():
            match statement:
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                    found = (value, None)
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    found = (value, None)
                case ast.Assign(targets=[ast.Tuple(elts=parts)], value=value):
                    places = [i for i, part in enumerate(parts) if isinstance(part, ast.Name) and part.id == name]
                    found = (value, places[0]) if places else found
                case _:
                    pass
        return found


def _callee(call: ast.Call) -> tuple[str, str]:
    """("iq", "request") of iq.request(...); ("", "Node") of Node(...)."""
    match call.func:
        case ast.Name(id=name):
            return "", name
        case ast.Attribute(value=ast.Name(id=base), attr=name):
            return base, name
        case ast.Attribute(attr=name):
            return "", name
        case _:
            return "", ""


def _is_carried(node: ast.expr | None) -> bool:
    """True when a dataclass writes the type it was given; whoever made it says which."""
    return node is not None and any(isinstance(part, ast.Name) and part.id == "self" for part in ast.walk(node))


def _names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
