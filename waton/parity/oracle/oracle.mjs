// The real Baileys behind JSON lines: commands on stdin, replies and events on stdout, its own log on stderr.
//
//   node oracle.mjs /path/to/node_modules/baileys
//
//   {"id": 1, "cmd": "connect", "args": {...}}  ->  {"reply": 1, "value": ...}  or  {"reply": 1, "error": "...", "code": n}
//   {"client": "a", "event": "messages.upsert", "value": ...}                    whenever a socket emits one
//
// functions.mjs holds the commands that call its functions, sockets.mjs those that run whole sockets. In values, bytes are
// {"$bytes": hex}, 64-bit numbers {"$int": text}; undefined is left out of objects.
import readline from 'node:readline'
import * as functions from './functions.mjs'
import { fromJson, say, toJson } from './shared.mjs'
import * as sockets from './sockets.mjs'

const commands = { ...functions.commands, ...sockets.commands }
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', async line => {
  const { id, cmd, args } = JSON.parse(line)
  try {
    if (!commands[cmd]) throw new Error(`the oracle has no command ${cmd}`)
    say({ reply: id, value: toJson(await commands[cmd](fromJson(args ?? {}))) })
  } catch (error) {
    say({ reply: id, error: String(error?.message ?? error), code: error?.output?.statusCode ?? null })
  }
})
lines.on('close', () => process.exit(0))
