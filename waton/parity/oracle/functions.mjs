// Commands that call Baileys' functions: whatever it exports, by name, with the clock stopped and the dice known when asked.
//
// A few of its parts are no functions of values: the noise handler, the Signal repository, a usync query, an app-state patch,
// the event buffer. For these there are commands that make one, use it and tell what came out.
import crypto from 'node:crypto'
import { readdirSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { load, quiet, toJson } from './shared.mjs'

const RealDate = Date
const realRandomBytes = crypto.randomBytes
const realGenerateKeyPair = crypto.generateKeyPairSync

function stopClock(seconds) {
  const now = Math.round(seconds * 1000)
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      if (args.length) super(...args)
      else super(now)
    }
    static now() { return now }
  }
}

function loadDice(bytes) {
  let place = 0
  crypto.randomBytes = size => Buffer.from(Array.from({ length: size }, () => bytes[place++ % bytes.length]))
  // OpenSSL's own key pairs know no dice; libsignal falls back to randomBytes when it cannot have them.
  crypto.generateKeyPairSync = () => { throw new Error('the dice are loaded') }
  syncBuiltinESMExports()
}

// Run `work` with Date.now() and crypto.randomBytes as asked; both are as before when it has ended.
export async function inWorld({ now, dice }, work) {
  try {
    if (now != null) stopClock(now)
    if (dice != null) loadDice(dice)
    return await work()
  } finally {
    globalThis.Date = RealDate
    if (dice != null) {
      crypto.randomBytes = realRandomBytes
      crypto.generateKeyPairSync = realGenerateKeyPair
      syncBuiltinESMExports()
    }
  }
}

export async function find(module, name) {
  let holder = await load(module)
  let value = holder
  for (const part of name.split('.')) {
    holder = value
    value = value?.[part]
  }
  if (value === undefined) throw new Error(`${module} has no ${name}`)
  return { holder, value }
}

const { proto } = await load('WAProto/index.js')
const { makeLibSignalRepository } = await load('lib/Signal/libsignal.js')
const { addTransactionCapability } = await load('lib/Utils/auth-utils.js')
const { extractDeviceJids, getNextPreKeysNode, parseAndInjectE2ESessions } = await load('lib/Utils/signal.js')
const { decodeSyncdPatch, encodeSyncdPatch } = await load('lib/Utils/chat-utils.js')
const { makeEventBuffer } = await load('lib/Utils/event-buffer.js')
const { decryptMessageNode } = await load('lib/Utils/decode-wa-message.js')
const { cleanMessage, default: processMessage } = await load('lib/Utils/process-message.js')
const { handleIdentityChange } = await load('lib/Utils/identity-change-handler.js')
const { MessageRetryManager } = await load('lib/Utils/message-retry-manager.js')
const { buildTcTokenFromJid, resolveIssuanceJid, storeTcTokensFromIqResult } = await load('lib/Utils/tc-token-utils.js')
const { makeNoiseHandler } = await load('lib/Utils/noise-handler.js')
const { USyncQuery, USyncUser } = await load('lib/WAUSync/index.js')
const { decodeDecompressedBinaryNode } = await load('lib/WABinary/decode.js')
const dictionaries = await load('lib/WABinary/constants.js')
const { NOISE_WA_HEADER } = await load('lib/Defaults/index.js')

const kind = name => name.split('.').reduce((holder, part) => holder[part], proto)
const encode = (name, value) => Buffer.from(kind(name).encode(value).finish())

// An argument {"$proto": name, "bytes": ...} is a message of that kind, {"$logger": true} a logger that says nothing.
function revive(value) {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(revive)
  if (typeof value.$proto === 'string') return kind(value.$proto).decode(value.bytes)
  if (value.$logger === true) return quiet
  return value
}

// --- the noise handler ---------------------------------------------------------------------------------------------

// A client's whole life on one connection: its hello, its finish, then frames out and bytes in.
async function noise({ ephemeral, fixed, routingInfo, serverHello, payload, sends = [], receives = [] }) {
  const handler = makeNoiseHandler({
    keyPair: ephemeral, NOISE_HEADER: NOISE_WA_HEADER, logger: quiet, routingInfo: routingInfo ?? undefined
  })
  const hello = handler.encodeFrame(encode('HandshakeMessage', { clientHello: { ephemeral: ephemeral.public } }))
  if (!serverHello) return { hello }
  const key = handler.processHandshake(proto.HandshakeMessage.decode(serverHello), fixed)
  const sealed = handler.encrypt(payload)
  const finish = handler.encodeFrame(encode('HandshakeMessage', { clientFinish: { static: key, payload: sealed } }))
  await handler.finishInit()
  const sent = sends.map(body => handler.encodeFrame(body))
  const received = []
  for (const bytes of receives) await handler.decodeFrame(bytes, node => received.push(node))
  return { hello, finish, sent, received }
}

