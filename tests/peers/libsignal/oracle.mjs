// Two other implementations of Signal sessions, driven line by line: a JSON request on stdin, a JSON answer on stdout.
//
// A request is {"do", "party", ...}. A party is one device, run by "official" (@signalapp/libsignal-client) or "node"
// (libsignal-node, which Baileys uses); its whole state lives in this process. Bytes are hex, keys are 33 bytes. What an
// implementation throws comes back as {"error": its text}. Anything they log goes to stderr.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

for (const level of ['log', 'info', 'warn', 'debug']) console[level] = console.error;

const require = createRequire(import.meta.url);
const official = require('@signalapp/libsignal-client');
const node = require('libsignal');

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => Buffer.from(text, 'hex');
const SIGNED_PREKEY_ID = 11;

// --- the official client ------------------------------------------------------------------------------------------------

class Sessions extends official.SessionStore {
  records = new Map();
  async saveSession(address, record) { this.records.set(address.name(), record.serialize()); }
  async getSession(address) {
    const record = this.records.get(address.name());
    return record ? official.SessionRecord.deserialize(record) : null;
  }
}

class Identity extends official.IdentityKeyStore {
  constructor(key, registrationId) { super(); Object.assign(this, { key, registrationId, known: new Map() }); }
  async getIdentityKey() { return this.key; }
  async getLocalRegistrationId() { return this.registrationId; }
  async saveIdentity(address, key) { this.known.set(address.name(), key); return false; }
  async isTrustedIdentity() { return true; }
  async getIdentity(address) { return this.known.get(address.name()) ?? null; }
}

class Prekeys extends official.PreKeyStore {
  keys = new Map();
  async savePreKey(id, record) { this.keys.set(id, record); }
  async getPreKey(id) { if (!this.keys.has(id)) throw new Error('no such prekey'); return this.keys.get(id); }
  async removePreKey(id) { this.keys.delete(id); }
}

class SignedPrekeys extends official.SignedPreKeyStore {
  keys = new Map();
  async saveSignedPreKey(id, record) { this.keys.set(id, record); }
  async getSignedPreKey(id) { if (!this.keys.has(id)) throw new Error('no such signed prekey'); return this.keys.get(id); }
}

const address = (name) => official.ProtocolAddress.new(name, 1);
const privateKey = (text) => (text ? official.PrivateKey.deserialize(unhex(text)) : official.PrivateKey.generate());

class OfficialParty {
  constructor({ registration_id: registrationId, identity_private: identity }) {
    const key = privateKey(identity);
    const signed = official.PrivateKey.generate();
    Object.assign(this, { registrationId, key, nextPrekey: 1 });
    Object.assign(this, { sessions: new Sessions(), identity: new Identity(key, registrationId) });
    Object.assign(this, { prekeys: new Prekeys(), signedPrekeys: new SignedPrekeys() });
    this.signature = key.sign(signed.getPublicKey().serialize());
    this.signed = official.SignedPreKeyRecord.new(SIGNED_PREKEY_ID, 1, signed.getPublicKey(), signed, this.signature);
  }
  async bundle({ with_prekey: withPrekey }) {
    await this.signedPrekeys.saveSignedPreKey(SIGNED_PREKEY_ID, this.signed);
    const bundle = {
      registration_id: this.registrationId,
      identity_key: hex(this.key.getPublicKey().serialize()),
      signed_prekey_id: SIGNED_PREKEY_ID,
      signed_prekey: hex(this.signed.publicKey().serialize()),
      signed_prekey_signature: hex(this.signature),
    };
    if (!withPrekey) return bundle;
    const once = official.PrivateKey.generate();
    const id = this.nextPrekey++;
    await this.prekeys.savePreKey(id, official.PreKeyRecord.new(id, once.getPublicKey(), once));
    return { ...bundle, prekey_id: id, prekey: hex(once.getPublicKey().serialize()) };
  }
  async open({ peer, bundle: b }) {
    const key = (text) => official.PublicKey.deserialize(unhex(text));
    const bundle = official.PreKeyBundle.new(b.registration_id, 1, b.prekey_id ?? null, b.prekey ? key(b.prekey) : null,
      b.signed_prekey_id, key(b.signed_prekey), unhex(b.signed_prekey_signature), key(b.identity_key));
    await official.processPreKeyBundle(bundle, address(peer), this.sessions, this.identity);
    return {};
  }
  async encrypt({ peer, plaintext }) {
    const message = await official.signalEncrypt(unhex(plaintext), address(peer), this.sessions, this.identity);
    const type = message.type() === official.CiphertextMessageType.PreKey ? 'pkmsg' : 'msg';
    return { type, message: hex(message.serialize()) };
  }
  async decrypt({ peer, type, message }) {
    const bytes = unhex(message);
    const plaintext = type === 'pkmsg'
      ? await official.signalDecryptPreKey(official.PreKeySignalMessage.deserialize(bytes), address(peer), this.sessions,
        this.identity, this.prekeys, this.signedPrekeys)
      : await official.signalDecrypt(official.SignalMessage.deserialize(bytes), address(peer), this.sessions, this.identity);
    return { plaintext: hex(plaintext) };
  }
  async save({ peer }) { return { record: hex(this.sessions.records.get(peer) ?? Buffer.alloc(0)) }; }
  async load({ peer, record }) {
    const bytes = unhex(record);
    this.sessions.records.set(peer, official.SessionRecord.deserialize(bytes).serialize());
    return {};
  }
  async prekeys_left() { return { ids: [...this.prekeys.keys.keys()] }; }
  async secrets() {
    return {
      identity_private: hex(this.key.serialize()),
      signed_prekey_private: hex(this.signed.privateKey().serialize()),
      prekeys: Object.fromEntries([...this.prekeys.keys].map(([id, record]) => [id, hex(record.privateKey().serialize())])),
    };
  }
}

