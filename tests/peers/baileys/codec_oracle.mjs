// Baileys' node codec as an oracle: reads JSON lines, answers one JSON line for each, in order.
//   {"encode": node} -> {"hex"}     {"decode": hex} -> {"node"}     either -> {"error"} when Baileys throws
// A node is {"tag", "attrs": [[name, text], ...], "content": null | {"bytes": hex} | {"text": text} | [node, ...]}.
import { createInterface } from 'node:readline'
import { decodeBinaryNode } from 'baileys/lib/WABinary/decode.js'
import { encodeBinaryNode } from 'baileys/lib/WABinary/encode.js'

// A null prototype, so that an attribute may have any name.
const toNode = ({ tag, attrs, content }) => ({
  tag,
  attrs: attrs.reduce((all, [name, value]) => Object.assign(all, { [name]: value }), Object.create(null)),
  content: toContent(content)
})

function toContent(content) {
  if (content === null) return undefined
  if (Array.isArray(content)) return content.map(toNode)
  return 'bytes' in content ? Buffer.from(content.bytes, 'hex') : content.text
}

const fromNode = ({ tag, attrs, content }) => ({ tag, attrs: Object.entries(attrs), content: fromContent(content) })

function fromContent(content) {
  if (content === undefined) return null
  if (Array.isArray(content)) return content.map(fromNode)
  return typeof content === 'string' ? { text: content } : { bytes: Buffer.from(content).toString('hex') }
}

async function answer({ encode, decode }) {
  try {
    if (encode) return { hex: encodeBinaryNode(toNode(encode)).toString('hex') }
    return { node: fromNode(await decodeBinaryNode(Buffer.from(decode, 'hex'))) }
  } catch (error) {
    return { error: String(error.message) }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
}
