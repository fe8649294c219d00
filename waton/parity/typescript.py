"""Reading Baileys: what its sources declare, by their syntax trees, whether TypeScript or compiled.

A source tree (src/**/*.ts) and the published package (lib/**/*.js with .d.ts beside) are read by the same code: values
come from .ts or .js, types from .ts or .d.ts. Nothing of Baileys is run.

Each kind of thing has one place in which Baileys declares it, named below. If nothing is found there, Baileys has moved
it and the scan must learn the new place: that is an error, because a scan that reads nothing finds no difference.

Source: Baileys, lib/Socket/*.js, lib/Types/*.d.ts, lib/Utils/*.js, lib/WABinary/constants.js, lib/Defaults/index.js,
WAProto/index.d.ts and WAProto/WAProto.proto.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TypeVar

import tree_sitter_typescript
from tree_sitter import Language, Parser
from tree_sitter import Node as Syntax

from waton.errors import ParityError
from waton.parity.own import CHILD_TAGS, COMPUTED, STANZA_TAGS, Schema, Shape, Tokens, read_schema

NAMES: Sequence[str] = ("baileys", "@whiskeysockets/baileys")
"""What Baileys calls itself, now and before."""
LAYERS = (
    "socket",
    "chats",
    "groups",
    "newsletter",
    "messages-send",
    "messages-recv",
    "business",
    "communities",
)
"""The files under Socket/, each of which adds to the one before it."""
PARTS = (
    ("Types/Events", "BaileysEventEmitter"),
    ("Utils/event-buffer", "BaileysBufferableEventEmitter"),
    ("Types/Signal", "SignalRepository"),
    ("Signal/lid-mapping", "LIDMappingStore"),
    ("Utils/message-retry-manager", "MessageRetryManager"),
    ("WAUSync/USyncQuery", "USyncQuery"),
)
"""What a socket is made of and hands out: the file and the type whose methods are read."""

T = TypeVar("T", bound=Sized)

_PARSER = Parser(Language(tree_sitter_typescript.language_typescript()))
_FUNCTIONS = frozenset({"arrow_function", "function_expression", "function_declaration", "method_definition"})
_WRAPPERS = frozenset({"parenthesized_expression", "await_expression", "as_expression", "satisfies_expression"})
_BUFFERING = ".createBufferedFunction"
"""A method of the event buffer that makes a function of a function."""
_STANZA_FOLDERS = ("Socket", "Utils")
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Baileys:
    """What a Baileys declares. Every mapping is from a name to the place or the value."""

    version: str
    web_version: str
    """2.3000.N."""
    methods: Mapping[str, str]
    """What a socket offers -> "Socket/chats:chatModify"."""
    parts: Mapping[str, str]
    """"MessageRetryManager.getRetryCount" -> "Utils/message-retry-manager"."""
    events: Mapping[str, str]
    options: Mapping[str, str]
    """SocketConfig's fields -> the default, "" when it has none."""
    content_kinds: Mapping[str, str]
    content_modifiers: Mapping[str, str]
    sync_in: Mapping[str, str]
    """A SyncActionValue field that is understood -> where."""
    sync_out: Mapping[str, str]
    """A chat modification -> the SyncActionValue field that it becomes."""
    identity_outcomes: Mapping[str, str]
    stanzas: Mapping[Shape, tuple[str, ...]]
    """Shape -> where it is made."""
    schema: Schema
    tokens: Tokens
    retry_reasons: Mapping[str, int]
    disconnect_reasons: Mapping[str, int]
    nack_codes: Mapping[str, int]
    receipt_types: Mapping[str, str]


def read_baileys(root: Path) -> Baileys:
    """Read a source tree or an installed package.

    Raises:
        ParityError: there is no Baileys at `root`, or a thing is not where Baileys declares it.
    """
    return _Reader(root).read()


def read_versions(root: Path) -> dict[str, str]:
    """A Baileys' own version and that of WhatsApp Web: {"version", "web_version"}. Raises ParityError."""
    return _Reader(root).versions()


def is_source(root: Path) -> bool:
    """True for a source tree, False for the published package."""
    return (root / "src" / "Socket").is_dir()


