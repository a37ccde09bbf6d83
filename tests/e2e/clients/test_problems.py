"""What goes wrong reaches each SDK as the exception that its users catch, with a sentence that helps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.fixtures.serving import Serving, free_port, provider_environment, start
from tests.llmauth.demo.clients import ClientProblem

OPENAI = """
openai.OpenAI(api_key=key, max_retries=0).chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": "hello"}], stream=stream
)
"""
ANTHROPIC = """
anthropic.Anthropic(api_key=key, max_retries=0).messages.create(
    model="claude-sonnet-4-5", max_tokens=10, messages=[{"role": "user", "content": "hello"}], stream=stream
)
"""
BEDROCK = """
client = boto3.client("bedrock-runtime", region_name="us-east-1")
if header:
    client.meta.events.register("before-sign", lambda request, **_: request.headers.add_header("X-API-Key", header))
call = client.converse_stream if stream else client.converse
call(modelId="anthropic.claude-3-sonnet-20240229-v1:0", messages=[{"role": "user", "content": [{"text": "hello"}]}])
"""
DUMMY = {"AWS_ACCESS_KEY_ID": "AKIAPLACEHOLDER00000", "AWS_SECRET_ACCESS_KEY": "placeholder", "AWS_MAX_ATTEMPTS": "1"}
WRONG = "llmauth_AAAAAAAAAA_" + "B" * 43

HOSTS = {
    OPENAI: "api.openai.com",
    ANTHROPIC: "api.anthropic.com",
    BEDROCK: "bedrock-runtime.us-east-1.amazonaws.com",
}
sdk = pytest.mark.parametrize("sdk", HOSTS, ids=["openai", "anthropic", "boto3"])
streaming = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def problem(
    sdks: Sdks, code: str, environ: Mapping[str, str], *, key: str = "sk-placeholder", stream: bool = False
) -> ClientProblem:
    """What the SDK raises; the key stands in its own slot, for boto3 in the variable of its bearer token."""
    ours = key.startswith("llmauth")
    bearer = {"AWS_BEARER_TOKEN_BEDROCK": key} if ours and code is BEDROCK else {}
    with pytest.raises(ClientProblem) as caught:
        sdks.run(code, {**DUMMY, **environ, **bearer}, key=key, header=None, stream=stream)
    return caught.value


def by_path(gateway: Serving, name: str) -> dict[str, str]:
    """Base URLs over TLS, where boto3 sends its bearer token too."""
    base = ways.secure(gateway, f"/transparent/{name}")
    names = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
    return {**dict.fromkeys(names, base), **ways.trust(gateway)}


@sdk
@streaming
def test_401_for_a_wrong_key(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str, stream: bool) -> None:
    raised = problem(sdks, sdk, ways.key_in_the_sdk(gateway), key=WRONG, stream=stream)
    kind, named = ("ClientError", "(UnrecognizedClientException)") if sdk is BEDROCK else ("AuthenticationError", "401")
    assert (raised.kind, raised.status) == (kind, 401)
    assert named in raised.message
    assert "The credential is not valid." in raised.message
    assert WRONG not in raised.message
    assert emulators.connections == ()


@sdk
def test_401_without_a_key_of_ours(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    """The placeholder alone proves nothing; for boto3 it is a signature by a made-up key."""
    raised = problem(sdks, sdk, ways.key_in_the_sdk(gateway))
    assert raised.status == 401
    assert "its keys begin with llmauth_" in raised.message


@sdk
def test_the_proxy_refuses_a_wrong_key(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    """A 407 at CONNECT: each SDK has an exception for a connection that a proxy does not open."""
    environ = {**ways.trust(gateway), "HTTPS_PROXY": gateway.proxy(WRONG)}
    raised = problem(sdks, sdk, environ)
    assert raised.kind == ("ProxyConnectionError" if sdk is BEDROCK else "APIConnectionError")
    assert "407" in raised.traceback
    assert WRONG not in raised.message


@sdk
def test_403_where_two_users_meet(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    """The tunnel is one user's and the key in the SDK another's: a mistake that nobody should decide."""
    raised = problem(sdks, sdk, ways.key_in_the_proxy(gateway), key=gateway.key("another"))
    kind = "AccessDeniedException" if sdk is BEDROCK else "PermissionDeniedError"
    assert (raised.kind, raised.status) == (kind, 403)
    assert emulators.connections == ()


@sdk
def test_404_for_an_instance_that_is_not_there(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    raised = problem(sdks, sdk, by_path(gateway, "openai_us9"), key=gateway.key())
    assert (raised.kind, raised.status) == ("ResourceNotFoundException" if sdk is BEDROCK else "NotFoundError", 404)
    assert "/transparent/bedrock_us1/" in raised.message


KINDS = {
    400: ("BadRequestError", "ValidationException"),
    403: ("PermissionDeniedError", "AccessDeniedException"),
    404: ("NotFoundError", "ResourceNotFoundException"),
    429: ("RateLimitError", "ThrottlingException"),
    500: ("InternalServerError", "InternalServerException"),
}


@sdk
@streaming
@pytest.mark.parametrize("status", KINDS)
def test_what_the_provider_refuses_is_the_providers(
    gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str, status: int, stream: bool
) -> None:
    emulators.behave(HOSTS[sdk], Behaviour(status=status))
    raised = problem(sdks, sdk, ways.key_in_the_proxy(gateway), stream=stream)
    assert raised.status == status
    assert raised.kind == KINDS[status][sdk is BEDROCK]
    assert len(emulators.requests()) == 1


@pytest.fixture(scope="module")
def misconfigured(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """A gateway whose credentials are wrong, and with an instance of each type whose provider is not there."""
    right = provider_environment(shared_emulators)
    wrong = {**right, "OPENAI_API_KEY": "sk-old", "ANTHROPIC_API_KEY": "sk-ant-old", "AWS_SECRET_ACCESS_KEY": "old"}
    down = {"base_url": "https://down.api.openai.com"}
    instances = {
        "openai": {"type": "openai"},
        "anthropic": {"type": "anthropic"},
        "bedrock": {"type": "bedrock", "region": "us-east-1"},
        **{f"down_{kind}": {"type": kind, **down} for kind in ("openai", "anthropic", "bedrock")},
        **{
            f"empty_{kind}": {
                "type": kind,
                "base_url": "https://empty.api.openai.com",
                "authentication": {"strategies": [{"type": "file", "path": "/nonexistent/key"}]},
            }
            for kind in ("openai", "anthropic", "bedrock")
        },
    }
    resolve = {**shared_emulators.resolve, "down.api.openai.com": f"127.0.0.1:{free_port()}"}
    folder = tmp_path_factory.mktemp("misconfigured")
    serving = start(folder, shared_emulators, environ=wrong, instances=instances, upstream={"resolve": resolve})
    serving.key()
    yield serving
    serving.stop()


def plain_paths(gateway: Serving, name: str) -> dict[str, str]:
    base = ways.plain(gateway, f"/transparent/{name}")
    return {"OPENAI_BASE_URL": base, "ANTHROPIC_BASE_URL": base, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": base}


def server_problem(sdks: Sdks, code: str, gateway: Serving, name: str, stream: bool) -> ClientProblem:
    """By base URL without TLS, for which boto3 needs a header for the key."""
    header = gateway.key() if code is BEDROCK else None
    with pytest.raises(ClientProblem) as caught:
        sdks.run(code, {**DUMMY, **plain_paths(gateway, name)}, key=gateway.key(), header=header, stream=stream)
    return caught.value


TYPES = {OPENAI: "openai", ANTHROPIC: "anthropic", BEDROCK: "bedrock"}


@sdk
@streaming
@pytest.mark.parametrize(
    ("prefix", "status", "sentence"),
    [
        ("", 502, "It is not your key."),
        ("down_", 502, "cannot be reached"),
        ("empty_", 500, "Cannot authenticate to provider"),
    ],
    ids=["our credential is refused", "the provider is down", "no credential"],
)
def test_our_own_trouble_is_no_fault_of_the_callers_key(
    misconfigured: Serving,
    emulators: Emulators,
    sdks: Sdks,
    sdk: str,
    stream: bool,
    prefix: str,
    status: int,
    sentence: str,
) -> None:
    """Never the provider's raw 401, which some clients take as a reason to forget their login."""
    raised = server_problem(sdks, sdk, misconfigured, prefix + TYPES[sdk], stream)
    assert raised.status == status
    assert raised.kind in ("InternalServerError", "InternalServerException", "ClientError")
    assert sentence in raised.message
