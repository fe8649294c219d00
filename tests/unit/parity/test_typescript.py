"""Reading Baileys: a small source tree with TypeScript's syntax, the same compiled, and the pinned package."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.requirements import require
from waton.errors import ParityError
from waton.parity.own import Shape
from waton.parity.typescript import Baileys, read_baileys, read_tokens, read_typings, read_versions, read_waproto

# Values in both languages: what stands between « and » is TypeScript's and is taken out of what is compiled.
VALUES = {
    "Socket/socket": """
import { generate } from '../Utils/generics'
export const makeSocket = (config«: SocketConfig») => {
  const { ws, ev } = config
  const mutex = makeMutex()
  /** a tag */
  const generateMessageTag = («prefix?: string») => `${prefix}-1`
  const query = async« <T extends BinaryNode>»(node«: T», /* ms */ timeoutMs«?: number») => node« as T»
  const resync = ev.createBufferedFunction(async («names: readonly Name[]») => names)
  const passive = (tag«: 'active' | 'passive'») => query({
    tag: 'iq', attrs: { xmlns: 'passive', type: 'set' }, content: [{ tag, attrs: {} }]
  })
  void passive('active')
  const reply = () => query({ tag: 'iq', attrs: { to: S, type: 'result', id: '1' } }« as const»)
  const receipt = async (kind«: string») => {
    const node«: BinaryNode» = { tag: 'receipt', attrs: { id: '1' } }
    if (kind) {
      node.attrs.type = kind
    }
    return query(node)
  }
  return {
    type: 'md'« as 'md'»,
    ws,
    get user() { return config.auth.me },
    mutex,
    generateMessageTag,
    query,
    resync,
    receipt,
    waitForUpdate: bindWait(ev),
    async end(error«?: Error») { await reply() }
  }
}
function bindWait(ev«: Emitter») {
  return async (check«: (u: Update) => boolean») => check(ev)
}
""",
    "Socket/chats": """
export const makeChatsSocket = (config) => {
  const sock = makeSocket(config)
  const { query } = sock
  const groupQuery = async (jid«: string», type«: 'get' | 'set'», content«: BinaryNode[]») => query({
    tag: 'iq', attrs: { type, xmlns: 'w:g2', to: jid }, content
  })
  const kindOf = (message) => {
    if (message.poll) { return 'poll' }
    return message.image ? 'media' : 'text'
  }
  const sendPresence = async (type«: Presence», to«?: string») => {
    await query({ tag: 'presence', attrs: { name: 'x', type } })
    sendPresence('available')
  }
  return {
    ...sock,
    sendPresence,
    leave: async (id) => {
      await groupQuery('@g.us', 'set', [{ tag: 'leave', attrs: {}, content: [{ tag: 'message', attrs: { id } }] }])
    },
    toggle: async (id, on) => {
      const content = on ? { tag: 'ephemeral', attrs: {} } : { tag: 'not_ephemeral', attrs: {} }
      await groupQuery(id, 'set', [content])
    },
    relay: async (message) => query({ tag: 'message', attrs: { type: kindOf(message) } })
  }
}
""",
    "Defaults/index": """
const version«: WAVersion» = [2, 3000, 77]
export const DEFAULT_CONNECTION_CONFIG«: SocketConfig» = {
  version: version, connectTimeoutMs: 20000, keepAliveIntervalMs: 30_000
}« satisfies object»
""",
    "WABinary/constants": """