// --- Signal --------------------------------------------------------------------------------------------------------

const parties = new Map()

function memoryKeys(records = new Map()) {
  return {
    async get(type, ids) {
      const found = {}
      for (const id of ids) {
        const value = records.get(`${type}/${id}`)
        if (value !== undefined) found[id] = value
      }
      return found
    },
    async set(data) {
      for (const type in data) {
        for (const id in data[type]) {
          const value = data[type][id]
          if (value === null || value === undefined) records.delete(`${type}/${id}`)
          else records.set(`${type}/${id}`, value)
        }
      }
    }
  }
}

const transactions = { maxCommitRetries: 1, delayBetweenTriesMs: 1 }

async function party({ party: name, creds, prekeys = {}, senderKeys = {} }) {
  const records = new Map()
  const keys = addTransactionCapability(memoryKeys(records), quiet, transactions)
  await keys.set({ 'pre-key': prekeys, 'sender-key': senderKeys })
  parties.get(name)?.repository.close()
  parties.set(name, { repository: makeLibSignalRepository({ creds, keys }, quiet), keys, records })
}

const on = work => ({ party: name, now, dice, ...args }) => {
  const { repository, ...held } = parties.get(name)
  return inWorld({ now, dice }, () => work(repository, { ...held, ...args }))
}

// What an application does when it learns that a phone number and a LID are one person.
async function learn({ lidMapping, migrateSession }, { keys, pn, lid, devices }) {
  await keys.set({ 'device-list': devices })
  await lidMapping.storeLIDPNMappings([{ lid, pn }])
  return migrateSession(pn, lid)
}

async function readNode(repository, { node, me, lid }) {
  const reading = decryptMessageNode(node, me, lid, repository, quiet)
  await reading.decrypt()
  const { message, key } = reading.fullMessage
  return { key, author: reading.author, message: message ? encode('Message', message) : null }
}

// --- usync ---------------------------------------------------------------------------------------------------------

const PROTOCOLS = {
  devices: 'withDeviceProtocol', lid: 'withLIDProtocol', contact: 'withContactProtocol', status: 'withStatusProtocol',
  disappearing_mode: 'withDisappearingModeProtocol', username: 'withUsernameProtocol', bot: 'withBotProfileProtocol'
}

function usync(protocols) {
  const query = new USyncQuery()
  for (const protocol of protocols) query[PROTOCOLS[protocol]]()
  return query
}

// What a query for these users holds: the elements of its protocols, and of each user.
function usyncQuery({ protocols, users, context, mode = 'query' }) {
  const query = usync(protocols).withContext(context).withMode(mode)
  for (const user of users) query.withUser(Object.assign(new USyncUser(), user))
  return {
    context: query.context,
    mode: query.mode,
    query: query.protocols.map(protocol => protocol.getQueryElement()),
    users: query.users.map(user => query.protocols.map(protocol => protocol.getUserElement(user)).filter(node => node))
  }
}

// Which module each exported function comes from.
async function homes() {
  const all = await load('lib/index.js')
  const found = {}
  for (const folder of ['lib/Utils', 'lib/WABinary', 'lib/WAUSync', 'lib/WAUSync/Protocols', 'lib/WAM']) {
    for (const file of readdirSync(join(process.argv[2], folder))) {
      if (!file.endsWith('.js') || file === 'index.js') continue
      const path = `${folder}/${file}`
      for (const [name, value] of Object.entries(await load(path))) {
        if (typeof value === 'function' && all[name] === value) found[name] ??= path
      }
    }
  }
  return found
}

// --- retries, identities, tokens -----------------------------------------------------------------------------------

// Calls of one retry manager, each {"now", "call": [method, ...arguments]}; what each gave back.
async function retryManager({ max, steps }) {
  const manager = new MessageRetryManager(quiet, max)
  const given = []
  for (const { now, call: [method, ...args] } of steps) given.push(await inWorld({ now }, () => manager[method](...args)))
  manager.clear()
  return given
}

