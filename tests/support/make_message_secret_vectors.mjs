// Makes tests/vectors/message_secret.json: node make_message_secret_vectors.mjs ../vectors/message_secret.json
//
// Node's crypto alone, without waton. `observed` is what npm baileys 7.0.0-rc13 derived and sealed when it was run.
import crypto from 'node:crypto'
import fs from 'node:fs'
const secret = Buffer.from([...Array(32).keys()])
const iv = Buffer.from([...Array(12).keys()])
const id = '3EB0123456789ABCDEF012'
const author = '77000000000009@lid', by = '4915000000002@s.whatsapp.net', bot = '867051314767696@bot'
const hkdf = (key, info) => Buffer.from(crypto.hkdfSync('sha256', key, Buffer.alloc(32), Buffer.from(info), 32))
const seal = (key, aad, text) => {
  const c = crypto.createCipheriv('aes-256-gcm', key, iv)
  c.setAAD(Buffer.from(aad))
  return Buffer.concat([c.update(text), c.final(), c.getAuthTag()])
}
const plaintext = Buffer.from('0a0568656c6c6f', 'hex')
const uses = ['Poll Vote','Poll Edit','Poll Add Option','Enc Reaction','Enc Comment','Event Response','Event Edit','Message Edit','Report Token']
const additions = uses.map(use => {
  const key = hkdf(secret, id + author + by + use)
  const aad = ['Poll Vote', 'Event Response'].includes(use) ? id + '\0' + by : ''
  return { use, message_id: id, author, by, key: key.toString('hex'), sealed: seal(key, aad, plaintext).toString('hex') }
})
const key = hkdf(hkdf(secret, 'Bot Message'), id + author + bot)
const sealed = seal(key, id + '\0' + bot, plaintext)
additions.push({ use: 'Bot Message', message_id: id, author, by: bot, key: key.toString('hex'), sealed: sealed.toString('hex') })
const envelope = Buffer.concat([Buffer.from([0x12, iv.length]), iv, Buffer.from([0x1a, sealed.length]), sealed])
const poll = {
  use: 'Poll Vote', message_id: '3EB0POLL', author: '111@s.whatsapp.net', by: '222@s.whatsapp.net',
  key: '28c6c4ea27c14f1cb12dcc09bbce40876439742a318ac0ab44993681f5c24826',
  sealed: '4c023515709669708a8bee4f10b7b06e7602ef8181e3e37211d2bfc3fa8d1a2c37ead2aaa1a5bb14aeac4e0b887572d64820',
  plaintext: '0a20' + crypto.createHash('sha256').update('Option A').digest('hex')
}
const event = { use: 'Event Response', message_id: '3EB0POLL', author: '111@s.whatsapp.net', by: '222@s.whatsapp.net',
  key: 'faec34cefbf8889ac53df3ed35178ae7275f2de0498ec5d05523507a143858b6' }
fs.writeFileSync(process.argv[2], JSON.stringify({
  source: "additions and bot: HKDF-SHA256 and AES-256-GCM of Node's crypto (OpenSSL), put together after whatsmeow msgsecret.go and whatsapp-rust bot_message.rs, without waton (tests/support/make_message_secret_vectors.mjs); observed: what npm baileys 7.0.0-rc13 derived and sealed (decryptPollVote, decryptEventResponse).",
  secret: secret.toString('hex'), iv: iv.toString('hex'), plaintext: plaintext.toString('hex'),
  additions, bot: { enc: envelope.toString('hex'), message_id: id, asked_by: author, bot }, observed: [poll, event]
}, null, 2) + '\n')
