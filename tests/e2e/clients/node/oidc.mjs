// An OpenID provider on loopback, by oidc-provider: discovery, JWKS, machines that get RS256 tokens of their own, and
// people who log in by the device flow.
//
// Arguments: the clients' secret, then their names. Prints its issuer. An audience is asked for as a resource, which
// RFC 8707 wants to be a URI: one that is none stands behind `urn:audience:`, encoded as a part of a URI.
//
// What a test does to it is POSTed as JSON below /test/: `rotate` gives it new keys and forgets the old ones, `claims`
// are put into all tokens from then on, `decide` is what a person did in the browser with a user code.
import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import Provider from "oidc-provider";

const BEFORE = "urn:audience:";
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const TERMINAL = "llmauth-terminal";
const [secret, ...names] = process.argv.slice(2);

let issuer, provider, answer;
let claims = {};

const machine = (name) => ({
  client_id: name,
  client_secret: secret,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: "client_secret_post",
});

const terminal = {
  client_id: TERMINAL,
  grant_types: [DEVICE],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: "none",
  application_type: "native",
};

const getResourceServerInfo = (_context, resource) => ({
  scope: "llm",
  audience: resource.startsWith(BEFORE) ? decodeURIComponent(resource.slice(BEFORE.length)) : resource,
  accessTokenFormat: "jwt",
  accessTokenTTL: 3600,
  jwt: { sign: { alg: "RS256" } },
});

function key() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" };
}

function begin(jwks) {
  provider = new Provider(issuer, {
    clients: [...names.map(machine), terminal],
    ...(jwks && { jwks }),
    claims: { openid: ["sub", "groups"] },
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims }) }),
    extraTokenClaims: () => claims,
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo, useGrantedResource: () => true },
    },
  });
  answer = provider.callback();
}

async function decide({ user_code, account, allow }) {
  const code = await provider.DeviceCode.findByUserCode(user_code.replace(/[^A-Z0-9]/gi, "").toUpperCase());
  if (!allow) {
    Object.assign(code, { error: "access_denied", errorDescription: "End-User aborted interaction" });
    return code.save();
  }
  const grant = new provider.Grant({ accountId: account, clientId: code.clientId });
  const { scope = "", resource, nonce } = code.params;
  grant.addOIDCScope("openid");
  if (resource) grant.addResourceScope(resource, "llm");
  Object.assign(code, { accountId: account, authTime: Math.floor(Date.now() / 1000), claims: {}, scope, resource, nonce });
  code.grantId = await grant.save();
  return code.save();
}

const WAYS = {
  "/test/rotate": () => begin({ keys: [key()] }),
  "/test/claims": (told) => { claims = told; },
  "/test/decide": decide,
};

const server = http.createServer(async (request, response) => {
  const way = WAYS[request.url];
  if (!way) return answer(request, response);
  let body = "";
  for await (const piece of request) body += piece;
  await way(JSON.parse(body || "{}"));
  response.end();
});

server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  begin();
  console.log(issuer);
});
