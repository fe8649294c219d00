// The other side of the benchmarks: Baileys' own functions, timed the way __main__.py times ours.
// Reads one JSON line {"name", "seconds"}, answers {"name", "ns"}: nanoseconds for one operation.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [, , peers, workloads] = process.argv
const require = createRequire(`${peers}/package.json`)
const load = name => import(pathToFileURL(require.resolve(name)).href)
const { encodeBinaryNode } = await load('baileys/lib/WABinary/encode.js')
const { decodeBinaryNode } = await load('baileys/lib/WABinary/decode.js')
const { makeNoiseHandler } = await load('baileys/lib/Utils/noise-handler.js')
const { makeLibSignalRepository } = await load('baileys/lib/Signal/libsignal.js')
const { addTransactionCapability } = await load('baileys/lib/Utils/auth-utils.js')
const { initAuthCreds } = await load('baileys/lib/Utils/auth-utils.js')
const { Curve } = await load('baileys/lib/Utils/crypto.js')
const group = await load('baileys/lib/Signal/Group/index.js')
const { useMultiFileAuthState } = await load('baileys/lib/Utils/use-multi-file-auth-state.js')
const { makeCacheableSignalKeyStore } = await load('baileys/lib/Utils/auth-utils.js')
const { encodeWAMessage } = await load('baileys/lib/Utils/generics.js')
const { default: makeWASocket } = await load('baileys/lib/index.js')
const { WebSocketServer } = (await load('ws')).default
const libsignal = (await load('libsignal')).default

const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {} }
const prefixed = key => Buffer.concat([Buffer.from([5]), Buffer.from(key)])

function memoryKeys() {
  const records = new Map()
  return {
    get: async (type, ids) => Object.fromEntries(
      ids.map(id => [id, records.get(`${type}.${id}`)]).filter(([, value]) => value != null)
    ),
    set: async data => {
      for (const type in data) {
        for (const id in data[type]) records.set(`${type}.${id}`, data[type][id])
      }
    }
  }
}

function party() {
  const creds = initAuthCreds()
  const keys = addTransactionCapability(memoryKeys(), silent, { maxCommitRetries: 1, delayBetweenTriesMs: 1 })
  return { creds, keys, repository: makeLibSignalRepository({ creds, keys }, silent, async () => []) }
}

async function bundleOf(party, id) {
  const pair = Curve.generateKeyPair()
  await party.keys.set({ 'pre-key': { [id]: pair } })
  const { creds } = party
  return {
    registrationId: creds.registrationId,
    identityKey: prefixed(creds.signedIdentityKey.public),
    signedPreKey: {
      keyId: creds.signedPreKey.keyId,
      publicKey: prefixed(creds.signedPreKey.keyPair.public),
      signature: creds.signedPreKey.signature
    },
    preKey: { keyId: id, publicKey: prefixed(pair.public) }
  }
}

// libsignal-node alone, with the smallest storage that it accepts: what "raw" means in the table.
class RawStorage {
  constructor(creds) { this.creds = creds; this.sessions = new Map(); this.prekeys = new Map() }
  async loadSession(id) { return this.sessions.get(id) }
  async storeSession(id, record) { this.sessions.set(id, record) }
  isTrustedIdentity() { return true }
  async loadPreKey(id) { return this.prekeys.get(String(id)) }
  async removePreKey() {}
  loadSignedPreKey() {
    const pair = this.creds.signedPreKey.keyPair
    return { privKey: Buffer.from(pair.private), pubKey: prefixed(pair.public) }
  }
  getOurRegistrationId() { return this.creds.registrationId }
  getOurIdentity() {
    const pair = this.creds.signedIdentityKey
    return { privKey: Buffer.from(pair.private), pubKey: prefixed(pair.public) }
  }
}

