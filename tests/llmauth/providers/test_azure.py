"""Azure's handler: the names of one resource, its two kinds of credential, and where a deployment is named."""

import json

import pytest
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.chat.messages import ChatRequest
from llmauth.chat.words import Word
from llmauth.errors import InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.azure import AzureHandler, AzureOptions
from llmauth.providers.base import Verdict
from llmauth.providers.named import NOTHING, Call
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret

HOST = "contoso.openai.azure.com"
KEY, TOKEN = ApiKey(value=Secret("k" * 32)), BearerToken(value=Secret("eyJ.e.s"))
CHAT = "/openai/deployments/chat-4o/chat/completions?api-version=2024-10-21"


def handler(base_url=f"https://{HOST}", **options):
    return AzureHandler("azure", AzureOptions(base_url=base_url, **options))


HANDLER = handler()


def request_to(path=CHAT, host=HOST, body=b"", **fields):
    headers = [(b"Host", host.encode()), *((n.replace("_", "-").encode(), v) for n, v in fields.items())]
    url = Url("https", host, 443, path)
    return Request(method="POST", url=url, headers=Headers(headers), door=Door.TUNNEL, body=body)


# ---- options ---------------------------------------------------------------------------------------------------------


def test_a_resource_must_be_named():
    with pytest.raises(ValidationError, match="base_url"):
        AzureOptions.model_validate({"type": "azure"})


@pytest.mark.parametrize("version", ["2024-10-21", "2025-04-01-preview", "v1", "preview", "latest"])
def test_versions(version):
    assert handler(api_version=version).options.api_version == version


@pytest.mark.parametrize("version", ["", "2024", "2024-10-21&x=1", "2024-10-21-beta", "v1\n", "../v1"])
def test_s7_no_other_version_enters_a_query(version):
    with pytest.raises(ValidationError):
        handler(api_version=version)


def test_deployments_by_model():
    names = {"gpt-4o": "chat-4o", "org/model:1@x": "My_Deployment.2"}
    assert handler(deployments=names).options.deployments == names


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..", ".a", "a?b", "a%2fb", "ä", "a\n", "x" * 65])
def test_s7_no_other_deployment_enters_a_path(name):
    with pytest.raises(ValidationError):
        handler(deployments={"gpt-4o": name})


def test_http_is_refused():
    with pytest.raises(ValidationError, match="https"):
        handler(f"http://{HOST}")


# ---- hosts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["openai", "services.ai", "cognitiveservices"])
@pytest.mark.parametrize("cloud", ["com", "us", "cn"])
def test_a_resource_has_three_names_in_its_cloud(service, cloud):
    names = {f"contoso.{one}.azure.{cloud}" for one in ("openai", "services.ai", "cognitiveservices")}
    assert handler(f"https://contoso.{service}.azure.{cloud}/").hosts == {HostPort(name, 443) for name in names}


@pytest.mark.parametrize(
    "base_url",
    [
        "https://llm.corp.example/azure",
        "https://contoso.openai.azure.com:8443",
        "https://contoso.openai.azure.com.evil.example",
        "https://a.b.openai.azure.com",
        "https://contoso.azure-api.net/openai",
        "https://contoso.openai.azure.de",
        "https://openai.azure.com",
    ],
)
def test_any_other_host_stands_for_itself(base_url):
    ours = handler(base_url)
    assert ours.hosts == {ours.base.origin}


@pytest.mark.parametrize(
    "host", ["fabrikam.openai.azure.com", "contoso.openai.azure.us", "openai.azure.com", "contoso.azure.com"]
)
def test_s1_the_credential_goes_nowhere_else(host):
    with pytest.raises(InternalError, match="does not serve"):
        HANDLER.authorize(request_to(host=host), KEY)


# ---- by path ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "path", "result"),
    [
        ("", CHAT, CHAT),
        ("", "/openai/v1/responses", "/openai/v1/responses"),
        ("/", "/openai/files?api-version=2024-10-21", "/openai/files?api-version=2024-10-21"),
        ("/openai", CHAT, CHAT),
        ("/openai/v1", CHAT, CHAT),
        ("/openai/v1/", "/openai/v1/models", "/openai/v1/models"),
        ("/openai/v1", "/v1/models?x=%2F", "/openai/v1/models?x=%2F"),
        ("/openai/v1", "/chat/completions", "/openai/v1/chat/completions"),
        ("/openai/v1", "/models/chat/completions?api-version=x", "/models/chat/completions?api-version=x"),
        ("/openai/v1", "/models/chat-4o", "/openai/v1/models/chat-4o"),
        ("/openai/v1", "/models", "/openai/v1/models"),
        ("/openai/v1", "/anthropic/v1/messages", "/anthropic/v1/messages"),
        ("/gw/openai", CHAT, f"/gw{CHAT}"),
        ("/gw", CHAT, f"/gw{CHAT}"),
        ("/openai", "/openaix/y", "/openai/openaix/y"),
    ],
)
def test_the_root_that_both_have_is_written_once(base, path, result):
    assert handler(f"https://{HOST}{base}").forward(path, "POST") == Url("https", HOST, 443, result)


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        (CHAT, b'{"model":"gpt-4o"}', "chat-4o"),
        ("/openai/deployments/a%20b/embeddings", b"", "a b"),
        ("/openai/deployments/d/images/edits", b"", "d"),
        ("/openai/deployments/d/audio/speech", b"", "d"),
        ("/gw/openai/deployments/d/completions", b"", "d"),
        ("/openai/deployments/d/unheard/of", b'{"model":"m"}', "d"),
        ("/openai/%64eployments/d/chat/completions", b'{"model":"m"}', "d"),
        ("/openai/Deployments/d/chat/completion%73", b'{"model":"m"}', "d"),
        ("/openai//deployments//d/chat/completions/", b'{"model":"m"}', "d"),
        ("/openai/deployments/d/extensions/chat/completions", b'{"model":"m"}', "d"),
        ("/openai/v1/chat/completions", b'{"model":"chat-4o"}', "chat-4o"),
        ("/openai/files", b"--x", None),
        (f"/openai/deployments/{'x' * 300}/completions", b"", "x" * 200),
    ],
)
def test_the_deployment_is_the_model(path, body, model):
    call = Call(method="POST", path=path, body=body)
    assert HANDLER.named(call).model == model