// Notifications of changed identities, taken one after the other with one debounce; for each the code, and what was asked for.
async function identityChanges({ steps, me, lid }) {
  const debounceCache = new Map()
  const told = []
  for (const { notification, hasSession, storeFails, refreshFails } of steps) {
    const calls = []
    const context = {
      meId: me, meLid: lid, logger: quiet, debounceCache,
      validateSession: async jid => {
        calls.push(['session?', jid])
        if (storeFails) throw new Error('the store fails')
        return { exists: hasSession }
      },
      onBeforeSessionRefresh: jid => { calls.push(['before', jid]) },
      assertSessions: async ([jid]) => {
        calls.push(['refresh', jid])
        if (refreshFails) throw new Error('the network fails')
        return true
      }
    }
    let code = 'raised'
    try { code = (await handleIdentityChange(notification, context)).action } catch {}
    told.push([code, calls])
  }
  return told
}

// Privacy tokens over a store in memory, {address: {token, timestamp, senderTimestamp}}; `lids` are known mappings.
function tokenStore({ entries, lids }) {
  const held = { ...entries }
  const keys = {
    get: async (type, ids) => Object.fromEntries(ids.filter(id => held[id]).map(id => [id, held[id]])),
    set: async data => {
      for (const [id, value] of Object.entries(data.tctoken)) {
        if (value === null) delete held[id]
        else held[id] = value
      }
    }
  }
  const getPNForLID = async lid => Object.entries(lids).find(([, one]) => one === lid)?.[0] ?? null
  return { held, keys, getLIDForPN: async pn => lids[pn] ?? null, getPNForLID }
}

async function takeTokens({ node, jid, ...world }) {
  const { held, keys, getLIDForPN } = tokenStore(world)
  await storeTcTokensFromIqResult({ result: node, fallbackJid: jid, keys, getLIDForPN })
  return held
}

async function shownToken({ jid, now, ...world }) {
  const { keys, getLIDForPN } = tokenStore(world)
  const content = await inWorld({ now }, () => buildTcTokenFromJid({ authState: { keys }, jid, getLIDForPN }))
  return content?.[0] ?? null
}

function givenTo({ jid, toLid, lids }) {
  const { getLIDForPN, getPNForLID } = tokenStore({ entries: {}, lids })
  return resolveIssuanceJid(jid, toLid, getLIDForPN, getPNForLID)
}

// --- app state -----------------------------------------------------------------------------------------------------

// One patch of a collection, made from a mutation and read again; the state is {version, hash, indexValueMap}.
async function encodePatch({ mutation, keyId, keyData, state, dice }) {
  const id = keyId.toString('base64')
  const made = await inWorld({ dice }, () => encodeSyncdPatch(mutation, id, state, async () => ({ keyData })))
  return { patch: encode('SyncdPatch', made.patch), state: made.state }
}

async function decodePatch({ collection, patch, version, keyData, state, validate }) {
  const message = proto.SyncdPatch.decode(patch)
  message.version = { version }
  const mutations = []
  const read = await decodeSyncdPatch(message, collection, state, async () => ({ keyData }), one => mutations.push(one), validate)
  return { ...read, mutations }
}

// --- the event buffer ----------------------------------------------------------------------------------------------

// Steps, each {"buffer"}, {"flush"} or {"emit": [event, value]}; the maps that came out, in order.
async function eventBuffer({ steps }) {
  const buffer = makeEventBuffer(quiet)
  const flushed = []
  buffer.process(events => flushed.push(toJson(events)))
  for (const step of steps) {
    if (step.buffer) buffer.buffer()
    else if (step.flush) buffer.flush()
    else buffer.emit(...step.emit)
  }
  buffer.destroy?.()
  return flushed
}

// --- what a message means ------------------------------------------------------------------------------------------

// Whole messages inside of a value become their bytes.
function withBytes(value) {
  if (value instanceof proto.Message) return { message: encode('Message', value) }
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array || 'low' in value) return value
  if (Array.isArray(value)) return value.map(withBytes)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBytes(item)]))
}

// A received message through cleanMessage and processMessage: the key afterwards, the events, and what else it did.
async function means({ key, message, timestamp, me, lid, original, known }) {
  const info = { key, message: proto.Message.decode(message), messageTimestamp: timestamp }
  cleanMessage(info, me, lid)
  const events = [], records = [], mappings = [], migrated = []
  const keyStore = { ...memoryKeys(), transaction: work => work(), set: async data => { records.push(data) } }
  const lidMapping = {
    storeLIDPNMappings: async pairs => { mappings.push(...pairs) },
    getLIDForPN: async () => null,
    getPNForLID: async () => known ?? null
  }
  await processMessage(info, {
    shouldProcessHistoryMsg: false,
    placeholderResendCache: { get: async () => undefined, del: async () => {} },
    ev: { emit: (event, value) => { events.push([event, withBytes(value)]) } },
    creds: { me: { id: me, lid }, accountSettings: {} },
    signalRepository: { lidMapping, migrateSession: async (...pair) => { migrated.push(pair) } },
    keyStore, logger: quiet, options: {},
    getMessage: async () => original ? proto.Message.decode(original) : undefined
  })
  return { key: info.key, events, records: records.map(withBytes), mappings, migrated }
}