async function rawPair() {
  const [alice, bob] = [new RawStorage(initAuthCreds()), new RawStorage(initAuthCreds())]
  const once = Curve.generateKeyPair()
  bob.prekeys.set('1', { privKey: Buffer.from(once.private), pubKey: prefixed(once.public) })
  const toBob = new libsignal.ProtocolAddress('bob', 0)
  const toAlice = new libsignal.ProtocolAddress('alice', 0)
  const bundle = {
    registrationId: bob.creds.registrationId,
    identityKey: prefixed(bob.creds.signedIdentityKey.public),
    signedPreKey: {
      keyId: bob.creds.signedPreKey.keyId,
      publicKey: prefixed(bob.creds.signedPreKey.keyPair.public),
      signature: bob.creds.signedPreKey.signature
    },
    preKey: { keyId: 1, publicKey: prefixed(once.public) }
  }
  await new libsignal.SessionBuilder(alice, toBob).initOutgoing(bundle)
  const [a, b] = [new libsignal.SessionCipher(alice, toBob), new libsignal.SessionCipher(bob, toAlice)]
  const first = await a.encrypt(TEXT)
  await b.decryptPreKeyWhisperMessage(first.body instanceof Buffer ? first.body : Buffer.from(first.body, 'binary'), 'binary')
  const back = await b.encrypt(TEXT)
  await a.decryptWhisperMessage(Buffer.from(back.body, 'binary'), 'binary')
  return { alice, bob, a, b, bundle }
}

const TEXT = Buffer.alloc(160, 7)
const FRAME = Buffer.alloc(500, 7)

function noise() {
  const handler = makeNoiseHandler({
    keyPair: Curve.generateKeyPair(), NOISE_HEADER: Buffer.from([87, 65, 6, 3]), logger: silent
  })
  return handler.finishInit().then(() => handler)
}

// Frames that a fresh handler's read key opens, as the server would have sent them.
const sealedFrames = count => sealed(Array.from({ length: count }, () => FRAME))
function sealed(plaintexts) {
  const salt = Buffer.from('Noise_XX_25519_AESGCM_SHA256\0\0\0\0')
  const key = Buffer.from(hkdfSync('sha256', Buffer.alloc(0), salt, Buffer.alloc(0), 64)).subarray(32)
  return plaintexts.map((plaintext, counter) => {
    const iv = Buffer.alloc(12)
    iv.writeUInt32BE(counter, 8)
    const cipher = createCipheriv('aes-256-gcm', key, iv)
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  })
}

const nowNs = () => Number(process.hrtime.bigint())

// Repeats an operation for about `seconds`, in batches, and returns the median batch's time for one operation.
async function timed(seconds, batch, work) {
  const samples = []
  const end = nowNs() + seconds * 1e9
  do samples.push(await work(batch) / batch)
  while (nowNs() < end || samples.length < 5)
  samples.sort((x, y) => x - y)
  return samples[samples.length >> 1]
}

const clocked = async work => { const start = nowNs(); await work(); return nowNs() - start }

const benches = {}
for (const [name, batch] of [['ack', 2000], ['receipt', 2000], ['group_msg_60', 50], ['group_meta_1000', 3], ['usync_2000', 1]]) {
  const bytes = readFileSync(`${workloads}/${name}.bin`)
  const node = await decodeBinaryNode(bytes)
  // What Baileys' noise handler calls for each frame; like ours, it takes the flag byte and inflates when that says so.
  benches[`decode ${name}`] = seconds => timed(seconds, batch, n => clocked(async () => {
    for (let i = 0; i < n; i++) await decodeBinaryNode(bytes)
  }))
  benches[`encode ${name}`] = seconds => timed(seconds, batch, n => clocked(() => {
    for (let i = 0; i < n; i++) encodeBinaryNode(node)
  }))
}

