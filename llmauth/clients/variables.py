"""Every variable by which some runtime is led to a proxy: one table, and the whole environment of a child."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmauth.clients import exempt, values
from llmauth.clients.served import ServedProxy
from llmauth.clients.trust import TrustFiles
from llmauth.clients.values import Ambient, Value, Wanted
from llmauth.secrets import Secret


@dataclass(frozen=True, slots=True)
class Variable:
    """One row: its names, who reads it, how its value is made, and where that is written."""

    names: tuple[str, ...]
    reader: str
    value: Value
    source: str
    secret: bool = False


def _row(names: str, reader: str, value: Value, source: str, *, secret: bool = False) -> Variable:
    return Variable(tuple(names.split()), reader, value, source, secret)


_AWS = "docs.aws.amazon.com/sdkref, Environment variables"
_GOOGLE = "googleapis.github.io/python-genai, Environment variables"

# No HTTP_PROXY: providers are never called in clear text, the proxy opens plain HTTP to few hosts only, and a server
# that CMD starts by CGI would take a request's `Proxy:` header for it ("httpoxy"). What the user has there stays.
_WAY = (
    _row(
        "HTTPS_PROXY https_proxy",
        "nearly all; wget the lower-case one alone",
        lambda wanted: wanted.proxy.with_credential(wanted.credential),
        "curl(1), ENVIRONMENT",
        secret=True,
    ),
    _row("NO_PROXY no_proxy", "nearly all", exempt.no_proxy, "curl(1), ENVIRONMENT"),
    _row(
        "NODE_USE_ENV_PROXY",
        "Node.js from 22.21 and 24 on: fetch and https",
        lambda wanted: "1",
        "nodejs.org/api/cli.html, NODE_USE_ENV_PROXY=1",
    ),
    _row(
        "NODE_OPTIONS",
        "Node.js before that: preload.cjs gives fetch and https the same way",
        values.node_options,
        "nodejs.org/api/cli.html, --require",
    ),
    _row(
        "JAVA_TOOL_OPTIONS",
        "every JVM",
        values.java_options,
        "docs.oracle.com, Networking Properties; release notes of JDK 8u111",
    ),
    _row(
        "GIT_HTTP_PROXY_AUTHMETHOD",
        "git, which otherwise names itself after a 407 alone",
        lambda wanted: "basic",
        "git-config(1), http.proxyAuthMethod",
    ),
)

_TRUST = (
    # httpx takes it before SSL_CERT_DIR, and OpenSSL reads both; so the user's folder is merged, and stays.
    _row(
        "SSL_CERT_FILE",
        "OpenSSL, Python's ssl and httpx, Go on Linux, rustls-native-certs, native-tls, Ruby, uv",
        values.bundle,
        "SSL_CTX_set_default_verify_paths(3); python-httpx.org, Environment variables",
    ),
    _row(
        "REQUESTS_CA_BUNDLE",
        "requests, and what is built on it: oci, google-auth, azure; boto3 too",
        values.bundle,
        "requests.readthedocs.io, SSL Cert Verification",
    ),
    _row("CURL_CA_BUNDLE", "curl, R", values.bundle, "curl(1), --cacert"),
    _row("AWS_CA_BUNDLE", "boto3, the AWS CLI, Go's AWS SDK", values.bundle, _AWS),
    _row("GIT_SSL_CAINFO", "git", values.bundle, "git-config(1), http.sslCAInfo"),
    _row("GIT_PROXY_SSL_CAINFO", "git", values.bundle_of_tls, "git-config(1), http.proxySSLCAInfo"),
    _row("CARGO_HTTP_CAINFO", "cargo", values.bundle, "doc.rust-lang.org/cargo, http.cainfo"),
    _row("PIP_CERT", "pip", values.bundle, "pip.pypa.io, --cert"),
    _row(
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "gcloud", values.bundle, "cloud.google.com/sdk, core/custom_ca_certs_file"
    ),
    _row(
        "WX_CLIENT_VERIFY_REQUESTS",
        "ibm-watsonx-ai, which without it stops verifying once that fails",
        values.bundle,
        "ibm_watsonx_ai, utils.py",
    ),
    _row(
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "gRPC, which reads nothing else",
        values.bundle,
        "github.com/grpc/grpc, doc/environment_variables.md",
    ),
    _row("HTTPLIB2_CA_CERTS", "httplib2: google-api-python-client", values.bundle, "httplib2, certs.py"),
    _row("WEBSOCKET_CLIENT_CA_BUNDLE", "websocket-client", values.bundle, "websocket, _http.py"),
    _row("NIX_SSL_CERT_FILE", "what Nix has built", values.bundle, "nixpkgs, the patch of OpenSSL"),
    _row("CODEX_CA_CERTIFICATE", "Codex", values.bundle, "github.com/openai/codex, codex-client, custom_ca.rs"),
    _row("NODE_EXTRA_CA_CERTS", "Node.js, Bun, Claude Code", values.extra, "nodejs.org/api/cli.html"),
    _row("DENO_CERT", "Deno", values.extra, "docs.deno.com, Environment variables"),
    _row(
        "WGETRC",
        "wget, which has no variable for roots",
        lambda wanted: str(wanted.trust.wgetrc),
        "wget manual, Wgetrc Location",
    ),
)

_SLOTS = (
    _row("OPENAI_API_KEY", "openai in every language", values.slot("openai"), "openai-python, README", secret=True),
    _row("CODEX_API_KEY", "codex exec", values.slot("openai"), "github.com/openai/codex, docs/exec.md", secret=True),
    _row("ANTHROPIC_API_KEY", "anthropic in every language", values.anthropic_key, "docs.claude.com", secret=True),
    _row("ANTHROPIC_AUTH_TOKEN", "Claude Code", values.anthropic_token, "code.claude.com/docs", secret=True),
    # For Bedrock alone: with whatever else the user signs, it is the user's own affair.
    _row("AWS_BEARER_TOKEN_BEDROCK", "AWS SDKs", values.slot("bedrock"), "docs.aws.amazon.com/bedrock", secret=True),
    _row("AWS_ACCESS_KEY_ID", "AWS SDKs that know no bearer token", values.aws_dummy(values.AWS_ID), _AWS),
    _row("AWS_SECRET_ACCESS_KEY", "the same", values.aws_dummy(values.AWS_SECRET), _AWS),
    _row("AWS_EC2_METADATA_DISABLED", "the same: they would wait for no answer", values.aws_dummy("true"), _AWS),
    _row("AWS_REGION AWS_DEFAULT_REGION", "AWS SDKs", values.aws_region, _AWS),
    _row("AZURE_OPENAI_API_KEY", "AzureOpenAI", values.slot("azure"), "openai-python, README", secret=True),
    _row("ANTHROPIC_FOUNDRY_API_KEY", "AnthropicFoundry", values.slot("azure"), "docs.claude.com", secret=True),
    _row("AZURE_OPENAI_ENDPOINT", "AzureOpenAI", values.azure_endpoint, "openai-python, README"),
    _row("WATSONX_APIKEY WATSONX_API_KEY", "langchain-ibm, LiteLLM", values.slot("ibm"), "langchain-ibm", secret=True),
    _row("GOOGLE_APPLICATION_CREDENTIALS", "google-auth", values.google_file, "cloud.google.com/docs/authentication"),
    _row("GOOGLE_GENAI_USE_VERTEXAI", "google-genai", values.google_vertex, _GOOGLE),
    _row("GOOGLE_CLOUD_PROJECT", "google-genai, google-auth", values.google_project, _GOOGLE),
    _row("GOOGLE_CLOUD_LOCATION", "google-genai", values.google_location, _GOOGLE),
)

_BASE_URLS = (
    _row("OPENAI_BASE_URL", "openai in every language", values.base_url("openai", "/v1"), "openai-python, README"),
    _row("ANTHROPIC_BASE_URL", "anthropic in every language", values.base_url("anthropic", ""), "docs.claude.com"),
    _row("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS SDKs", values.aws_endpoint, _AWS),
)

_OURS = (
    _row("LLMAUTH_PROXY", "llmauth run, inside", lambda wanted: wanted.proxy.url, "docs/clients/README.md"),
    _row(
        "LLMAUTH_KEY",
        "llmauth run and whoami, inside",
        lambda wanted: None if wanted.credential is None else wanted.credential.reveal(),
        "docs/clients/README.md",
        secret=True,
    ),
    _row(
        "LLMAUTH_CA_FILE",
        "llmauth run, inside",
        lambda wanted: str(wanted.trust.authority),
        "docs/clients/README.md",
    ),
)

TABLE: tuple[Variable, ...] = (*_WAY, *_TRUST, *_SLOTS, *_BASE_URLS, *_OURS)

BYPASSES: Mapping[str, str] = {
    "OPENAI_BASE_URL": "openai",
    "OPENAI_API_BASE": "openai",
    "ANTHROPIC_BASE_URL": "anthropic",
    "ANTHROPIC_BEDROCK_BASE_URL": "bedrock",
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": "bedrock",
    "ANTHROPIC_VERTEX_BASE_URL": "vertex",
    "AWS_BEDROCK_BASE_URL": "bedrock",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "bedrock",
    "AWS_ENDPOINT_URL_BEDROCK": "bedrock",
    "GOOGLE_VERTEX_BASE_URL": "vertex",
}
"""What sends the calls of a provider's SDK elsewhere, with that provider: taken away where it is served here."""
# Other slots of the same SDKs, and what a proxy finds its own credential in: it would be sent in the place of ours, or
# beside it. An AWS identity stays, since it opens much more than models.
_RIVALS: Mapping[str, str] = {
    "ANTHROPIC_API_KEY": "anthropic",
    "ANTHROPIC_AUTH_TOKEN": "anthropic",
    "AZURE_OPENAI_AD_TOKEN": "azure",
    "GOOGLE_OAUTH_ACCESS_TOKEN": "vertex",
}


