// Baileys' own handling of privacy tokens over a key store in memory: one JSON line in, one out.
//
//   {"do": "store", "entries": {jid: {token, timestamp, senderTimestamp}}, "lids": {pn: lid}, "jid": ..., "node": ..., "now": seconds}
//       -> the entries afterwards, without the index
//   {"do": "attach", ...}                            -> the <tctoken> it would attach, or null
//   {"do": "address", "toLid": true, "lids": ..., "jid": ...}   -> whom it names when it gives a token
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const tokens = await import(pathToFileURL(join(process.argv[2], 'lib/Utils/tc-token-utils.js')).href)
const realNow = Date.now

const revive = (name, value) =>
  value && typeof value === 'object' && typeof value.$bytes === 'string' ? Buffer.from(value.$bytes, 'hex') : value

const tell = value => JSON.stringify(value, (name, item) =>
  item && item.type === 'Buffer' ? { $bytes: Buffer.from(item.data).toString('hex') } : item)

function keyStore(entries) {
  const held = { ...entries }
  return {
    held,
    get: async (type, ids) => Object.fromEntries(ids.filter(id => held[id]).map(id => [id, held[id]])),
    set: async data => {
      for (const [id, value] of Object.entries(data.tctoken)) {
        if (value === null) delete held[id]
        else held[id] = value
      }
    }
  }
}

async function answer(asked) {
  const keys = keyStore(asked.entries ?? {})
  const getLIDForPN = async pn => asked.lids?.[pn] ?? null
  const getPNForLID = async lid => Object.entries(asked.lids ?? {}).find(([, one]) => one === lid)?.[0] ?? null
  if (asked.now !== undefined) Date.now = () => asked.now * 1000
  try {
    switch (asked.do) {
      case 'store':
        await tokens.storeTcTokensFromIqResult({ result: asked.node, fallbackJid: asked.jid, keys, getLIDForPN })
        return keys.held
      case 'attach': {
        const content = await tokens.buildTcTokenFromJid({ authState: { keys }, jid: asked.jid, getLIDForPN })
        return content?.[0] ?? null
      }
      case 'address':
        return await tokens.resolveIssuanceJid(asked.jid, asked.toLid, getLIDForPN, getPNForLID)
    }
  } finally {
    Date.now = realNow
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const value = await answer(JSON.parse(line, revive))
  process.stdout.write(tell(value) + '\n')
}