export const SINGLE_BYTE_TOKENS«: (string | null)[]» = ['', 'one', 'it\\'s']
export const DOUBLE_BYTE_TOKENS = [['a', 'b'], ['c']]« as const»
""",
    "Utils/decode-wa-message": "export const NACK_REASONS = { ParsingError: 487, UnhandledError: 500 }« as const»",
    "Utils/messages": """
export const generateWAMessageContent = async (message«: AnyMessageContent», options) => {
  let m«: WAMessageContent» = {}
  if (hasNonNullishProperty(message, 'text')) {
    m.extendedTextMessage = { text: message.text }
  } else if (hasNonNullishProperty(message, 'poll')) {
    if (message['ignored']) { m.poll = {} }
  } else {
    m = await prepare(message, options)
  }
  if (hasOptionalProperty(message, 'viewOnce') && !!message.viewOnce) {
    m = { viewOnceMessage: { message: m } }
  }
  return m
}
""",
    "Utils/chat-utils": """
export const chatModificationToAppPatch = (mod«: ChatModification», jid«: string») => {
  let patch
  if ('mute' in mod) {
    patch = { syncAction: { muteAction: { muted: !!mod.mute } }, index: ['mute', jid] }
  } else if ('pin' in mod) {
    patch = { syncAction: { pinAction: { pinned: true } } }
  }
  return patch
}
export const processSyncAction = (syncAction, ev) => {
  const action = syncAction.value
  if (action?.muteAction) {
    ev.emit('chats.update', [{ id: action.pinAction }])
  } else if (action?.unheardOf) {
    ev.emit('chats.update', [])
  }
}
""",
    "Utils/validate": """
export const makePresence = () => ({ tag: 'presence', attrs: { type: 'subscribe' } })
""",
}
TYPES = {
    "Types/Events": """
export type BaileysEventMap = {
  /** the connection */
  'connection.update': Partial<ConnectionState>
  call: { id: string; from: { nested: string } }[]
  'messages.upsert': { messages: WAMessage[]; type: 'append' | 'notify' }
}
export interface BaileysEventEmitter {
  on<T extends keyof BaileysEventMap>(event: T, listener: (arg: BaileysEventMap[T]) => void): void
}
""",
    "Types/Socket": """
export type SocketConfig = {
  version: WAVersion
  connectTimeoutMs: number
  keepAliveIntervalMs: number
  logger?: ILogger
  nested: { notAnOption: boolean }
}
""",
    "Types/Message": """
export type MessageReceiptType = 'read' | 'hist_sync' | undefined
export type AnyMediaMessageContent = ({ image: WAMediaUpload; caption?: string } & Mentionable) | {
  audio: WAMediaUpload
  ptt?: boolean
}
type MinimalRelayOptions = { messageId?: string }
export type MiscMessageGenerationOptions = MinimalRelayOptions & { quoted?: WAMessage }
""",
    "Types/Signal": """
export type SignalRepository = {
  decryptMessage(opts: Options): Promise<Uint8Array>
  close?: () => void
}
""",
    "Types/index": "export enum DisconnectReason { connectionClosed = 428, loggedOut = 401 }",
    "Utils/event-buffer": "type BaileysBufferableEventEmitter = BaileysEventEmitter & { flush(): boolean }",
    "Utils/message-retry-manager": """
export declare enum RetryReason { UnknownError = 0, SignalErrorNoSession = 1 }
export declare class MessageRetryManager {
  private logger
  constructor(logger: ILogger)
  getRetryCount(messageId: string): number
  private removeRecentMessage(key: string): void
}
""",
    "Utils/identity-change-handler": """
export type IdentityChangeResult = { action: 'debounced' } | { action: 'session_refreshed'; device: number }
""",
    "Signal/lid-mapping": """
export declare class LIDMappingStore {
  getLIDForPN(pn: string): Promise<string | null>
  private _impl
}
""",
    "WAUSync/USyncQuery": "export declare class USyncQuery { context: string; withMode(mode: string): this }",
}
WAPROTO = """
syntax = "proto3";
package proto;
/// WhatsApp Version: 2.3000.1
message SyncActionValue {
    optional MuteAction muteAction = 1;
    optional PinAction pinAction = 2;
    message MuteAction { optional bool muted = 1; }
    enum Kind { NONE = 0; SOME = 5; }
}
"""


def write_source(root: Path, changed: dict[str, str] | None = None) -> Path:
    """A source tree; changed: files with another text."""
    texts = {name: text.replace("«", "").replace("»", "") for name, text in {**VALUES, **TYPES}.items()}
    for name, text in {**texts, **(changed or {})}.items():
        write(root / "src" / f"{name}.ts", text)
    return write_package(root)


def write_compiled(root: Path) -> Path:
    """The same as it is published."""
    for name, text in VALUES.items():
        write(root / "lib" / f"{name}.js", re.sub("«[^»]*»", "", text))
        write(root / "lib" / f"{name}.d.ts", "export {}")
    for name, text in TYPES.items():
        write(root / "lib" / f"{name}.d.ts", text)
        write(root / "lib" / f"{name}.js", "export {}")
    return write_package(root)


def write_package(root: Path) -> Path:
    write(root / "package.json", json.dumps({"name": "baileys", "version": "9.9.9"}))
    write(root / "WAProto" / "WAProto.proto", WAPROTO)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


@pytest.fixture(params=[write_source, write_compiled], ids=["source", "compiled"])
def baileys(request: pytest.FixtureRequest, tmp_path: Path) -> Baileys:
    return read_baileys(request.param(tmp_path))


def test_methods_are_the_functions_that_the_layers_return(baileys: Baileys) -> None:
    assert baileys.methods == {
        "generateMessageTag": "Socket/socket:generateMessageTag",
        "query": "Socket/socket:query",
        "resync": "Socket/socket:resync",
        "receipt": "Socket/socket:receipt",
        "waitForUpdate": "Socket/socket:waitForUpdate",
        "end": "Socket/socket:end",
        "sendPresence": "Socket/chats:sendPresence",
        "leave": "Socket/chats:leave",
        "toggle": "Socket/chats:toggle",
        "relay": "Socket/chats:relay",
    }


def test_types_are_read_without_what_is_nested_in_them(baileys: Baileys) -> None:
    assert list(baileys.events) == ["connection.update", "call", "messages.upsert"]
    assert baileys.options == {
        "version": "[2, 3000, 77]",
        "connectTimeoutMs": "20000",
        "keepAliveIntervalMs": "30_000",
        "logger": "",
        "nested": "",
    }
    assert list(baileys.parts) == [
        "BaileysEventEmitter.on",
        "BaileysBufferableEventEmitter.flush",
        "SignalRepository.decryptMessage",
        "LIDMappingStore.getLIDForPN",
        "MessageRetryManager.getRetryCount",
        "USyncQuery.withMode",
    ]
    assert list(baileys.receipt_types) == ["read", "hist_sync"]
    assert list(baileys.identity_outcomes) == ["debounced", "session_refreshed"]


def test_content_is_what_the_long_choice_asks_for_and_the_media(baileys: Baileys) -> None:
    assert list(baileys.content_kinds) == ["text", "poll", "image", "audio"]
    assert list(baileys.content_modifiers) == ["viewOnce", "messageId", "quoted"]


def test_sync_actions_in_and_out(baileys: Baileys) -> None:
    assert list(baileys.sync_in) == ["muteAction"]
    assert baileys.sync_out == {"mute": "muteAction", "pin": "pinAction"}


def test_numbers_tokens_and_versions(baileys: Baileys) -> None:
    assert baileys.disconnect_reasons == {"connectionClosed": 428, "loggedOut": 401}
    assert baileys.retry_reasons == {"UnknownError": 0, "SignalErrorNoSession": 1}
    assert baileys.nack_codes == {"ParsingError": 487, "UnhandledError": 500}
    assert (baileys.tokens.single, baileys.tokens.double) == (("", "one", "it's"), (("a", "b"), ("c",)))
    assert (baileys.version, baileys.web_version) == ("9.9.9", "2.3000.77")


def test_stanzas_with_what_helpers_are_given(baileys: Baileys) -> None:
    assert [shape.name for shape in baileys.stanzas] == [
        "iq result",
        "iq set passive active",
        "iq set w:g2 ephemeral",
        "iq set w:g2 leave",
        "iq set w:g2 not_ephemeral",
        "message media",
        "message poll",
        "message text",
        "presence *",
        "presence subscribe",
        "receipt",
        "receipt *",
    ]
    assert baileys.stanzas[Shape("iq", "set", "w:g2", "leave")] == ("Socket/chats:leave",)


def test_the_schema_has_nested_messages_and_enums(baileys: Baileys) -> None:
    assert baileys.schema == {
        "SyncActionValue": {"muteAction": "MuteAction = 1", "pinAction": "PinAction = 2"},
        "SyncActionValue.MuteAction": {"muted": "bool = 1"},
        "SyncActionValue.Kind": {"NONE": "= 0", "SOME": "= 5"},
    }


def test_typings_name_the_fields_and_a_proto_beside_tells_the_rest(tmp_path: Path) -> None:
    write(
        tmp_path / "index.d.ts",
        """
        export namespace proto {
            interface ISyncActionValue {
                muteAction?: (proto.SyncActionValue.IMuteAction|null);
                newAction?: (string|null);
            }
            class SyncActionValue implements ISyncActionValue { public muteAction?: string; }
            namespace SyncActionValue {
                interface IMuteAction { muted?: (boolean|null); }
                enum Kind { NONE = 0, SOME = 5 }
            }
        }
        """,
    )
    names = read_typings((tmp_path / "index.d.ts").read_bytes())
    assert names == {
        "SyncActionValue": {"muteAction": "", "newAction": ""},
        "SyncActionValue.MuteAction": {"muted": ""},
        "SyncActionValue.Kind": {"NONE": "= 0", "SOME": "= 5"},
    }
    write(tmp_path / "WAProto.proto", WAPROTO)
    assert read_waproto(tmp_path)["SyncActionValue"] == {"muteAction": "MuteAction = 1", "newAction": ""}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Types/Events", "export type BaileysEventMap = {}"),
        ("Types/Events", "export type Renamed = { call: string }"),
        ("Socket/socket", "export const makeSocket = () => ({})"),
        ("Utils/messages", "export const generateWAMessageContent = async () => {}"),
        ("Utils/chat-utils", "export const somethingElse = 1"),
        ("Utils/decode-wa-message", "export const NACK_REASONS = {}"),
        ("WABinary/constants", "export const TAGS = {}"),
        ("Types/index", "export enum DisconnectReason {}"),
    ],
)
def test_what_is_not_where_baileys_declares_it_is_an_error(tmp_path: Path, file: str, text: str) -> None:
    changed = {file: text, "Socket/chats": "export {}"} if file == "Socket/socket" else {file: text}
    with pytest.raises(ParityError):
        read_baileys(write_source(tmp_path, changed))


def test_a_folder_that_is_no_baileys_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"package\.json"):
        read_baileys(tmp_path / "absent")
    with pytest.raises(ParityError, match=r"package\.json"):
        read_baileys(tmp_path)
    write(tmp_path / "package.json", json.dumps({"name": "express", "version": "1"}))
    with pytest.raises(ParityError, match="express"):
        read_baileys(tmp_path)
    write(tmp_path / "package.json", json.dumps({"name": "baileys", "version": "1"}))
    with pytest.raises(ParityError, match="neither src/Socket nor lib/Socket"):
        read_baileys(tmp_path)
    with pytest.raises(ParityError):
        read_tokens(tmp_path / "absent.js")
    with pytest.raises(ParityError):
        read_waproto(tmp_path)


@pytest.mark.peer
def test_the_pinned_package() -> None:
    package = require("baileys")
    found = read_baileys(package)
    assert read_versions(package) == {"version": found.version, "web_version": found.web_version}
    assert (len(found.methods), len(found.events), len(found.options)) == (153, 34, 40)
    assert (len(found.content_kinds), len(found.sync_in), len(found.sync_out)) == (24, 22, 17)
    assert (len(found.retry_reasons), len(found.disconnect_reasons), len(found.nack_codes)) == (14, 10, 14)
    assert [len(words) for words in found.tokens.named().values()] == [236, 256, 256, 256, 256]
    assert len(found.schema) > 600
    assert not [name for name, fields in found.schema.items() for told in fields.values() if not told]
    assert found.stanzas[Shape("iq", "get", "encrypt", "count")] == ("Socket/socket:getAvailablePreKeysOnServer",)
    assert Shape("iq", "set", "w:g2", "leave") in found.stanzas