// --- libsignal-node -----------------------------------------------------------------------------------------------------

class NodeParty {
  constructor({ registration_id: registrationId }) {
    this.registrationId = registrationId;
    this.key = node.curve.generateKeyPair();
    this.signed = node.keyhelper.generateSignedPreKey(this.key, SIGNED_PREKEY_ID);
    this.prekeys = new Map();
    this.nextPrekey = 1;
    this.records = new Map();
    this.storage = {
      loadSession: async (id) => (this.records.has(id) ? node.SessionRecord.deserialize(JSON.parse(this.records.get(id))) : undefined),
      storeSession: async (id, record) => { this.records.set(id, JSON.stringify(record.serialize())); },
      isTrustedIdentity: () => true,
      loadPreKey: async (id) => this.prekeys.get(id),
      removePreKey: (id) => { this.prekeys.delete(id); },
      loadSignedPreKey: () => this.signed.keyPair,
      getOurRegistrationId: () => registrationId,
      getOurIdentity: () => this.key,
    };
  }
  address(peer) { return new node.ProtocolAddress(peer, 1); }
  async bundle({ with_prekey: withPrekey }) {
    const bundle = {
      registration_id: this.registrationId,
      identity_key: hex(this.key.pubKey),
      signed_prekey_id: SIGNED_PREKEY_ID,
      signed_prekey: hex(this.signed.keyPair.pubKey),
      signed_prekey_signature: hex(this.signed.signature),
    };
    if (!withPrekey) return bundle;
    const { keyId, keyPair } = node.keyhelper.generatePreKey(this.nextPrekey++);
    this.prekeys.set(keyId, keyPair);
    return { ...bundle, prekey_id: keyId, prekey: hex(keyPair.pubKey) };
  }
  async open({ peer, bundle: b }) {
    await new node.SessionBuilder(this.storage, this.address(peer)).initOutgoing({
      registrationId: b.registration_id,
      identityKey: unhex(b.identity_key),
      signedPreKey: { keyId: b.signed_prekey_id, publicKey: unhex(b.signed_prekey), signature: unhex(b.signed_prekey_signature) },
      preKey: b.prekey ? { keyId: b.prekey_id, publicKey: unhex(b.prekey) } : undefined,
    });
    return {};
  }
  async encrypt({ peer, plaintext }) {
    const { type, body } = await new node.SessionCipher(this.storage, this.address(peer)).encrypt(unhex(plaintext));
    return { type: type === 3 ? 'pkmsg' : 'msg', message: hex(body) };
  }
  async decrypt({ peer, type, message }) {
    const cipher = new node.SessionCipher(this.storage, this.address(peer));
    const bytes = unhex(message);
    const plaintext = type === 'pkmsg' ? await cipher.decryptPreKeyWhisperMessage(bytes) : await cipher.decryptWhisperMessage(bytes);
    return { plaintext: hex(plaintext) };
  }
  async prekeys_left() { return { ids: [...this.prekeys.keys()] }; }
}

// --- requests -----------------------------------------------------------------------------------------------------------

const parties = new Map();

async function answer(request) {
  if (request.do === 'new') {
    parties.set(request.party, request.by === 'official' ? new OfficialParty(request) : new NodeParty(request));
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