@pytest.mark.parametrize(
    ("path", "certain"),
    [
        ("/openai/deployments/d/chat/completions", True),
        ("/openai/deployments/d/x/deployments/e/chat/completions", False),
        ("/openai/deployments//chat/completions", True),  # an empty segment is none
        ("/openai/%2564eployments/d/chat/completions", False),
        ("/openai/deployments", False),
        ("/openai/files", False),
    ],
)
def test_h3_a_path_that_could_mean_two_deployments_is_not_certain(path, certain):
    told = HANDLER.named(Call(method="POST", path=path, body=b'{"model":"m"}'))
    assert told.certain is certain
    assert "m" not in told.others or "deployments" not in path


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("?deployment=d&api-version=1", "d"),
        ("?model=m", "m"),
        ("?deployment=d&model=m", None),
        ("?model=m&Deployment=d", None),
        ("?deployment=d;model=m", None),
        ("", None),
    ],
)
def test_h2_a_session_has_one_model(query, model):
    for path in ("/openai/realtime", "/openai/v1/realtime"):
        told = HANDLER.named(Call(method="GET", path=f"{path}{query}", websocket=True))
        assert (told.model, told.certain, told.ambiguous) == (model, model is not None, model is None)
    other = HANDLER.named(Call(method="GET", path=f"/openai/v1/responses{query}", websocket=True))
    assert other == NOTHING


def test_the_shape_is_openais_and_beside_it_anthropics():
    assert HANDLER.shape_of(CHAT).name == HANDLER.shape_of("").name == "openai"
    assert HANDLER.shape_of("/anthropic/v1/messages").name == "anthropic"


# ---- the credential --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "field"),
    [(KEY, (b"api-key", b"k" * 32)), (TOKEN, (b"Authorization", b"Bearer eyJ.e.s"))],
    ids=["key", "token"],
)
def test_s9_the_one_credential_is_ours(credential, field):
    """Whatever the client wrote where Azure takes a key is gone, in the query as well."""
    fields = {"authorization": b"Bearer x", "api_key": b"x", "ocp_apim_subscription_key": b"x", "x_api_key": b"x"}
    path = f"{CHAT}&api-key=x&subscription-key=y&Api%2dKey=z&Ocp-Apim-Subscription-Key=x&Authorization=Bearer%20x"
    signed = HANDLER.authorize(request_to(path, **fields), credential)
    assert signed.headers.fields == ((b"Host", HOST.encode()), field)
    assert signed.url.path == CHAT


def test_other_kinds_are_of_no_use_here():
    with pytest.raises(InternalError, match="cannot use"):
        HANDLER.authorize(request_to(), AwsKeys(access_key_id="AKIA", secret_access_key=Secret("hidden")))


@pytest.mark.parametrize(
    ("status", "challenge", "verdict"),
    [
        (401, None, Verdict.REJECTED),
        (401, b'Bearer error="invalid_token", error_description="expired"', Verdict.EXPIRED),
        (400, None, Verdict.PASSES),
        (403, None, Verdict.PASSES),
        (404, None, Verdict.PASSES),
        (429, None, Verdict.PASSES),
    ],
)
def test_verdicts(status, challenge, verdict):
    headers = Headers([(b"WWW-Authenticate", challenge)] if challenge else [])
    assert HANDLER.verdict(status, headers) is verdict


def test_a_deployment_is_spoken_to_as_the_model_that_it_is():
    """Models that think take `max_completion_tokens` and no other name of it, whatever their deployment is called."""
    azure = handler(deployments={"o3": "thinker", "gpt-4o": "plain"})
    request = ChatRequest(model="x", messages=(), parameters={Word.MAX_TOKENS: 5})
    for deployment, member in (("thinker", "max_completion_tokens"), ("plain", "max_tokens"), ("other", "max_tokens")):
        body = json.loads(azure.codec(deployment).render_request(request).body)
        assert (body["model"], body[member]) == (deployment, 5)


def test_what_stands_before_claude_refuses_in_azures_words():
    refused = HANDLER.natively("messages", "claude-sonnet-4-5", stream=False).refused
    error = refused(429, Headers(), b'{"error":{"code":"429","message":"The rate limit is reached."}}')
    assert (error.cause, "The rate limit is reached." in error.message) == ("rate_limited", True)
    assert HANDLER.natively("chat", "gpt-4o", stream=False).refused is None