export const commands = {
  means,
  encodePatch,
  decodePatch,
  eventBuffer,
  call: async ({ module, name, args, now, dice, encodeAs }) => {
    const { holder, value } = await find(module, name)
    const result = await inWorld({ now, dice }, () => value.apply(holder, args.map(revive)))
    return encodeAs ? encode(encodeAs, result) : result
  },
  // Every name the package exports, and what it is.
  exports: async () => {
    const all = await load('lib/index.js')
    const kind = value => typeof value !== 'function' ? typeof value : /^class\b/.test(String(value)) ? 'class' : 'function'
    return Object.fromEntries(Object.keys(all).sort().map(name => [name, kind(all[name])]))
  },
  homes,
  // Whether a module has a name, at its top.
  has: async ({ module, name }) => {
    try {
      return (await load(module))[name] !== undefined
    } catch (error) {
      if (error.code === 'ERR_MODULE_NOT_FOUND') return false
      throw error
    }
  },
  decodeDecompressed: ({ body }) => decodeDecompressedBinaryNode(body, dictionaries),
  noise,
  // Signal: a device with its keys, by its name ("party"), and what its repository does.
  party,
  inject: on((repository, { answer }) => parseAndInjectE2ESessions(answer, repository)),
  encrypt: on((repository, { jid, data }) => repository.encryptMessage({ jid, data })),
  decrypt: on((repository, { jid, type, ciphertext }) => repository.decryptMessage({ jid, type, ciphertext })),
  encryptGroup: on((repository, { group, me, data }) => repository.encryptGroupMessage({ group, meId: me, data })),
  decryptGroup: on((repository, { group, author, message }) =>
    repository.decryptGroupMessage({ group, authorJid: author, msg: message })),
  learnSenderKey: on((repository, { group, author, distribution }) => repository.processSenderKeyDistributionMessage({
    item: { groupId: group, axolotlSenderKeyDistributionMessage: distribution }, authorJid: author
  })),
  senderKey: on((repository, { group, me }) => repository.getSenderKeyDistributionMessage({ group, meId: me })),
  hasSenderKey: on((repository, { group, me }) => repository.hasSenderKey({ group, meId: me })),
  sessionInfo: on((repository, { jid }) => repository.getSessionInfo(jid)),
  validateSession: on((repository, { jid }) => repository.validateSession(jid)),
  deleteSession: on((repository, { jids }) => repository.deleteSession(jids)),
  signalAddress: on((repository, { jid }) => repository.jidToSignalProtocolAddress(jid)),
  learn: on(learn),
  lidOf: on(({ lidMapping }, { pn }) => lidMapping.getLIDForPN(pn)),
  pnOf: on(({ lidMapping }, { lid }) => lidMapping.getPNForLID(lid)),
  lidsOf: on(({ lidMapping }, { pns }) => lidMapping.getLIDsForPNs(pns)),
  pnsOf: on(({ lidMapping }, { lids }) => lidMapping.getPNsForLIDs(lids)),
  learnMany: on(({ lidMapping }, { pairs }) => lidMapping.storeLIDPNMappings(pairs)),
  sessions: on((repository, { records }) => [...records.keys()].filter(key => key.startsWith('session/')).map(key => key.slice(8))),
  readNode: on(readNode),
  // Prekeys of a device that has these already: the stanza, and the numbers afterwards.
  prekeysNode: ({ creds, count, dice, prekeys = {} }) => {
    const records = new Map(Object.entries(prekeys).map(([id, pair]) => [`pre-key/${id}`, pair]))
    return inWorld({ dice }, () => getNextPreKeysNode({ creds, keys: memoryKeys(records) }, count))
  },
  usyncQuery,
  usyncResult: ({ protocols, answer }) => usync(protocols).parseUSyncQueryResult(answer),
  // What one protocol makes of the whole <user>, or of its own child.
  usyncParse: ({ protocol, node }) => usync([protocol]).protocols[0].parser(node),
  retryManager,
  identityChanges,
  takeTokens,
  shownToken,
  givenTo,
  usyncDevices: ({ protocols, answer, me, lid }) => {
    return extractDeviceJids(usync(protocols).parseUSyncQueryResult(answer).list, me, lid, false)
  }
}
