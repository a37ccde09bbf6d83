// The official openai client: models, a whole and a streamed answer, a stored file. Prints what it got as JSON.
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ maxRetries: 0 });
const asked = { model: "gpt-4o", messages: [{ role: "user", content: "hello" }] };

const models = [];
for await (const model of client.models.list()) models.push(model.id);
const whole = await client.chat.completions.create(asked);
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const file = await client.files.create({ file: await toFile(Buffer.alloc(70_000, 120), "a.jsonl"), purpose: "batch" });
console.log(JSON.stringify({ models, whole: whole.choices[0].message.content, streamed, stored: file.bytes }));
