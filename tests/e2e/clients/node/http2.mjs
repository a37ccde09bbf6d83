// node:http2 alone: many streams on one session, which is closed (a GOAWAY) as soon as the first head is there.
// Prints what it got as JSON.
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";

const { AUTHORITY, PATH_PREFIX = "", KEY, PROXY, COUNT = "20" } = process.env;

function tunnelled() {
  return new Promise((resolve, reject) => {
    const proxy = new URL(PROXY);
    const socket = net.connect(Number(proxy.port), proxy.hostname);
    const name = new URL(AUTHORITY).hostname;
    const proof = Buffer.from(`${proxy.username}:${proxy.password}`).toString("base64");
    socket.write(`CONNECT ${name}:443 HTTP/1.1\r\nHost: ${name}:443\r\nProxy-Authorization: Basic ${proof}\r\n\r\n`);
    socket.once("data", (data) => {
      if (!data.toString().includes(" 200 ")) return reject(new Error(data.toString()));
      const secure = tls.connect({ socket, servername: name, ALPNProtocols: ["h2"] }, () => resolve(secure));
      secure.once("error", reject);
    });
    socket.once("error", reject);
  });
}

const connected = PROXY ? { createConnection: await (async (s) => () => s)(await tunnelled()) } : {};
const session = http2.connect(AUTHORITY, connected);
const body = JSON.stringify({ model: "gpt-4o", stream: true, messages: [{ role: "user", content: "hello" }] });

function ask() {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": `${PATH_PREFIX}/v1/chat/completions`,
      "content-type": "application/json",
      ...(KEY ? { authorization: `Bearer ${KEY}` } : {}),
    });
    let status = 0;
    let text = "";
    stream.on("response", (head) => {
      status = head[":status"];
      if (!session.closed) session.close();
    });
    stream.setEncoding("utf8");
    stream.on("data", (piece) => (text += piece));
    stream.on("end", () => resolve({ status, done: text.endsWith("data: [DONE]\n\n") }));
    stream.on("error", reject);
    stream.end(body);
  });
}

console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(COUNT) }, ask))));
