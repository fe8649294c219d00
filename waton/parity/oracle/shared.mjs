// What the oracle's parts share: Baileys' modules, values to JSON and back, a place to say things, a log.
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const root = process.argv[2]
const modules = new Map()

// A module of Baileys by its path under the package, for example lib/Utils/crypto.js.
export function load(path) {
  if (!modules.has(path)) modules.set(path, import(pathToFileURL(join(root, path)).href))
  return modules.get(path)
}

export function toJson(value, seen = []) {
  if (value === undefined || value === null) return null
  if (typeof value === 'bigint') return { $int: String(value) }
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) }
  if (typeof value === 'function') return { $function: true }
  if (typeof value !== 'object') return value
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('hex') }
  if (value instanceof Date) return { $date: value.getTime() }
  if (value instanceof Error) return { $error: String(value.message), code: value.output?.statusCode ?? value.data ?? null }
  if (isLong(value)) return { $int: value.toString() }
  if (seen.includes(value)) return { $cycle: true }
  const inside = [...seen, value]
  if (Array.isArray(value)) return value.map(item => toJson(item, inside))
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value)
  return Object.fromEntries(
    entries.filter(([, item]) => item !== undefined).map(([name, item]) => [name, toJson(item, inside)])
  )
}

const isLong = value => typeof value.low === 'number' && typeof value.high === 'number' && 'unsigned' in value

export function fromJson(value) {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(fromJson)
  if (typeof value.$bytes === 'string') return Buffer.from(value.$bytes, 'hex')
  if (typeof value.$int === 'string') return BigInt(value.$int)
  if (value.$undefined === true) return undefined
  // A null prototype, so that a member may have any name.
  const made = Object.create(value.$null ? null : Object.prototype)
  for (const [name, item] of Object.entries(value)) {
    if (name !== '$null') Object.defineProperty(made, name, { value: fromJson(item), enumerable: true, writable: true, configurable: true })
  }
  return made
}

export const say = value => process.stdout.write(JSON.stringify(value) + '\n')

export const quiet = {
  level: 'silent',
  child: () => quiet,
  trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {}
}

function speaking(level) {
  const order = ['trace', 'debug', 'info', 'warn', 'error', 'fatal']
  const logger = { level, child: () => logger }
  for (const name of order) {
    const heard = level !== 'silent' && order.indexOf(name) >= order.indexOf(level)
    logger[name] = heard ? (...words) => process.stderr.write(`${name} ${words.map(String).join(' ')}\n`) : () => {}
  }
  return logger
}

export const logger = speaking(process.env.BAILEYS_LOG || 'silent')

// Baileys and libsignal print; stdout is for JSON only.
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace']) {
  console[name] = (...words) => {
    if (logger.level !== 'silent') process.stderr.write(words.map(String).join(' ') + '\n')
  }
}