# --- one file -------------------------------------------------------------------------------------------------------


class _File:
    """One parsed file."""

    def __init__(self, name: str, code: bytes) -> None:
        self.name = name
        """Its path without the ending: "Socket/chats"."""
        self.root = _PARSER.parse(code).root_node

    @cached_property
    def functions(self) -> dict[str, Syntax]:
        """The functions declared at the top level."""
        return {name: value for name, value in self.values.items() if value.type in _FUNCTIONS}

    @cached_property
    def values(self) -> dict[str, Syntax]:
        """What is declared at the top level."""
        found: dict[str, Syntax] = {}
        for statement in self.root.named_children:
            inner = _field(statement, "declaration") if statement.type == "export_statement" else statement
            if inner is not None:
                found.update(_declared(inner))
        return found

    def type(self, name: str) -> Syntax | None:
        """The declaration of a type, an interface, an enum or a class."""
        for statement in self.root.named_children:
            for node in _walk_shallow(statement):
                named = _field(node, "name")
                if node.type.endswith("_declaration") and named is not None and _text(named) == name:
                    return node
        return None


def _walk(node: Syntax) -> Iterator[Syntax]:
    """The node and all below it, in the order of the text."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(current.named_children))


def _walk_shallow(statement: Syntax) -> Iterator[Syntax]:
    """A statement, and what stands in it under `export` or `declare`."""
    yield statement
    if statement.type in ("export_statement", "ambient_declaration"):
        for child in statement.named_children:
            yield from _walk_shallow(child)


def _field(node: Syntax, name: str) -> Syntax | None:
    return node.child_by_field_name(name)


def _text(node: Syntax) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _bare(node: Syntax) -> Syntax:
    """An expression without brackets, await, `as` and `!`."""
    while node.type in _WRAPPERS or node.type == "non_null_expression":
        inner = next((child for child in node.named_children if child.type != "comment"), None)
        if inner is None:
            break
        node = inner
    return node


def _string(node: Syntax) -> str | None:
    """The text of a string literal."""
    if node.type not in ("string", "template_string"):
        return None
    if any(child.type == "template_substitution" for child in node.named_children):
        return None
    return "".join(_unescaped(child) for child in node.named_children)


def _unescaped(part: Syntax) -> str:
    text = _text(part)
    return text[1:] if part.type == "escape_sequence" and len(text) == 2 and text[1] in "'\"\\" else text


def _declared(statement: Syntax) -> Iterator[tuple[str, Syntax]]:
    """The names that one statement declares, with their values."""
    if statement.type == "function_declaration":
        named = _field(statement, "name")
        if named is not None:
            yield _text(named), statement
    elif statement.type in ("lexical_declaration", "variable_declaration"):
        for declarator in statement.named_children:
            named, value = _field(declarator, "name"), _field(declarator, "value")
            if named is not None and value is not None and named.type == "identifier":
                yield _text(named), _bare(value)


def _pairs(node: Syntax) -> dict[str, Syntax]:
    """The keys of an object literal, with their values; a shorthand's value is its identifier."""
    found: dict[str, Syntax] = {}
    for child in node.named_children:
        key, value = _field(child, "key"), _field(child, "value")
        if child.type == "pair" and key is not None and value is not None:
            found[_key(key)] = _bare(value)
        elif child.type == "shorthand_property_identifier":
            found[_text(child)] = child
        elif child.type == "method_definition":
            named = _field(child, "name")
            is_getter = any(token.type in ("get", "set") for token in child.children)
            if named is not None and not is_getter:
                found[_key(named)] = child
    return found


def _key(node: Syntax) -> str:
    text = _string(node)
    return _text(node) if text is None else text


def _returns(function: Syntax) -> list[Syntax]:
    """The expressions that a function gives back, without those of functions inside it."""
    body = _field(function, "body")
    if body is None:
        return []
    if body.type != "statement_block":
        return [_bare(body)]
    found: list[Syntax] = []
    waiting = [body]
    while waiting:
        node = waiting.pop()
        if node.type == "return_statement" and node.named_children:
            found.append(_bare(node.named_children[0]))
        waiting.extend(child for child in reversed(node.named_children) if child.type not in _FUNCTIONS)
    return found


