// Two other implementations of sender keys, driven as oracle.mjs is: a JSON request on stdin, a JSON answer on stdout.
//
// A request is {"do", "party", ...}. A party holds the sender keys of one device in one group, run by "baileys" (its
// lib/Signal/Group; the argument is its folder), by "repository" (the same behind Baileys' own storage, lib/Signal/libsignal.js;
// reads only), or by "official" (@signalapp/libsignal-client). Bytes are hex.
//
// The official client's wire has a distribution id in front (fields 1 id of 16 bytes, 2 chain id, 3 iteration, 4 ciphertext
// or chain key, 5 signing key), WhatsApp's has none (1 id, 2 iteration, 3, 4). So its messages are rewritten here on the way
// in and out, and signed again, by its own curve: out with the private key that stands in its record, in with the sender's,
// which the request must bring, after the signature that came was verified. Chain, cipher, curve and records are its own.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

for (const level of ['log', 'info', 'warn', 'debug']) console[level] = console.error;

const require = createRequire(import.meta.url);
const official = require('@signalapp/libsignal-client');
const ofBaileys = (path) => import(pathToFileURL(`${process.argv[2]}/lib/${path}`).href);
const baileys = await ofBaileys('Signal/Group/index.js');
const { BufferJSON } = await ofBaileys('Utils/generics.js');
const { addTransactionCapability, initAuthCreds } = await ofBaileys('Utils/auth-utils.js');
const { makeLibSignalRepository } = await ofBaileys('Signal/libsignal.js');

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => Buffer.from(text, 'hex');

// --- Baileys ------------------------------------------------------------------------------------------------------------

class BaileysParty {
  constructor() {
    this.name = new baileys.SenderKeyName('1@g.us', { id: '2', deviceId: 0, toString: () => '2.0' });
    this.stored = null;
    // JSON, as the real storage keeps it, but with the replacer that its reviver needs: see RepositoryParty.
    this.store = {
      loadSenderKey: async () => (this.stored ? baileys.SenderKeyRecord.deserialize(this.stored) : new baileys.SenderKeyRecord()),
      storeSenderKey: async (_, record) => { this.stored = JSON.stringify(record.serialize(), BufferJSON.replacer); },
    };
    this.builder = new baileys.GroupSessionBuilder(this.store);
    this.cipher = new baileys.GroupCipher(this.store, this.name);
  }
  async create() { this.stored = null; await this.builder.create(this.name); return {}; }
  async distribution() { return { distribution: hex((await this.builder.create(this.name)).serialize()) }; }
  async process({ distribution }) {
    const message = new baileys.SenderKeyDistributionMessage(null, null, null, null, unhex(distribution));
    await this.builder.process(this.name, message);
    return {};
  }
  async encrypt({ plaintext }) {
    const message = await this.cipher.encrypt(unhex(plaintext));
    const { senderSigningKey: key } = (await this.store.loadSenderKey()).getSenderKeyState().getStructure();
    return { message: hex(message), signing_private: hex(key.private) };
  }
  async decrypt({ message }) { return { plaintext: hex(await this.cipher.decrypt(unhex(message))) }; }
  async describe() {
    const record = await this.store.loadSenderKey();
    return { states: record.serialize().map((state) => ({
      id: state.senderKeyId, iteration: state.senderChainKey.iteration, skipped: state.senderMessageKeys.length,
      signing_key: hex(state.senderSigningKey.public),
    })) };
  }
}

const GROUP = '1@g.us';
const AUTHOR = '2@s.whatsapp.net';
const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {} };

class RepositoryParty {
  constructor() {
    const records = new Map();
    const store = {
      get: async (type, ids) => Object.fromEntries(ids.map((id) => [id, records.get(`${type}.${id}`)]).filter(([, value]) => value)),
      set: async (data) => {
        for (const type in data) for (const id in data[type]) records.set(`${type}.${id}`, data[type][id]);
      },
    };
    const keys = addTransactionCapability(store, silent, { maxCommitRetries: 1, delayBetweenTriesMs: 1 });
    this.repository = makeLibSignalRepository({ creds: initAuthCreds(), keys }, silent, async () => []);
  }
  async process({ distribution }) {
    const item = { groupId: GROUP, axolotlSenderKeyDistributionMessage: unhex(distribution) };
    await this.repository.processSenderKeyDistributionMessage({ item, authorJid: AUTHOR });
    return {};
  }
  async decrypt({ message }) {
    return { plaintext: hex(await this.repository.decryptGroupMessage({ group: GROUP, authorJid: AUTHOR, msg: unhex(message) })) };
  }
}

