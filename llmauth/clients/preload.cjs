"use strict";
// Gives Node.js before 22.21, whose fetch and https know no proxy, the way that later versions take by themselves with
// NODE_USE_ENV_PROXY: through HTTPS_PROXY, but for the hosts in NO_PROXY. Loaded by NODE_OPTIONS, so it must never keep
// a program from starting: whatever is not as expected stays as it was.

const [major, minor] = process.versions.node.split(".").map(Number);
const knowsProxies = major >= 24 || (major === 22 && minor >= 21);

function proxyOf(environ) {
  try {
    const url = new URL(environ.https_proxy || environ.HTTPS_PROXY || "");
    return url.protocol === "http:" || url.protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}

function exemptions(environ) {
  const entries = (environ.no_proxy || environ.NO_PROXY || "").split(/[\s,]+/).filter(Boolean);
  return entries.map((entry) => entry.toLowerCase().replace(/^\*?\./, "").replace(/:\d+$/, ""));
}

function isExempt(host, entries) {
  const name = host.toLowerCase().replace(/^\[|\]$/g, "");
  return entries.some((entry) => entry === "*" || name === entry || name.endsWith("." + entry));
}

// Calls back with a connection through the proxy to host and port, on which nothing was said yet.
function tunnel(proxy, host, port, back) {
  const http = require(proxy.protocol === "https:" ? "node:https" : "node:http");
  const target = (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host) + ":" + port;
  const headers = { host: target };
  if (proxy.username || proxy.password) {
    const pair = decodeURIComponent(proxy.username) + ":" + decodeURIComponent(proxy.password);
    headers["proxy-authorization"] = "Basic " + Buffer.from(pair).toString("base64");
  }
  const request = http.request({
    method: "CONNECT",
    host: proxy.hostname.replace(/^\[|\]$/g, ""),
    port: proxy.port || (proxy.protocol === "https:" ? 443 : 80),
    path: target,
    headers,
    agent: false,
    ALPNProtocols: ["http/1.1"],
  });
  let done = false;
  const finish = (error, socket) => {
    if (!done) {
      done = true;
      back(error, socket);
    }
  };
  request.setTimeout(30_000, () => request.destroy(new Error(`The proxy did not open a way to ${target} in time.`)));
  request.once("error", finish);
  request.once("connect", (answer, socket) => {
    socket.setTimeout(0);
    if (answer.statusCode === 200) return finish(null, socket);
    socket.destroy();
    const error = new Error(`The proxy refused the way to ${target} with status ${answer.statusCode}.`);
    error.code = "ERR_PROXY_TUNNEL";
    finish(error);
  });
  request.end();
}

function overTls(proxy, options, back) {
  const { host, port, servername } = options;
  tunnel(proxy, host, port, (error, socket) => {
    if (error) return back(error);
    const net = require("node:net");
    const name = servername || (net.isIP(host) ? "" : host);
    const secure = require("node:tls").connect({ ...options.tls, socket, servername: name });
    const failed = (why) => back(why);
    secure.once("error", failed);
    secure.once("secureConnect", () => {
      secure.removeListener("error", failed);
      back(null, secure);
    });
  });
}

// The class of the built-in fetch's own connections is not exported; the one in use tells it, as soon as there is one.
function leadFetch(proxy, exempt) {
  const place = Symbol.for("undici.globalDispatcher.1");
  void globalThis.Headers; // loads the built-in fetch, which puts its own dispatcher in this place
  const Agent = globalThis[place]?.constructor;
  if (typeof Agent !== "function" || Agent.name !== "Agent") return;
  const connect = (options, back) => {
    const secure = options.protocol === "https:";
    const port = Number(options.port) || (secure ? 443 : 80);
    const host = options.hostname.replace(/^\[|\]$/g, "");
    if (secure && !isExempt(host, exempt)) {
      const tls = { ALPNProtocols: ["http/1.1"] };
      return overTls(proxy, { host, port, servername: options.servername, tls }, back);
    }
    const net = require("node:net");
    const name = options.servername || (net.isIP(host) ? "" : host);
    const socket = secure
      ? require("node:tls").connect({ host, port, servername: name, ALPNProtocols: ["http/1.1"] })
      : net.connect({ host, port });
    const failed = (why) => back(why);
    socket.once("error", failed);
    socket.once(secure ? "secureConnect" : "connect", () => {
      socket.removeListener("error", failed);
      back(null, socket);
    });
  };
  globalThis[place] = new Agent({ connect });
}

function leadHttps(proxy, exempt) {
  const https = require("node:https");
  class ProxiedAgent extends https.Agent {
    createConnection(options, back) {
      const host = options.host || options.hostname || "localhost";
      if (options.socketPath || isExempt(host, exempt)) return super.createConnection(options, back);
      const port = Number(options.port) || 443;
      overTls(proxy, { host, port, servername: options.servername, tls: options }, back);
      return undefined;
    }
  }
  https.globalAgent = new ProxiedAgent({ keepAlive: true, scheduling: "lifo", timeout: 5000 });
}

const proxy = proxyOf(process.env);
if (!knowsProxies && proxy !== null) {
  const exempt = exemptions(process.env);
  for (const lead of [leadFetch, leadHttps]) {
    try {
      lead(proxy, exempt);
    } catch {
      // a version of Node.js that is made otherwise
    }
  }
}
