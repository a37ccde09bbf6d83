// What the official openai client does beyond plain calls: streams, tools that it runs, Responses, refusals.
// MODEL is asked, MISSING is no model. Prints what it got as JSON.
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const { MODEL: model, MISSING, PNG } = process.env;
const messages = [{ role: "user", content: "hello" }];
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const described = { name: "get_weather", description: "The weather of a city.", parameters: city };
const told = {};

// Two calls of a tool, then the answer: the helper runs the tool and gives its results back.
async function run(stream) {
  const called = [];
  const runner = client.chat.completions.runTools({
    model, messages, stream,
    tools: [{ type: "function", function: { ...described, parse: JSON.parse, function: (given) => (called.push(given.city), "18") } }],
  });
  return { text: await runner.finalContent(), called, roles: runner.messages.map((message) => message.role) };
}
told.tools = await run(false);
told.streamedTools = await run(true);

const stream = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
let pieces = "";
stream.on("content", (piece) => (pieces += piece));
const final = await stream.finalChatCompletion();
told.stream = { pieces, text: final.choices[0].message.content, finish: final.choices[0].finish_reason, usage: final.usage.completion_tokens };

const schema = { name: "answer", strict: true, schema: city };
const structured = await client.chat.completions.create({ model, messages, response_format: { type: "json_schema", json_schema: schema } });
told.structured = JSON.parse(structured.choices[0].message.content);

const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
const seen = await client.chat.completions.create({ model, messages: [{ role: "user", content: [picture] }] });
told.image = seen.choices[0].message.content;

const events = [];
const responding = client.responses.stream({ model, input: "hello", instructions: "Be brief." });
for await (const event of responding) if (events.at(-1) !== event.type) events.push(event.type);
told.responses = { text: (await responding.finalResponse()).output_text, events };

const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
told.raw = { text: data.choices[0].message.content, same: data._request_id === response.headers.get("x-request-id") };

const many = Array.from({ length: 10 }, () => client.chat.completions.create({ model, messages }));
told.many = (await Promise.all(many)).map((one) => one.choices[0].message.content);

try {
  await client.chat.completions.create({ model: MISSING, messages });
} catch (problem) {
  told.refused = { kind: problem.constructor.name, status: problem.status, type: problem.type, code: problem.code, id: problem.requestID };
}
console.log(JSON.stringify(told));