benches['signal encrypt'] = async seconds => {
  const { a } = await rawPair()
  return timed(seconds, 200, n => clocked(async () => { for (let i = 0; i < n; i++) await a.encrypt(TEXT) }))
}
benches['signal decrypt'] = async seconds => {
  const { a, b } = await rawPair()
  return timed(seconds, 200, async n => {
    const sealed = []
    for (let i = 0; i < n; i++) sealed.push(Buffer.from((await a.encrypt(TEXT)).body, 'binary'))
    return clocked(async () => { for (const message of sealed) await b.decryptWhisperMessage(message, 'binary') })
  })
}
benches['x3dh initiate'] = async seconds => {
  const { alice, bundle } = await rawPair()
  let number = 0
  return timed(seconds, 5, n => clocked(async () => {
    for (let i = 0; i < n; i++) {
      const address = new libsignal.ProtocolAddress(`peer${number++}`, 0)
      await new libsignal.SessionBuilder(alice, address).initOutgoing(bundle)
    }
  }))
}
benches['x3dh accept'] = async seconds => {
  const { alice, bob, bundle } = await rawPair()
  let number = 0
  return timed(seconds, 5, async n => {
    const sealed = []
    for (let i = 0; i < n; i++) {
      const address = new libsignal.ProtocolAddress(`bob${number++}`, 0)
      await new libsignal.SessionBuilder(alice, address).initOutgoing(bundle)
      const message = await new libsignal.SessionCipher(alice, address).encrypt(TEXT)
      sealed.push(Buffer.from(message.body, 'binary'))
    }
    return clocked(async () => {
      for (const message of sealed) {
        const address = new libsignal.ProtocolAddress(`alice${number++}`, 0)
        await new libsignal.SessionCipher(bob, address).decryptPreKeyWhisperMessage(message, 'binary')
      }
    })
  })
}
benches['repository encrypt'] = async seconds => {
  const [alice, bob] = [party(), party()]
  const jid = '15550001111@s.whatsapp.net'
  await alice.repository.injectE2ESession({ jid, session: await bundleOf(bob, 1) })
  return timed(seconds, 100, n => clocked(async () => {
    for (let i = 0; i < n; i++) await alice.repository.encryptMessage({ jid, data: TEXT })
  }))
}
// Baileys' lib/Signal/Group with the smallest storage that it accepts: records stay as they are.
async function groupPair() {
  const name = new group.SenderKeyName('1@g.us', { id: '15550001111', deviceId: 0, toString: () => '15550001111.0' })
  const side = () => {
    const record = new group.SenderKeyRecord()
    const store = { loadSenderKey: async () => record, storeSenderKey: async () => {} }
    return { builder: new group.GroupSessionBuilder(store), cipher: new group.GroupCipher(store, name) }
  }
  const [sender, reader] = [side(), side()]
  await reader.builder.process(name, await sender.builder.create(name))
  return [sender.cipher, reader.cipher]
}
benches['group encrypt'] = async seconds => {
  const [sender] = await groupPair()
  return timed(seconds, 5, n => clocked(async () => { for (let i = 0; i < n; i++) await sender.encrypt(TEXT) }))
}
benches['group decrypt'] = async seconds => {
  const [sender, reader] = await groupPair()
  return timed(seconds, 5, async n => {
    const sealed = []
    for (let i = 0; i < n; i++) sealed.push(await sender.encrypt(TEXT))
    return clocked(async () => { for (const message of sealed) await reader.decrypt(message) })
  })
}
benches['noise encrypt'] = async seconds => {
  const handler = await noise()
  return timed(seconds, 2000, n => clocked(() => { for (let i = 0; i < n; i++) handler.encodeFrame(FRAME) }))
}
benches['noise decrypt'] = async seconds => timed(seconds, 2000, async n => {
  const handler = await noise()
  const sealed = sealedFrames(n)
  return clocked(() => { for (const frame of sealed) handler.decrypt(frame) })
})

