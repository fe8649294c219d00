// Two other implementations of X25519 keys and XEdDSA as oracles: JSON lines in, one JSON answer for each, in order.
//   {"by": "official" | "node", "do": "public" | "sign" | "verify" | "agree", ...hex arguments} -> {"value"} or {"error"}
// "official" is @signalapp/libsignal-client, "node" is libsignal-node. Public keys are 32 bytes here, without the 05.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(import.meta.url)
const { PrivateKey, PublicKey } = require('@signalapp/libsignal-client')
const { curve } = require('libsignal')

const unhex = text => Buffer.from(text, 'hex')
const prefixed = text => Buffer.concat([Buffer.from([5]), unhex(text)])
const bare = bytes => Buffer.from(bytes).subarray(1).toString('hex')

const official = {
  public: ({ key }) => bare(PrivateKey.deserialize(unhex(key)).getPublicKey().serialize()),
  sign: ({ key, message }) => Buffer.from(PrivateKey.deserialize(unhex(key)).sign(unhex(message))).toString('hex'),
  verify: ({ key, message, signature }) => PublicKey.deserialize(prefixed(key)).verify(unhex(message), unhex(signature)),
  agree: ({ key, other }) =>
    Buffer.from(PrivateKey.deserialize(unhex(key)).agree(PublicKey.deserialize(prefixed(other)))).toString('hex')
}

const node = {
  public: ({ key }) => bare(curve.getPublicFromPrivateKey(unhex(key))),
  sign: ({ key, message }) => curve.calculateSignature(unhex(key), unhex(message)).toString('hex'),
  verify: ({ key, message, signature }) => curve.verifySignature(prefixed(key), unhex(message), unhex(signature)),
  agree: ({ key, other }) => Buffer.from(curve.calculateAgreement(prefixed(other), unhex(key))).toString('hex')
}

for await (const line of createInterface({ input: process.stdin })) {
  const { by, do: what, ...args } = JSON.parse(line)
  let answer
  try {
    answer = { value: { official, node }[by][what](args) }
  } catch (error) {
    answer = { error: String(error.message) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