def _parameters(function: Syntax) -> list[str]:
    """The names of a function's parameters, in order; "" for one that is taken apart."""
    single = _field(function, "parameter")
    if single is not None:
        return [_text(single)]
    listed = _field(function, "parameters")
    names: list[str] = []
    for parameter in listed.named_children if listed is not None else ():
        if parameter.type != "comment":
            inner = _field(parameter, "pattern") or _field(parameter, "left") or parameter
            names.append(_text(inner) if inner.type == "identifier" else "")
    return names


def _name_of(function: Syntax) -> str:
    """What a function is called, "" when it has no name."""
    named = _field(function, "name")
    parent = function.parent
    while named is None and parent is not None and parent.type in _WRAPPERS:
        parent = parent.parent
    if named is None and parent is not None:
        named = _field(parent, "name") if parent.type == "variable_declarator" else _field(parent, "key")
    return "" if named is None else _key(named)


def _holders(node: Syntax) -> Iterator[Syntax]:
    """The functions around a node, innermost first."""
    parent = node.parent
    while parent is not None:
        if parent.type in _FUNCTIONS:
            yield parent
        parent = parent.parent


def _members(declaration: Syntax) -> Iterator[tuple[str, Syntax]]:
    """The properties and methods of a type or a class; private ones are left out."""
    for node in _walk(declaration):
        if node.type in ("property_signature", "method_signature", "method_definition", "public_field_definition"):
            holder = node.parent
            named = _field(node, "name")
            is_hidden = any(child.type == "accessibility_modifier" for child in node.named_children)
            if named is not None and not is_hidden and holder is not None and _is_own_body(holder, declaration):
                yield _key(named), node


def _is_own_body(holder: Syntax, declaration: Syntax) -> bool:
    """True for a type's own braces, those in its unions and intersections included, not those of its fields."""
    outer = holder.parent
    while outer is not None and outer.id != declaration.id:
        if outer.type in ("property_signature", "method_signature", "method_definition", "public_field_definition"):
            return False
        outer = outer.parent
    return True


def _numbers(enum: Syntax) -> dict[str, int]:
    """The members of an enum that are numbers."""
    found: dict[str, int] = {}
    for member in _walk(enum):
        named, value = _field(member, "name"), _field(member, "value")
        if member.type == "enum_assignment" and named is not None and value is not None and value.type == "number":
            found[_key(named)] = int(_text(value))
    return found


def _calls(root: Syntax, name: str) -> Iterator[list[Syntax]]:
    """The arguments of each call of a function by its plain name."""
    for node in _walk(root):
        called, arguments = _field(node, "function"), _field(node, "arguments")
        if node.type == "call_expression" and called is not None and arguments is not None and _text(called) == name:
            yield [argument for argument in arguments.named_children if argument.type != "comment"]


# --- WAProto --------------------------------------------------------------------------------------------------------


def read_waproto(folder: Path) -> dict[str, dict[str, str]]:
    """The schema in a WAProto folder: names as index.d.ts has them, numbers and types from a .proto file beside it.

    Raises:
        ParityError: the folder has neither.
    """
    typings, text = folder / "index.d.ts", folder / "WAProto.proto"
    known = read_schema([text.read_text("utf-8")]) if text.is_file() else {}
    if not typings.is_file():
        if not known:
            raise ParityError(f"no WAProto at {folder}: neither index.d.ts nor WAProto.proto")
        return known
    named = read_typings(typings.read_bytes())
    return {
        name: {field: told or known.get(name, {}).get(field, "") for field, told in fields.items()}
        for name, fields in named.items()
    }


def read_typings(code: bytes) -> dict[str, dict[str, str]]:
    """The schema in a protobufjs index.d.ts: fields by name, enum values with their numbers."""
    schema: dict[str, dict[str, str]] = {}
    for node in _walk(_PARSER.parse(code).root_node):
        named = _field(node, "name")
        if named is None:
            continue
        if node.type == "enum_declaration":
            schema[_qualified(node, _text(named))] = {key: f"= {number}" for key, number in _numbers(node).items()}
        elif node.type == "interface_declaration" and _text(named).startswith("I"):
            schema[_qualified(node, _text(named)[1:])] = {key: "" for key, _ in _members(node)}
    return schema