// The whole receive path, as receive.py times ours: a real socket, with Baileys' own file state (as its documentation
// has it, behind its cache) or in memory, and 1:1 texts of five people. The socket is connected to a server that never
// answers, so it writes its receipts (unencrypted, which is in its favour); each frame is opened and decoded as the
// socket's own handler does, and handed to it as 'CB:message'. Timed until the last text was emitted.
const CHAT_TEXT = 'a text as people send them, neither short nor long, with a word or two more than needed'
const ME = { id: '15550000001:3@s.whatsapp.net', lid: '200000000000001:3@lid', name: 'Me' }

async function fileState() {
  const folder = mkdtempSync(join(tmpdir(), 'waton-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const { state } = await useMultiFileAuthState(folder)
  return { creds: state.creds, keys: makeCacheableSignalKeyStore(state.keys, silent) }
}

const memoryState = async () => ({ creds: initAuthCreds(), keys: memoryKeys() })

async function receivePath({ creds, keys }) {
  creds.me = ME
  const options = { maxCommitRetries: 1, delayBetweenTriesMs: 1 }
  const mine = { creds, keys: addTransactionCapability(keys, silent, options) }
  const repository = makeLibSignalRepository(mine, silent, async () => [])
  const peers = []
  for (let number = 0; number < 5; number++) {
    const jid = `30000000000000${number}@lid`
    const peer = { jid, ...party() }
    await peer.repository.injectE2ESession({ jid: ME.lid, session: await bundleOf(mine, number + 1) })
    const first = await peer.repository.encryptMessage({ jid: ME.lid, data: TEXT })
    await repository.decryptMessage({ jid, ...first })
    const back = await repository.encryptMessage({ jid, data: TEXT })
    await peer.repository.decryptMessage({ jid: ME.lid, ...back })
    peers.push(peer)
  }
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise(resolve => server.once('listening', resolve))
  const socket = makeWASocket({
    waWebSocketUrl: `ws://127.0.0.1:${server.address().port}`, auth: { creds, keys }, logger: silent, connectTimeoutMs: 3_600_000
  })
  await new Promise(resolve => socket.ws.once('open', resolve))
  let got = []
  let told = () => {}
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message } of messages) {
      if (message?.conversation !== CHAT_TEXT) throw new Error('not read')
      got.push(key.id)
    }
    told()
  })
  return async count => {
    const [ids, plaintexts] = [[], []]
    for (let i = 0; i < count; i++) {
      const peer = peers[i % peers.length]
      const { type, ciphertext } = await peer.repository.encryptMessage({
        jid: ME.lid, data: encodeWAMessage({ conversation: CHAT_TEXT })
      })
      if (type !== 'msg') throw new Error(type)
      ids.push(randomBytes(10).toString('hex').toUpperCase())
      const attrs = { from: peer.jid, type: 'text', id: ids[i], t: String(Date.now() / 1000 | 0), notify: 'Ada' }
      const enc = { tag: 'enc', attrs: { v: '2', type }, content: ciphertext }
      plaintexts.push(encodeBinaryNode({ tag: 'message', attrs, content: [enc] }))
    }
    const frames = sealed(plaintexts)
    const handler = await noise()
    got = []
    const all = new Promise(resolve => { told = () => { if (got.length === count) resolve() } })
    const took = await clocked(async () => {
      for (const frame of frames) socket.ws.emit('CB:message', await decodeBinaryNode(handler.decrypt(frame)))
      await all
    })
    if (got.join() !== ids.join()) throw new Error('not in order')
    return took
  }
}

const paths = new Map()
for (const [name, state] of [['receive-files', fileState], ['receive-memory', memoryState]]) {
  benches[name] = async seconds => {
    if (!paths.has(name)) paths.set(name, await receivePath(await state()))
    return timed(seconds, 500, paths.get(name))
  }
}

console.log = () => {}
console.info = () => {}
console.warn = () => {}
for await (const line of createInterface({ input: process.stdin })) {
  const { name, seconds } = JSON.parse(line)
  let answer
  try {
    answer = { name, ns: await benches[name](seconds) }
  } catch (error) {
    answer = { name, error: String(error?.stack ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
process.exit(0)  // its sockets would keep it
