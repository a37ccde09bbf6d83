"""The same for the clients of Azure and of Vertex: what arrives differs in the allowed headers alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.recorder import Recorded
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.fidelity.comparison import differences
from tests.fixtures.clouds import AZURE_US
from tests.fixtures.serving import Serving

AZURE = """
client = openai.AzureOpenAI(max_retries=0, api_version="2024-10-21", default_headers={"X-Custom": "a  b"})
asked = {"model": "chat-4o", "messages": [{"role": "user", "content": "r\\xe4ksm\\xf6rg\\xe5s \\u20ac"}]}
list(client.models.list())
client.chat.completions.create(**asked, extra_headers={"x-ms-client-request-id": "k-1"})
list(client.chat.completions.create(**asked, stream=True, extra_query={"a": ["1", "2"], "b": " /;?", "c": ""}))
client.embeddings.create(model="embed", input=["a"] * 500)
client.post("/echo/unheard/of", body={"x": 1}, cast_to=object)
client.delete("/echo/unheard/of", body={"x": 2}, cast_to=object)
"""
VERTEX = """
client = genai.Client(
    enterprise=True, project="demo-project", location="us-central1", credentials=credentials.Credentials(token=token)
)
asked = {"model": "gemini-2.5-flash", "contents": "r\\xe4ksm\\xf6rg\\xe5s \\u20ac"}
client.models.generate_content(**asked, config={"temperature": 0.5, "http_options": {"headers": {"X-Custom": "a  b"}}})
list(client.models.generate_content_stream(**asked))
client.models.count_tokens(**asked)
client.models.get(model="gemini-2.5-flash")
list(client.models.list(config={"query_base": True, "page_size": 5}))
"""
CLAUDE = """
client = anthropic.AnthropicVertex(
    region="us-central1", project_id="demo-project", access_token=token, max_retries=0
)
asked = {"model": "claude-sonnet-4-5@20250929", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
client.messages.create(**asked, extra_headers={"anthropic-beta": "a-1,b-2"})
list(client.messages.create(**asked, stream=True))
client.messages.count_tokens(model=asked["model"], messages=asked["messages"])
"""
CALLS = {"AzureOpenAI": (AZURE, 6), "google-genai": (VERTEX, 5), "AnthropicVertex": (CLAUDE, 3)}
every_sdk = pytest.mark.parametrize(("code", "count"), CALLS.values(), ids=CALLS)


def arrivals(
    sdks: Sdks, emulators: Emulators, code: str, environ: Mapping[str, str], token: str, direct: int | None = None
) -> tuple[Recorded, ...]:
    before = len(emulators.requests())
    sdks.run(code, environ, direct_port=direct, token=token)
    return emulators.requests()[before:]


def directly(sdks: Sdks, emulators: Emulators, code: str) -> tuple[Recorded, ...]:
    """What arrives from somebody who holds the credentials of the clouds."""
    credentials = emulators.credentials
    environ = {
        "SSL_CERT_FILE": str(emulators.ca_file),
        "AZURE_OPENAI_ENDPOINT": f"https://{AZURE_US}",
        "AZURE_OPENAI_API_KEY": credentials.azure_key,
    }
    return arrivals(sdks, emulators, code, environ, credentials.google_token, emulators.port)


@every_sdk
@pytest.mark.parametrize("door", ["proxy", "path"])
def test_nothing_else_differs(
    clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, code: str, count: int, door: str
) -> None:
    native = {**ways.key_in_the_sdk(clouds), "AZURE_OPENAI_ENDPOINT": f"https://{AZURE_US}"}
    by_path = {
        "AZURE_OPENAI_ENDPOINT": ways.plain(clouds, "/transparent/azure"),
        "GOOGLE_VERTEX_BASE_URL": ways.plain(clouds, "/transparent/vertex"),
        "ANTHROPIC_VERTEX_BASE_URL": ways.plain(clouds, "/transparent/vertex/v1"),
    }
    environ = {**(native if door == "proxy" else by_path), "AZURE_OPENAI_API_KEY": clouds.key()}
    direct = directly(cloud_sdks, emulators, code)
    via = arrivals(cloud_sdks, emulators, code, environ, clouds.key())
    assert (len(direct), len(via)) == (count, count)
    for one, other in zip(direct, via, strict=True):
        assert differences(one, other, by_path=door == "path") == []
        assert one.status == other.status == 200
