// What Baileys says about itself and how it acknowledges, as an oracle: JSON lines in, one JSON line out for each.
//   {"login": jid, config} -> {"hex"}        ClientPayload of a paired device
//   {"registration": keys, config} -> {"hex"}    ClientPayload of a device that is not paired
//   {"ack": {"tag", "attrs"}, error, me} -> {"attrs": [[name, text], ...]}
//   {"pair": {jid, lid, container}, identity, secret} -> {"keyIndex", "reply"}     any -> {"error"} when Baileys throws
import { createInterface } from 'node:readline'
import { proto } from 'baileys/WAProto/index.js'
import { configureSuccessfulPairing, generateLoginNode, generateRegistrationNode } from 'baileys/lib/Utils/validate-connection.js'
import { buildAckStanza } from 'baileys/lib/Utils/stanza-ack.js'

const bytes = hex => Buffer.from(hex, 'hex')
const encoded = payload => ({ hex: Buffer.from(proto.ClientPayload.encode(payload).finish()).toString('hex') })

function registration({ registrationId, identity, signedId, signed, signature }, config) {
  const creds = {
    registrationId,
    signedIdentityKey: { public: bytes(identity) },
    signedPreKey: { keyId: signedId, keyPair: { public: bytes(signed) }, signature: bytes(signature) }
  }
  return encoded(generateRegistrationNode(creds, config))
}

function pair({ jid, lid, container }, identity, secret) {
  const content = [
    { tag: 'device-identity', attrs: {}, content: bytes(container) },
    { tag: 'device', attrs: { jid, lid } },
    { tag: 'platform', attrs: { name: 'android' } }
  ]
  const stanza = { tag: 'iq', attrs: { id: '1' }, content: [{ tag: 'pair-success', attrs: {}, content }] }
  const creds = {
    advSecretKey: bytes(secret).toString('base64'),
    signedIdentityKey: { private: bytes(identity.private), public: bytes(identity.public) },
    signalIdentities: []
  }
  const { reply } = configureSuccessfulPairing(stanza, creds)
  const [signed] = reply.content[0].content
  return { keyIndex: signed.attrs['key-index'], reply: Buffer.from(signed.content).toString('hex') }
}

function answer(question) {
  try {
    if (question.login) return encoded(generateLoginNode(question.login, question.config))
    if (question.registration) return registration(question.registration, question.config)
    if (question.pair) return pair(question.pair, question.identity, question.secret)
    return { attrs: Object.entries(buildAckStanza(question.ack, question.error, question.me).attrs) }
  } catch (error) {
    return { error: String(error.message) }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(answer(JSON.parse(line))) + '\n')
}
