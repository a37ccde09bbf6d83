// The AWS SDK: Converse, whole and streamed; through a proxy agent where HTTPS_PROXY is set, else its own handler.
// Prints what it got as JSON.
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { HttpsProxyAgent } from "https-proxy-agent";

const proxy = process.env.HTTPS_PROXY;
const through = proxy && { requestHandler: new NodeHttpHandler({ httpsAgent: new HttpsProxyAgent(proxy) }) };
const client = new BedrockRuntimeClient({ region: "us-east-1", maxAttempts: 1, ...through });
const asked = {
  modelId: "anthropic.claude-3-sonnet-20240229-v1:0",
  messages: [{ role: "user", content: [{ text: "hello" }] }],
};

const whole = await client.send(new ConverseCommand(asked));
let streamed = "";
let stopped = null;
for await (const event of (await client.send(new ConverseStreamCommand(asked))).stream) {
  streamed += event.contentBlockDelta?.delta?.text ?? "";
  stopped = event.messageStop?.stopReason ?? stopped;
}
console.log(JSON.stringify({ whole: whole.output.message.content[0].text, streamed, stopped }));
