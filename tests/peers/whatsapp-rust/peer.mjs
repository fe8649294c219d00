// One whatsapp-rust client (WebAssembly), driven line by line: a JSON command on stdin, JSON events and replies on stdout.
//
// A command is {"id", "do", ...}; its reply {"reply": id, "value"} or {"reply": id, "error"}. Events are {"event", "data"}
// as the client tells them, and {"event": "message", "data": {id, chat, sender, text}} for each message it has read; other
// contents are left out. "run" calls any method of the client. Whatever it is asked to reach over HTTP is refused, and a
// socket goes to the URL of "open" on loopback and nowhere else. Its state lives in memory until the process ends.
import { createInterface } from 'node:readline';

for (const level of ['log', 'info', 'warn', 'debug']) console[level] = console.error;
const { initWasmEngine, createWhatsAppClient, decodeMessageWireBatch, decodeProto, encodeProto } =
  await import('whatsapp-rust-bridge');

const plain = (key, value) => (typeof value === 'bigint' ? String(value) : value);
const say = (value) => process.stdout.write(JSON.stringify(value, plain) + '\n');
const quiet = () => {};
const show = (obj, text) => console.error(text ?? obj);
const verbose = Boolean(process.env.PEER_LOG);
const logger = {
  level: verbose ? 'debug' : 'silent',
  trace: quiet, debug: verbose ? show : quiet, info: verbose ? show : quiet, warn: verbose ? show : quiet, error: show,
  child: () => logger,
};
initWasmEngine(logger);

let client;

function transport(url) {
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname)) throw new Error('loopback only');
  let socket;
  return {
    connect: (handle) => new Promise((resolve, reject) => {
      const opened = new WebSocket(url);
      socket = opened;
      opened.binaryType = 'arraybuffer';
      opened.onopen = () => { handle.onConnected(); resolve(); };
      opened.onmessage = ({ data }) => handle.onData(new Uint8Array(data));
      opened.onerror = () => reject(new Error('no connection'));
      opened.onclose = () => { reject(new Error('closed')); handle.onDisconnected(); };
    }),
    send: (data) => { if (socket?.readyState === WebSocket.OPEN) socket.send(data.slice()); },
    disconnect: () => { socket?.close(); },
  };
}

const http = { execute: async () => ({ statusCode: 503, body: new Uint8Array() }) };
const records = new Map();
const store = {
  get: async (name, key) => records.get(`${name}\n${key}`) ?? null,
  set: async (name, key, value) => { records.set(`${name}\n${key}`, value.slice()); },
  delete: async (name, key) => { records.delete(`${name}\n${key}`); },
};
const handler = {
  onEvent: (event) => say({ event: event.type, data: event.data ?? null }),
  onMessageBatch: (batch) => {
    const { messageData, messageOffsets, infos } = decodeMessageWireBatch(batch);
    infos.forEach(({ id, chat, sender }, number) => {
      const content = messageData.subarray(messageOffsets[number], messageOffsets[number + 1]);
      const { conversation, extendedTextMessage } = decodeProto('Message', content);
      say({ event: 'message', data: { id, chat, sender, text: extendedTextMessage?.text ?? conversation ?? null } });
    });
  },
  onHistorySyncBatch: quiet,
};

const commands = {
  open: async ({ url }) => {
    client = await createWhatsAppClient(transport(url), http, handler, store, null, [2, 3000, 1043857760]);
    client.run();
  },
  pairCode: ({ phone, code = null }) => client.requestPairingCode(phone, code),
  reconnect: () => client.reconnect(),
  disconnect: () => client.disconnect(),
  jid: () => client.getJid(),
  sendText: ({ to, text }) => client.sendMessageBytes(to, encodeProto('Message', { conversation: text })),
  run: ({ method, args }) => client[method](...args),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: name, ...args } = JSON.parse(line);
  Promise.resolve().then(() => commands[name](args)).then(
    (value) => say({ reply: id, value: value ?? null }),
    (error) => say({ reply: id, error: String(error?.message ?? error) }),
  );
}
process.exit(0);