def environment(
    proxy: ServedProxy,
    credential: Secret | None,
    trust: TrustFiles,
    environ: Mapping[str, str],
    *,
    ambient: Ambient | None = None,
    program: str = "",
    base_urls: bool = False,
) -> Mapping[str, str]:
    """The whole environment of a child that calls through this proxy; `environ` is the user's.

    `program` is the name of the child's command, `base_urls` asks for base URLs beside the proxy.
    """
    wanted = Wanted(
        proxy=proxy,
        credential=credential,
        trust=trust,
        environ=environ,
        ambient=ambient or Ambient(),
        program=program,
        base_urls=base_urls,
    )
    child = {name: value for name, value in environ.items() if not _leads_around(name, value, proxy)}
    for variable in TABLE:
        value = variable.value(wanted)
        if value is not None:
            child.update(dict.fromkeys(variable.names, value))
    if child.get("AWS_ACCESS_KEY_ID") == values.AWS_ID:
        child.pop("AWS_SESSION_TOKEN", None)
    return child


def secret_names() -> frozenset[str]:
    """The variables whose values must not be shown."""
    return frozenset(name for variable in TABLE if variable.secret for name in variable.names)


def _leads_around(name: str, value: str, proxy: ServedProxy) -> bool:
    if name in proxy.variables() and not name.startswith("AWS_"):
        return True
    if name in _RIVALS:
        return proxy.serves(_RIVALS[name])
    return name in BYPASSES and proxy.serves(BYPASSES[name]) and not exempt.leads_to(value, proxy)
