// An OpenID provider on loopback, by oidc-provider: discovery, JWKS, and machines that get RS256 tokens of their own.
//
// Arguments: the clients' secret, then their names. Prints its issuer. An audience is asked for as a resource, which
// RFC 8707 wants to be a URI: one that is none stands behind `urn:audience:`, encoded as a part of a URI.
import http from "node:http";
import Provider from "oidc-provider";

const BEFORE = "urn:audience:";
const [secret, ...names] = process.argv.slice(2);

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const clients = names.map((name) => ({
    client_id: name,
    client_secret: secret,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "client_secret_post",
  }));
  const getResourceServerInfo = (_context, resource) => ({
    scope: "",
    audience: resource.startsWith(BEFORE) ? decodeURIComponent(resource.slice(BEFORE.length)) : resource,
    accessTokenFormat: "jwt",
    accessTokenTTL: 3600,
    jwt: { sign: { alg: "RS256" } },
  });
  const provider = new Provider(issuer, {
    clients,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
