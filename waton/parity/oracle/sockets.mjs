// Commands that run whole Baileys sockets, several in one process, each by its name ("client").
//
// Credentials and keys live in memory, across reconnects, until the process ends. On 515 a new socket is made at once, as
// an application must. Every event of Baileys' is told as {"client", "event", "value"}, in the order it came out.
import { load, logger, say, toJson } from './shared.mjs'

const { default: makeWASocket, initAuthCreds, BufferJSON, DisconnectReason } = await load('lib/index.js')
const clients = new Map()

// What Baileys keeps for an account, as an application with a database would: text, and back.
function memoryKeys(records) {
  return {
    async get(type, ids) {
      const found = {}
      for (const id of ids) {
        const value = records.get(`${type}/${id}`)
        if (value !== undefined) found[id] = JSON.parse(value, BufferJSON.reviver)
      }
      return found
    },
    async set(data) {
      for (const type in data) {
        for (const id in data[type]) {
          const value = data[type][id]
          if (value === null || value === undefined) records.delete(`${type}/${id}`)
          else records.set(`${type}/${id}`, JSON.stringify(value, BufferJSON.replacer))
        }
      }
    }
  }
}

class Client {
  constructor(name, url, pushName, config) {
    if (!['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname)) throw new Error('loopback only')
    this.name = name
    this.url = url
    this.pushName = pushName
    this.config = config
    this.creds = initAuthCreds()
    this.records = new Map()
    this.sent = new Map()
    this.firstSync = new Promise(resolve => { this.synced = resolve })
  }

  tell(event, value) {
    say({ client: this.name, event, value: toJson(value) })
  }

  connect() {
    const { creds } = this
    const socket = makeWASocket({
      waWebSocketUrl: this.url,
      auth: { creds, keys: memoryKeys(this.records) },
      logger,
      getMessage: async key => this.sent.get(key.id),
      appStateMacVerification: { patch: true, snapshot: true },
      ...this.config
    })
    this.socket = socket
    socket.ev.process(events => {
      // One flush holds a map; its order is the order of first appearance.
      for (const [event, value] of Object.entries(events)) this.take(socket, event, value)
    })
  }

  take(socket, event, value) {
    if (event === 'creds.update') {
      Object.assign(this.creds, value)
      if (this.creds.accountSyncCounter > 0) this.synced()
      // The name would come by app state; it decides whether Baileys announces presence and sends plain receipts.
      if (this.pushName && this.creds.me && !this.creds.me.name) this.creds.me = { ...this.creds.me, name: this.pushName }
      this.tell(event, Object.keys(value).sort())
      return
    }
    if (event !== 'connection.update') {
      this.tell(event, value)
      return
    }
    const { lastDisconnect, ...rest } = value
    const error = lastDisconnect?.error
    const code = error ? error.output?.statusCode ?? null : undefined
    const restarts = value.connection === 'close' && code === DisconnectReason.restartRequired
    const told = { ...rest, restarts: restarts || undefined, code, error: error ? String(error.message) : undefined }
    if (value.connection === 'open' || value.isNewLogin) told.me = this.creds.me
    if (socket === this.socket) this.tell(event, told)
    if (restarts) this.connect()
  }
}

function client(name) {
  const found = clients.get(name)
  if (!found) throw new Error(`no client ${name}`)
  return found
}

const on = work => async ({ client: name, ...args }) => work(client(name), args)
const method = (name, ...wanted) => on(({ socket }, args) => socket[name](...wanted.map(key => args[key])))

export const commands = {
  open: async ({ client: name, url, pushName = '', config = {} }) => {
    const made = new Client(name, url, pushName, config)
    clients.set(name, made)
    made.connect()
  },
  connect: on(client => client.connect()),
  // A close of our own: the socket goes, the credentials stay. Not before the first history is in: a Baileys that was
  // interrupted there holds every event back for 20 s at the next connection.
  end: on(async client => {
    await client.firstSync
    client.socket.end(undefined)
  }),
  // With an id that it chose itself an application can answer for a message whose sending failed, and send it again.
  sendText: on(async ({ socket, sent }, { to, text, id }) => {
    if (id) sent.set(id, { extendedTextMessage: { text } })
    const message = await socket.sendMessage(to, { text }, id ? { messageId: id } : {})
    sent.set(message.key.id, message.message)
    return message.key
  }),
  // Lose every Signal session, as a client that restored an old backup has.
  forgetSessions: on(({ records }) => {
    for (const key of records.keys()) if (key.startsWith('session/')) records.delete(key)
  }),
  // Lose every record whose name begins so: "session/", "sender-key/" ...; the names of those that were there.
  forget: on(({ records }, { prefixes }) => {
    const lost = [...records.keys()].filter(name => prefixes.some(prefix => name.startsWith(prefix)))
    for (const name of lost) records.delete(name)
    return lost
  }),
  // Any method of the socket, by its name.
  run: on(({ socket }, { method, args = [] }) => socket[method](...args)),
  digest: on(async ({ socket }) => {
    const answer = await socket.query({
      tag: 'iq', attrs: { to: 's.whatsapp.net', type: 'get', xmlns: 'encrypt' }, content: [{ tag: 'digest', attrs: {} }]
    })
    return answer.content[0].content.map(child => child.tag)
  }),
  state: on(({ creds, records }) => ({
    me: creds.me ?? null, accountSyncCounter: creds.accountSyncCounter, records: [...records.keys()]
  })),
  requestPairingCode: method('requestPairingCode', 'phone', 'code'),
  readMessages: method('readMessages', 'keys'),
  logout: method('logout'),
  onWhatsApp: on(({ socket }, { numbers }) => socket.onWhatsApp(...numbers)),
  fetchStatus: method('fetchStatus', 'jid'),
  profilePictureUrl: method('profilePictureUrl', 'jid'),
  updateBlockStatus: method('updateBlockStatus', 'jid', 'action'),
  fetchBlocklist: method('fetchBlocklist'),
  groups: method('groupFetchAllParticipating'),
  presenceSubscribe: method('presenceSubscribe', 'jid'),
  sendPresence: method('sendPresenceUpdate', 'state', 'jid'),
  rotateSignedPreKey: method('rotateSignedPreKey'),
  // What the socket offers, for the count of public methods.
  methods: on(({ socket }) => Object.fromEntries(Object.keys(socket).sort().map(key => [key, typeof socket[key]])))
}
