// v0's own clients against the emulator: what they can do there, with an account of their own each.
// Usage: node flows.mjs v1|v2 BASE_URL. Prints one line per flow; exits 1 at the first that fails.
import assert from 'node:assert/strict'

const [version, base] = process.argv.slice(2)
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

async function until(check, patience = 10_000) {
  const ends = Date.now() + patience
  for (;;) {
    const found = await check()
    if (found) return found
    assert.ok(Date.now() < ends, 'it took too long')
    await pause(100)
  }
}

async function knobs(changes) {
  const answer = await fetch(`${base}/_sandbox/knobs`, { method: 'PATCH', body: JSON.stringify(changes) })
  assert.equal(answer.status, 200)
}

const flows = version === 'v1' ? await v1() : await v2()
for (const [name, flow] of Object.entries(flows)) {
  await flow()
  console.log(`${version} ${name}: ok`)
}

async function v1() {
  const { createClient } = await import('v0-sdk')
  const v0 = createClient({ apiKey: 'official-v1', baseUrl: `${base}/v1` })
  const metadata = { marker: 'm-1' }
  let chat
  const latest = async () => (await v0.chats.getById({ chatId: chat.id })).latestVersion
  return {
    async 'create async'() {
      chat = await v0.chats.create({ message: 'A shop', responseMode: 'async', metadata })
      assert.equal(chat.latestVersion.status, 'pending')
      assert.ok(chat.webUrl)
    },
    async 'poll'() {
      const version = await until(async () => {
        const now = await latest()
        return now.status === 'completed' && now
      })
      assert.ok(version.demoUrl)
    },
    async 'list and page'() {
      for (let index = 0; index < 4; index++) {
        await v0.chats.create({ message: `Shop ${index}`, responseMode: 'async' })
      }
      const first = await v0.chats.find({ limit: 3, offset: 0 })
      const second = await v0.chats.find({ limit: 3, offset: 3 })
      const ids = new Set([...first.data, ...second.data].map((row) => row.id))
      assert.equal(ids.size, 5)
      assert.equal(first.data[0].metadata, undefined)
    },
    async 'find by metadata'() {
      const rows = (await v0.chats.find({ limit: 60 })).data
      const details = await Promise.all(rows.map((row) => v0.chats.getById({ chatId: row.id })))
      assert.deepEqual(details.filter((one) => one.metadata.marker === 'm-1').map((one) => one.id), [chat.id])
    },
    async 'follow-up'() {
      const before = (await latest()).id
      const again = await v0.chats.sendMessage({ chatId: chat.id, message: 'Make it blue', responseMode: 'async' })
      assert.equal(again.id, chat.id)
      const version = await until(async () => {
        const now = await latest()
        return now.id !== before && now.status === 'completed' && now
      })
      assert.ok(version.demoUrl)
    },
    async 'stop'() {
      await knobs({ generation_seconds: 600 })
      const running = await v0.chats.create({ message: 'A slow one', responseMode: 'async' })
      const reply = running.messages.find((message) => message.role === 'assistant')
      assert.equal((await v0.chats.stop({ chatId: running.id, messageId: reply.id })).success, true)
      await knobs({ generation_seconds: 0.3 })
    },
    async 'delete'() {
      assert.equal((await v0.chats.delete({ chatId: chat.id })).deleted, true)
    },
    async 'errors'() {
      await assert.rejects(v0.chats.getById({ chatId: chat.id }), /HTTP 404.*not_found_error/)
      await assert.rejects(v0.chats.create({ message: 7 }), /HTTP 422.*unprocessable_entity_error/)
      await knobs({ fail_next: [{ status: 429, retry_after: 1 }] })
      await assert.rejects(v0.chats.find({ limit: 1 }), /HTTP 429.*too_many_requests_error/)
      assert.equal((await v0.user.get()).object, 'user')
    },
  }
}

async function v2() {
  const { createV0Client } = await import('v0')
  const v0 = createV0Client({ auth: 'official-v2', baseUrl: base })
  const metadata = { marker: 'm-2' }
  const ok = async (call) => {
    const answer = await call
    assert.equal(answer.error, undefined, JSON.stringify(answer.error))
    return answer.data
  }
  let created
  const ended = (messageId) =>
    until(async () => {
      const message = await ok(v0.messages.get({ chatId: created.chatId, messageId }))
      return message.finishReason !== null && message
    })
  return {
    async 'create async'() {
      created = await ok(v0.chats.createAsync({ message: 'A shop', metadata }))
      assert.ok(created.chatId && created.messageId)
    },
    async 'poll'() {
      const message = await ended(created.messageId)
      assert.equal(message.finishReason, 'stop')
      assert.ok(message.usage.creditsCost.total > 0)
    },
    async 'list and page'() {
      for (let index = 0; index < 4; index++) await ok(v0.chats.createAsync({ message: `Shop ${index}` }))
      const ids = new Set()
      let cursor
      do {
        const page = await ok(v0.chats.list(cursor ? { limit: 2, cursor } : { limit: 2 }))
        page.chats.forEach((chat) => ids.add(chat.id))
        cursor = page.cursor
      } while (cursor)
      assert.equal(ids.size, 5)
    },
    async 'find by metadata'() {
      const page = await ok(v0.chats.list({ limit: 100, metadata: { marker: 'm-2' } }))
      assert.deepEqual(page.chats.map((chat) => chat.id), [created.chatId])
    },
    async 'follow-up'() {
      const sent = await ok(v0.messages.sendAsync({ chatId: created.chatId, message: 'Make it blue' }))
      assert.notEqual(sent.messageId, created.messageId)
      assert.equal((await ended(sent.messageId)).finishReason, 'stop')
      const messages = (await ok(v0.messages.list({ chatId: created.chatId, limit: 10 }))).messages
      assert.equal(messages.length, 4)
    },
    async 'stop'() {
      await knobs({ generation_seconds: 600 })
      const running = await ok(v0.chats.createAsync({ message: 'A slow one' }))
      const stopped = await ok(v0.messages.stop({ chatId: running.chatId, messageId: running.messageId }))
      assert.equal(stopped.messageId, running.messageId)
      await knobs({ generation_seconds: 0.3 })
    },
    async 'delete'() {
      assert.equal((await ok(v0.chats.delete({ chatId: created.chatId }))).chatId, created.chatId)
    },
    async 'errors'() {
      assert.ok((await v0.chats.get({ chatId: created.chatId })).error.message)
      assert.ok((await v0.chats.createAsync({ message: '' })).error.message)
      await knobs({ fail_next: [{ status: 429, retry_after: 1 }] })
      assert.ok((await v0.chats.list({ limit: 1 })).error.message)
    },
  }
}
