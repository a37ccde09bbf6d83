// What the official Anthropic client does beyond plain calls: streams, the tool runner, documents, refusals.
// MODEL is asked, MISSING is no model. Prints what it got as JSON.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const client = new Anthropic({ maxRetries: 0 });
const { MODEL: model, MISSING, PNG } = process.env;
const asked = { model, max_tokens: 200, messages: [{ role: "user", content: "hello" }] };
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const told = {};

async function run(stream) {
  const called = [];
  const tool = betaTool({
    name: "get_weather", description: "The weather of a city.", inputSchema: city,
    run: ({ city }) => (called.push(city), "18 degrees"),
  });
  const final = await client.beta.messages.toolRunner({ ...asked, tools: [tool], stream }).runUntilDone();
  const last = stream ? await (final.finalMessage?.() ?? final) : final;
  return { called, text: last.content.at(-1).text, reason: last.stop_reason };
}
told.tools = await run(false);
told.streamedTools = await run(true);

const calling = client.messages.stream({ ...asked, tools: [{ name: "get_weather", input_schema: city }] });
const json = [];
calling.on("inputJson", (piece, snapshot) => json.push([piece, snapshot]));
const call = (await calling.finalMessage()).content.find((block) => block.type === "tool_use");
told.input = { joined: JSON.parse(json.map(([piece]) => piece).join("")), snapshot: json.at(-1)[1], input: call.input };

const stream = client.messages.stream(asked);
let pieces = "";
stream.on("text", (piece) => (pieces += piece));
const final = await stream.finalMessage();
told.stream = { pieces, text: await stream.finalText(), reason: final.stop_reason, usage: final.usage.output_tokens, id: stream.request_id };

const format = { type: "json_schema", schema: { ...city, additionalProperties: false } };
const structured = await client.messages.create({ ...asked, output_config: { format } });
told.structured = JSON.parse(structured.content[0].text);

const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
told.image = (await client.messages.create({ ...asked, messages: [{ role: "user", content: [picture] }] })).content[0].text;

const counted = await client.messages.countTokens({ model, messages: asked.messages });
told.counted = counted.input_tokens;

const { data, request_id, response } = await client.messages.create(asked).withResponse();
told.raw = { text: data.content[0].text, same: request_id === data._request_id && request_id === response.headers.get("request-id") };

const many = Array.from({ length: 10 }, () => client.messages.create(asked));
told.many = (await Promise.all(many)).map((one) => one.content[0].text);

try {
  await client.messages.create({ ...asked, model: MISSING });
} catch (problem) {
  told.refused = { kind: problem.constructor.name, status: problem.status, type: problem.error.error.type, id: problem.requestID };
}
console.log(JSON.stringify(told));
