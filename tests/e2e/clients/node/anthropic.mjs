// The official Anthropic client: a whole and a streamed answer. Prints what it got as JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ maxRetries: 0 });
const asked = { model: "claude-sonnet-4-5", max_tokens: 100, messages: [{ role: "user", content: "hello" }] };

const whole = await client.messages.create(asked);
let streamed = "";
for await (const event of client.messages.stream(asked)) {
  if (event.type === "content_block_delta") streamed += event.delta.text;
}
console.log(JSON.stringify({ whole: whole.content[0].text, streamed }));