// --- the official client ------------------------------------------------------------------------------------------------

const DISTRIBUTION_ID = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';
const SENDER = official.ProtocolAddress.new('sender', 1);
const VERSION = 3;
const VERSION_BYTE = 0x33;
const SIGNATURE_LENGTH = 64;

function varint(value) {
  const out = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80);
  return Buffer.from([...out, value]);
}
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);

// The fields of a protobuf message: varints as numbers, the rest as bytes; of repeated ones the first.
function fields(data) {
  const found = {};
  let at = 0;
  const read = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = data[at++];
      if (byte === undefined) throw new Error('cut short');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const tag = read();
    let value = read();
    if ((tag & 7) === 2) { value = data.subarray(at, at + value); at += value.length; }
    found[tag >> 3] ??= value;
  }
  return found;
}

class SenderKeys extends official.SenderKeyStore {
  record = null;
  async saveSenderKey(sender, id, record) { this.record = record.serialize(); }
  async getSenderKey() { return this.record && official.SenderKeyRecord.deserialize(this.record); }
}

class OfficialParty {
  keys = new SenderKeys();
  // What a record holds of its newest state.
  newest() {
    const state = fields(fields(this.keys.record)[1]);
    const signing = fields(state[3]);
    return { chain: fields(state[2]), public: signing[1], private: official.PrivateKey.deserialize(Buffer.from(signing[2])) };
  }
  async create() {
    this.keys.record = null;
    await official.SenderKeyDistributionMessage.create(SENDER, DISTRIBUTION_ID, this.keys);
    return {};
  }
  async distribution() {
    const made = await official.SenderKeyDistributionMessage.create(SENDER, DISTRIBUTION_ID, this.keys);
    const body = [number(1, made.chainId()), number(2, made.iteration()), bytes(3, made.chainKey()), bytes(4, this.newest().public)];
    return { distribution: hex(Buffer.concat([Buffer.from([VERSION_BYTE]), ...body])), original: hex(made.serialize()) };
  }
  async process({ distribution }) {
    const told = fields(unhex(distribution).subarray(1));
    const key = official.PublicKey.deserialize(Buffer.from(told[4]));
    const message = official.SenderKeyDistributionMessage._new(VERSION, DISTRIBUTION_ID, told[1], told[2], Buffer.from(told[3]), key);
    await official.processSenderKeyDistributionMessage(SENDER, message, this.keys);
    return {};
  }
  async encrypt({ plaintext }) {
    const original = (await official.groupEncrypt(SENDER, DISTRIBUTION_ID, this.keys, unhex(plaintext))).serialize();
    const made = official.SenderKeyMessage.deserialize(original);
    const body = [number(1, made.chainId()), number(2, made.iteration()), bytes(3, made.ciphertext())];
    const covered = Buffer.concat([Buffer.from([VERSION_BYTE]), ...body]);
    const { private: key } = this.newest();
    const message = Buffer.concat([covered, key.sign(covered)]);
    return { message: hex(message), signing_private: hex(key.serialize()), original: hex(original) };
  }
  async decrypt({ message, signing_private: signing }) {
    const data = unhex(message);
    const covered = data.subarray(0, -SIGNATURE_LENGTH);
    const key = official.PrivateKey.deserialize(unhex(signing));
    if (!key.getPublicKey().verify(covered, data.subarray(-SIGNATURE_LENGTH))) throw new Error('invalid signature');
    const said = fields(covered.subarray(1));
    const again = official.SenderKeyMessage._new(VERSION, DISTRIBUTION_ID, said[1], said[2], Buffer.from(said[3]), key);
    return { plaintext: hex(await official.groupDecrypt(SENDER, this.keys, again.serialize())) };
  }
  async save() { return { record: hex(this.keys.record ?? Buffer.alloc(0)) }; }
  async load({ record }) {
    this.keys.record = official.SenderKeyRecord.deserialize(unhex(record)).serialize();
    return {};
  }
}

// --- requests -----------------------------------------------------------------------------------------------------------

const parties = new Map();

async function answer(request) {
  if (request.do === 'new') {
    parties.set(request.party, new { baileys: BaileysParty, repository: RepositoryParty, official: OfficialParty }[request.by]());
    return {};
  }
  return await parties.get(request.party)[request.do](request);
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = await answer(JSON.parse(line));
  } catch (error) {
    said = { error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