def _qualified(node: Syntax, name: str) -> str:
    """A name with those of the namespaces around it, but the outermost."""
    names = [name]
    parent = node.parent
    while parent is not None:
        named = _field(parent, "name")
        if parent.type == "internal_module" and named is not None:
            names.append(_text(named))
        parent = parent.parent
    return ".".join(reversed(names[:-1]))


# --- the tree -------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads one Baileys."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._version = _version(root)
        self._code = root / ("src" if is_source(root) else "lib")
        if not (self._code / "Socket").is_dir():
            raise ParityError(f"no Baileys at {root}: it has neither src/Socket nor lib/Socket")
        self._files: dict[tuple[str, bool], _File] = {}

    def versions(self) -> dict[str, str]:
        """Both versions by name."""
        return {"version": self._version, "web_version": self._web_version()}

    def read(self) -> Baileys:
        """Everything, and an error for what is not there."""
        schema = self._found(read_waproto(self._root / "WAProto"), "protobuf messages", "WAProto")
        methods = self._found(self._methods(), "methods", "Socket")
        public = frozenset(methods)
        return Baileys(
            version=self._version,
            web_version=self._web_version(),
            methods=methods,
            parts=self._found(self._parts(), "parts", "Types, Utils and Signal"),
            events=self._type_members("Types/Events", "BaileysEventMap"),
            options=self._options(),
            content_kinds=self._content(is_kind=True),
            content_modifiers=self._content(is_kind=False),
            sync_in=self._found(self._sync_in(schema), "inbound sync actions", "Utils/chat-utils"),
            sync_out=self._found(self._sync_out(), "outbound sync actions", "Utils/chat-utils"),
            identity_outcomes=self._identity_outcomes(),
            stanzas=self._found(self._stanzas(public), "stanzas", "Socket and Utils"),
            schema=schema,
            tokens=self._tokens(),
            retry_reasons=self._enum("Utils/message-retry-manager", "RetryReason"),
            disconnect_reasons=self._enum("Types/index", "DisconnectReason"),
            nack_codes=self._nack_codes(),
            receipt_types=self._receipt_types(),
        )

    def _found(self, things: T, what: str, where: str) -> T:
        if not things:
            raise ParityError(f"no {what} in {where} of the Baileys at {self._root}; has Baileys moved them?")
        return things

    # --- files --------------------------------------------------------------------------------------------------------

    def _file(self, name: str, *, typed: bool = False) -> _File:
        """A file by its path without the ending. typed: with its types, where they are apart."""
        key = (name, typed)
        if key not in self._files:
            endings = (".ts", ".d.ts") if typed else (".ts", ".js")
            path = next((path for ending in endings if (path := self._code / f"{name}{ending}").is_file()), None)
            if path is None:
                raise ParityError(f"the Baileys at {self._root} has no {name}{endings[0]} or {endings[1]}")
            self._files[key] = _File(name, path.read_bytes())
        return self._files[key]

    def _all(self, folders: Iterable[str]) -> list[_File]:
        """The files with code of these folders, in the order of their names."""
        names = {
            path.relative_to(self._code).with_suffix("").as_posix()
            for folder in folders
            for path in (self._code / folder).rglob("*")
            if path.suffix in (".ts", ".js") and not path.name.endswith(".d.ts")
        }
        return [self._file(name) for name in sorted(names)]

    def _type(self, file: str, name: str) -> Syntax:
        found = self._file(file, typed=True).type(name)
        if found is None:
            raise ParityError(f"no {name} in {file} of the Baileys at {self._root}; has Baileys moved it?")
        return found

    def _type_members(self, file: str, name: str) -> dict[str, str]:
        members = {member: file for member, _ in _members(self._type(file, name))}
        return self._found(members, f"members of {name}", file)

    def _enum(self, file: str, name: str) -> dict[str, int]:
        return self._found(_numbers(self._type(file, name)), f"members of {name}", file)

    def _object(self, file: str, name: str) -> dict[str, Syntax]:
        value = self._file(file).values.get(name)
        return self._found({} if value is None else _pairs(value), f"{name}", file)

    # --- methods and parts --------------------------------------------------------------------------------------------

    def _methods(self) -> dict[str, str]:
        files = {file.name.partition("/")[2]: file for file in self._all(["Socket"])}
        order = [*(layer for layer in LAYERS if layer in files), *(name for name in files if name not in LAYERS)]
        found: dict[str, str] = {}
        for layer in order:
            for name, maker in files[layer].functions.items():
                if re.fullmatch(r"make\w*Socket", name):
                    for method in self._offered(files[layer], maker):
                        found.setdefault(method, f"Socket/{layer}:{method}")
        return found

    def _offered(self, file: _File, maker: Syntax) -> Iterator[str]:
        """The functions among what a layer's maker returns."""
        body = _field(maker, "body")
        for statement in body.named_children if body is not None else ():
            if statement.type == "return_statement" and statement.named_children:
                returned = _bare(statement.named_children[0])
                for name, value in _pairs(returned).items() if returned.type == "object" else ():
                    if self._is_function(value, file):
                        yield name

    def _is_function(self, value: Syntax, file: _File, depth: int = 0) -> bool:
        """Whether an expression is a function, or a call of something that returns one."""
        if value.type in _FUNCTIONS:
            return True
        if depth > _DEPTH:
            return False
        if value.type in ("identifier", "shorthand_property_identifier"):
            declared = _resolve(value)
            return declared is not None and self._is_function(declared, file, depth + 1)
        if value.type != "call_expression":
            return False
        callee = _field(value, "function")
        if callee is not None and _text(callee).endswith(_BUFFERING):
            return True
        function = self._called(value, file)
        return function is not None and any(self._is_function(each, file, depth + 1) for each in _returns(function))

    def _called(self, call: Syntax, file: _File) -> Syntax | None:
        """The function that a call names: of its own file, else of any."""
        callee = _field(call, "function")
        if callee is None or callee.type != "identifier":
            return None
        declared = _resolve(callee)
        if declared is not None:
            return declared if declared.type in _FUNCTIONS else None
        return file.functions.get(_text(callee)) or self._functions.get(_text(callee))

    @cached_property
    def _functions(self) -> dict[str, Syntax]:
        """The top-level functions of all files."""
        return {
            name: function for file in reversed(self._all(_STANZA_FOLDERS)) for name, function in file.functions.items()
        }

    def _parts(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for file, name in PARTS:
            for member, node in _members(self._type(file, name)):
                is_method = node.type in ("method_signature", "method_definition")
                if is_method and member != "constructor" and not member.startswith("_"):
                    found[f"{name}.{member}"] = file
        return found

    # --- options, content, sync actions -------------------------------------------------------------------------------

    def _options(self) -> dict[str, str]:
        defaults = self._object("Defaults/index", "DEFAULT_CONNECTION_CONFIG")
        found: dict[str, str] = {}
        for name in self._type_members("Types/Socket", "SocketConfig"):
            value = defaults.get(name)
            named = None if value is None or value.type != "identifier" else _resolve(value)
            found[name] = "" if value is None else " ".join(_text(named or value).split())
        return found

    def _web_version(self) -> str:
        version = self._options().get("version", "")
        return self._found(".".join(re.findall(r"\d+", version)), "version", "Defaults/index")

    def _content(self, *, is_kind: bool) -> dict[str, str]:
        """The kinds: what the long choice in generateWAMessageContent asks for, and the media. Else the modifiers."""
        file = self._file("Utils/messages")
        maker = file.functions.get("generateWAMessageContent")
        body = None if maker is None else _field(maker, "body")
        found: dict[str, str] = {}
        for statement in body.named_children if body is not None else ():
            if statement.type == "if_statement" and (_field(statement, "alternative") is not None) == is_kind:
                found |= dict.fromkeys(_asked_for(statement), f"{file.name}:generateWAMessageContent")
        self._found(found, "content kinds" if is_kind else "content modifiers", file.name)
        types = "Types/Message"
        if is_kind:
            media = _members(self._type(types, "AnyMediaMessageContent"))
            return found | {name: types for name, node in media if "WAMediaUpload" in _text(node)}
        options = ("MinimalRelayOptions", "MiscMessageGenerationOptions")
        return found | {name: types for kind in options for name, _ in _members(self._type(types, kind))}

    def _sync_in(self, schema: Schema) -> dict[str, str]:
        known = schema.get("SyncActionValue", {})
        where = "Utils/chat-utils:processSyncAction"
        reader = self._file("Utils/chat-utils").functions.get("processSyncAction")
        found: dict[str, str] = {}
        for node in _walk(reader) if reader is not None else ():
            condition = _field(node, "condition") if node.type == "if_statement" else None
            for part in _walk(condition) if condition is not None else ():
                if part.type == "property_identifier" and _text(part) in known:
                    found[_text(part)] = where
        return found

    def _sync_out(self) -> dict[str, str]:
        writer = self._file("Utils/chat-utils").functions.get("chatModificationToAppPatch")
        found: dict[str, str] = {}
        for node in _walk(writer) if writer is not None else ():
            condition, branch = _field(node, "condition"), _field(node, "consequence")
            if node.type == "if_statement" and condition is not None and branch is not None:
                asked = [text for part in _walk(condition) if (text := _string(part)) is not None]
                actions = [pair for pair in _walk(branch) if pair.type == "pair" and _pair_key(pair) == "syncAction"]
                value = _field(actions[0], "value") if actions else None
                if asked and value is not None:
                    found[asked[0]] = ", ".join(_pairs(value))
        return found

    def _identity_outcomes(self) -> dict[str, str]:
        file = "Utils/identity-change-handler"
        result = self._type(file, "IdentityChangeResult")
        found = {text: file for node in _walk(result) if (text := _string(node)) is not None}
        return self._found(found, "outcomes", file)

    # --- tokens and codes ---------------------------------------------------------------------------------------------

    def _tokens(self) -> Tokens:
        return tokens_in(self._file("WABinary/constants"))

    def _nack_codes(self) -> dict[str, int]:
        pairs = self._object("Utils/decode-wa-message", "NACK_REASONS")
        return {name: int(_text(value)) for name, value in pairs.items() if value.type == "number"}

    def _receipt_types(self) -> dict[str, str]:
        file = "Types/Message"
        declared = self._type(file, "MessageReceiptType")
        found = {text: file for node in _walk(declared) if (text := _string(node)) is not None}
        return self._found(found, "receipt types", file)

    # --- stanzas ------------------------------------------------------------------------------------------------------

    def _stanzas(self, public: frozenset[str]) -> dict[Shape, tuple[str, ...]]:
        found: dict[Shape, list[str]] = {}
        for file in self._all(_STANZA_FOLDERS):
            for node in _walk(file.root):
                if node.type == "object" and _is_stanza(node):
                    for shape, place in self._shapes(file, node, public):
                        places = found.setdefault(shape, [])
                        if place not in places:
                            places.append(place)
        return {shape: tuple(places) for shape, places in sorted(found.items())}

    def _shapes(self, file: _File, stanza: Syntax, public: frozenset[str]) -> Iterator[tuple[Shape, str]]:
        """The shapes of one object literal: one for each call of the private helper it stands in, if any."""
        named = [holder for holder in _holders(stanza) if _name_of(holder)]
        helper = named[0] if named else None
        calls = [] if helper is None or _name_of(helper) in public else [*_calls(file.root, _name_of(helper))]
        whole = set(_Values(self, file, {}).shapes(stanza))
        if helper is None or not calls or all(COMPUTED not in shape.name.split() for shape in whole):
            yield from ((shape, _place(file, stanza)) for shape in sorted(whole))
            return
        for arguments in calls:
            given = dict(zip(_parameters(helper), arguments, strict=False))
            for shape in sorted(set(_Values(self, file, given).shapes(stanza))):
                yield shape, _place(file, arguments[0] if arguments else stanza)

    def called(self, call: Syntax, file: _File) -> Syntax | None:
        """The function that a call names."""
        return self._called(call, file)


class _Values:
    """Works out what stands in an object literal, with a helper's parameters given."""

    def __init__(self, reader: _Reader, file: _File, given: Mapping[str, Syntax]) -> None:
        self._reader = reader
        self._file = file
        self._given = given

    def shapes(self, stanza: Syntax) -> Iterator[Shape]:
        """Every shape that a stanza's literal may have."""
        entries = _pairs(stanza)
        attrs_node = entries.get("attrs")
        attrs = {} if attrs_node is None else self._entries(attrs_node)
        types = self._attribute(stanza, attrs, "type")
        spaces = self._attribute(stanza, attrs, "xmlns")
        for tag in sorted(self.texts(entries["tag"]) & STANZA_TAGS):
            content = entries.get("content") if tag in CHILD_TAGS else None
            children = {""} if content is None else self._children(content)
            for type, space, child in product(sorted(types), sorted(spaces), sorted(children)):
                yield Shape(tag, type, space, child)

    def _entries(self, node: Syntax) -> dict[str, Syntax]:
        found = self._settled(node)
        return _pairs(found) if found is not None and found.type == "object" else {}

    def _attribute(self, stanza: Syntax, attrs: Mapping[str, Syntax], name: str) -> set[str]:
        """The texts of an attribute; one that is only assigned after the literal may also be absent."""
        found = self.texts(attrs[name]) if name in attrs else {""}
        declarator = stanza.parent
        named = None if declarator is None or declarator.type != "variable_declarator" else _field(declarator, "name")
        holder = next(_holders(stanza), None)
        if named is None or holder is None:
            return found
        target = f"{_text(named)}.attrs.{name}"
        for node in _walk(holder):
            left, right = _field(node, "left"), _field(node, "right")
            is_it = node.type == "assignment_expression" and left is not None and _text(left) == target
            if is_it and right is not None:
                found = found | self.texts(right)
        return found

    def texts(self, node: Syntax, depth: int = 0) -> set[str]:
        """The texts that an expression may be."""
        node = _bare(node)
        text = _string(node)
        if text is not None:
            return {text}
        if depth > _DEPTH:
            return {COMPUTED}
        if node.type == "undefined" or _text(node) in ("undefined", "null"):
            return {""}
        if node.type == "ternary_expression":
            return {text for branch in _branches(node) for text in self.texts(branch, depth + 1)}
        if node.type in ("identifier", "shorthand_property_identifier"):
            value = self._value(node)
            return {COMPUTED} if value is None else self.texts(value, depth + 1)
        if node.type == "call_expression" and (function := self._reader.called(node, self._file)) is not None:
            texts = {text for each in _returns(function) for text in self.texts(each, depth + 1)}
            return texts or {COMPUTED}
        return {COMPUTED}

    def _children(self, node: Syntax, depth: int = 0) -> set[str]:
        """The tags of the first child; "" when the content is no list."""
        found = self._settled(node)
        if found is None or depth > _DEPTH:
            return {COMPUTED}
        if found.type == "array":
            elements = [child for child in found.named_children if child.type != "comment"]
            return self._tags(elements[0], depth + 1) if elements else {COMPUTED}
        if found.type == "ternary_expression":
            return {tag for branch in _branches(found) for tag in self._children(branch, depth + 1)}
        if found.type == "call_expression" and (function := self._reader.called(found, self._file)) is not None:
            return {tag for each in _returns(function) for tag in self._children(each, depth + 1)} or {COMPUTED}
        return {""} if _text(found) in ("undefined", "null") else {COMPUTED}

    def _tags(self, node: Syntax, depth: int) -> set[str]:
        """The tags that one node may have."""
        found = self._settled(node)
        if found is None or depth > _DEPTH:
            return {COMPUTED}
        if found.type == "object":
            tag = _pairs(found).get("tag")
            return {COMPUTED} if tag is None else self.texts(tag, depth + 1)
        if found.type == "ternary_expression":
            return {tag for branch in _branches(found) for tag in self._tags(branch, depth + 1)}
        if found.type == "call_expression" and (function := self._reader.called(found, self._file)) is not None:
            return {tag for each in _returns(function) for tag in self._tags(each, depth + 1)} or {COMPUTED}
        return {COMPUTED}

    def _settled(self, node: Syntax, depth: int = 0) -> Syntax | None:
        """An expression with names replaced by what they were declared as."""
        node = _bare(node)
        if node.type not in ("identifier", "shorthand_property_identifier") or _text(node) == "undefined":
            return node
        value = self._value(node)
        return None if value is None or depth > _DEPTH else self._settled(value, depth + 1)

    def _value(self, name: Syntax) -> Syntax | None:
        """What a name stands for: what the helper was given, or what was declared."""
        declared = _resolve(name)
        return self._given.get(_text(name)) if declared is None and _is_parameter(name) else declared


def _branches(ternary: Syntax) -> list[Syntax]:
    fields = (_field(ternary, "consequence"), _field(ternary, "alternative"))
    return [branch for branch in fields if branch is not None]


def _resolve(name: Syntax) -> Syntax | None:
    """The value that a name was declared with, by the rules of scope; None for a parameter and for an import."""
    wanted = _text(name)
    scope = name.parent
    while scope is not None:
        if scope.type in _FUNCTIONS and wanted in _parameters(scope):
            return None
        if scope.type in ("statement_block", "program"):
            for statement in scope.named_children:
                inner = _field(statement, "declaration") if statement.type == "export_statement" else statement
                for declared, value in _declared(inner) if inner is not None else ():
                    if declared == wanted:
                        return value
        scope = scope.parent
    return None


def _is_parameter(name: Syntax) -> bool:
    return any(_text(name) in _parameters(holder) for holder in _holders(name))


def _is_stanza(node: Syntax) -> bool:
    """A literal with a tag that is not inside the content of another."""
    if "tag" not in _pairs(node):
        return False
    parent = node.parent
    while parent is not None and parent.type not in _FUNCTIONS:
        if parent.type == "pair" and _pair_key(parent) == "content":
            return False
        parent = parent.parent
    return True


def _pair_key(pair: Syntax) -> str:
    key = _field(pair, "key")
    return "" if key is None else _key(key)


def _place(file: _File, node: Syntax) -> str:
    """The file, and the innermost named function inside the socket's maker."""
    names = [name for holder in _holders(node) if (name := _name_of(holder)) and not name.startswith("make")]
    return f"{file.name}:{names[0]}" if names else file.name


def _asked_for(statement: Syntax) -> Iterator[str]:
    """The property names that the conditions of an if and its else-ifs ask for."""
    current: Syntax | None = statement
    while current is not None and current.type == "if_statement":
        condition = _field(current, "condition")
        for node in _walk(condition) if condition is not None else ():
            text = _string(node) if node.type == "string" else None
            if text:
                yield text
        alternative = _field(current, "alternative")
        current = None if alternative is None else next(iter(alternative.named_children), None)


def tokens_in(file: _File) -> Tokens:
    """The dictionaries in WABinary/constants."""
    single = file.values.get("SINGLE_BYTE_TOKENS")
    double = file.values.get("DOUBLE_BYTE_TOKENS")
    if single is None or double is None:
        raise ParityError(f"no token dictionaries in {file.name}")
    return Tokens(_strings(single), tuple(_strings(words) for words in double.named_children if words.type == "array"))


def read_tokens(path: Path) -> Tokens:
    """The dictionaries in a WABinary/constants file, compiled or not. Raises ParityError."""
    try:
        return tokens_in(_File(path.name, path.read_bytes()))
    except OSError as error:
        raise ParityError(f"no token dictionaries at {path}") from error


def _strings(array: Syntax) -> tuple[str, ...]:
    return tuple(text for child in array.named_children if (text := _string(child)) is not None)


def _version(root: Path) -> str:
    """The version in package.json. Raises ParityError for what is no Baileys."""
    try:
        said: Mapping[str, object] = json.loads((root / "package.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ParityError(f"no Baileys at {root}: it has no package.json that can be read") from error
    if said.get("name") not in NAMES:
        raise ParityError(f"no Baileys at {root}: its package.json names {said.get('name')}")
    return str(said.get("version", ""))
