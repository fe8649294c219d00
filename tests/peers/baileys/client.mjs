// One real Baileys client, driven by JSON lines: commands on stdin, replies and events on stdout, its log on stderr.
//
//   node client.mjs ws://127.0.0.1:PORT/ws/chat [push name]
//
//   {"id": 1, "cmd": "sendText", "args": {"to": "1555@s.whatsapp.net", "text": "hi"}}  ->  {"reply": 1, "value": ...}
//                                                                                  or      {"reply": 1, "error": "..."}
//   {"event": "qr" | "paired" | "restart" | "open" | "close" | "message" | "update" | "receipt" | "history" | "presence"}
//
// Credentials and keys live in memory, across reconnects, until the process ends. On 515 a new socket is made at once, as
// an application must, and "restart" is reported; every other end is reported as "close" and nothing more is done.
import makeWASocket, { BufferJSON, DisconnectReason, initAuthCreds } from 'baileys'
import P from 'pino'
import readline from 'node:readline'

const [url, pushName = ''] = process.argv.slice(2)
if (new URL(url).hostname !== '127.0.0.1') throw new Error('loopback only')

const say = value => process.stdout.write(JSON.stringify(value, BufferJSON.replacer) + '\n')
const logger = P({ level: process.env.BAILEYS_LOG || 'silent' }, P.destination(2))
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace']) {
	console[name] = (...words) => process.stderr.write(words.map(String).join(' ') + '\n')
}

const creds = initAuthCreds()
const records = new Map()
const keys = {
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

const sent = new Map()
let socket
let synced
const firstSync = new Promise(resolve => { synced = resolve })

const textOf = message =>
	message?.conversation ?? message?.extendedTextMessage?.text ?? message?.deviceSentMessage?.message?.conversation ?? null

function connect() {
	socket = makeWASocket({
		waWebSocketUrl: url,
		auth: { creds, keys },
		logger,
		getMessage: async key => sent.get(key.id),
		appStateMacVerification: { patch: true, snapshot: true }
	})
	const mine = socket
	socket.ev.on('creds.update', update => {
		Object.assign(creds, update)
		if (creds.accountSyncCounter > 0) synced()
		// The name would come by app state; it decides whether Baileys announces presence and sends plain receipts.
		if (pushName && creds.me && !creds.me.name) creds.me = { ...creds.me, name: pushName }
	})
	socket.ev.on('connection.update', update => {
		if (update.qr) say({ event: 'qr', qr: update.qr })
		if (update.isNewLogin) say({ event: 'paired', me: creds.me })
		if (update.connection === 'open') say({ event: 'open', me: creds.me })
		if (update.connection === 'close' && mine === socket) {
			const error = update.lastDisconnect?.error
			const code = error?.output?.statusCode ?? null
			const restarts = code === DisconnectReason.restartRequired
			say({ event: restarts ? 'restart' : 'close', code, text: error?.message ?? null })
			if (restarts) connect()
		}
	})
	socket.ev.on('messages.upsert', ({ type, messages }) => {
		for (const { key, message, status, pushName: author, messageStubType, messageStubParameters } of messages) {
			say({
				event: 'message', type, key, text: textOf(message), author: author ?? null, status: status ?? null,
				kinds: Object.keys(message ?? {}), stub: messageStubType ?? null, why: messageStubParameters ?? []
			})
		}
	})
	socket.ev.on('messages.update', updates => {
		for (const { key, update } of updates) say({ event: 'update', key, status: update.status ?? null })
	})
	socket.ev.on('message-receipt.update', updates => {
		for (const { key, receipt } of updates) say({ event: 'receipt', key, receipt })
	})
	socket.ev.on('messaging-history.set', ({ chats, contacts, messages, syncType }) => {
		say({
			event: 'history', syncType, chats: chats.map(chat => chat.id), contacts: contacts.map(contact => contact.id),
			texts: messages.map(({ message }) => textOf(message))
		})
	})
	socket.ev.on('presence.update', update => say({ event: 'presence', ...update }))
}

const commands = {
	connect: async () => connect(),
	// A close of our own: the socket goes, the credentials stay. Not before the first history is in: a Baileys that was
	// interrupted there holds every event back for 20 s at the next connection.
	end: async () => {
		await firstSync
		socket.end(undefined)
	},
	sendText: async ({ to, text }) => {
		const message = await socket.sendMessage(to, { text })
		sent.set(message.key.id, message.message)
		return message.key
	},
	readMessages: async ({ keys }) => socket.readMessages(keys),
	// Lose every Signal session, as a client that restored an old backup has.
	forgetSessions: async () => {
		for (const key of records.keys()) if (key.startsWith('session/')) records.delete(key)
	},
	logout: async () => socket.logout(),
	digest: async () => {
		const answer = await socket.query({
			tag: 'iq', attrs: { to: 's.whatsapp.net', type: 'get', xmlns: 'encrypt' },
			content: [{ tag: 'digest', attrs: {} }]
		})
		return answer.content[0].content.map(child => child.tag)
	},
	onWhatsApp: async ({ numbers }) => socket.onWhatsApp(...numbers),
	fetchStatus: async ({ jid }) => socket.fetchStatus(jid),
	profilePictureUrl: async ({ jid }) => socket.profilePictureUrl(jid),
	updateBlockStatus: async ({ jid, action }) => socket.updateBlockStatus(jid, action),
	fetchBlocklist: async () => socket.fetchBlocklist(),
	groups: async () => socket.groupFetchAllParticipating(),
	presenceSubscribe: async ({ jid }) => socket.presenceSubscribe(jid),
	sendPresence: async ({ state, jid }) => socket.sendPresenceUpdate(state, jid),
	state: async () => ({ me: creds.me ?? null, accountSyncCounter: creds.accountSyncCounter, records: [...records.keys()] })
}

readline
	.createInterface({ input: process.stdin })
	.on('line', async line => {
		const { id, cmd, args = {} } = JSON.parse(line)
		try {
			const value = await commands[cmd](args)
			say({ reply: id, value: value ?? null })
		} catch (error) {
			say({ reply: id, error: String(error?.message ?? error), code: error?.output?.statusCode ?? null })
		}
	})
	.on('close', () => process.exit(0))
