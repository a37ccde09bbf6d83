"""Clients that choose HTTP/2: curl, Node, httpx, and the AWS SDK for JavaScript, which knows nothing else over TLS."""

from __future__ import annotations

import json
import subprocess
import textwrap
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.node_clients import node
from tests.e2e.clients.test_curl import CHAT, JSON, STREAM, curl
from tests.fixtures.serving import ROOT, Serving

OPENAI = "api.openai.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
TOLD = ("--http2", "--write-out", "\n%{http_version} %{response_code} %{num_connects}")


def _trust(gateway: Serving) -> dict[str, str]:
    return {"NODE_EXTRA_CA_CERTS": str(gateway.bundle)}


@pytest.mark.parametrize("door", ["tunnel", "gateway"])
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_curl(gateway: Serving, emulators: Emulators, door: str, body: str) -> None:
    if door == "tunnel":
        base, environ = f"https://{OPENAI}", ways.key_in_the_proxy(gateway)
        proof = "Authorization: Bearer sk-placeholder"
    else:
        base, environ = ways.secure(gateway, "/transparent/openai"), ways.trust(gateway)
        proof = f"Authorization: Bearer {gateway.key()}"
    said = curl(environ, *TOLD, *JSON, "-H", proof, "-d", body, f"{base}/v1/chat/completions").decode()
    answer, _, told = said.rpartition("\n")
    assert told.startswith("2 200 ")
    assert '"choices"' in answer
    assert gateway.key().encode() not in emulators.requests()[0].head


def test_curl_many_at_once(gateway: Serving, emulators: Emulators) -> None:
    words = ["--parallel", "--parallel-max", "20", "--http2", "--write-out", "%{http_version} %{response_code}\n"]
    urls = [word for number in range(40) for word in ("-o", "/dev/null", f"https://{OPENAI}/v1/models?n={number}")]
    said = curl(ways.key_in_the_proxy(gateway), *words, *urls).decode().split()
    assert said == ["2", "200"] * 40
    assert len({seen.target for seen in emulators.requests()}) == 40


@pytest.mark.parametrize("door", ["tunnel", "gateway"])
def test_node_closes_its_session_and_still_gets_its_answers(gateway: Serving, emulators: Emulators, door: str) -> None:
    if door == "tunnel":
        environ = {"AUTHORITY": f"https://{OPENAI}", "PROXY": gateway.proxy()}
    else:
        environ = {"AUTHORITY": ways.secure(gateway, ""), "PATH_PREFIX": "/transparent/openai", "KEY": gateway.key()}
    said = node("http2.mjs", {**environ, **_trust(gateway)})
    assert said == [{"status": 200, "done": True}] * 20
    assert len(emulators.requests(OPENAI)) == 20


def test_the_aws_sdk_for_javascript_by_its_own_handler(gateway: Serving, emulators: Emulators) -> None:
    """It speaks HTTP/2 alone where there is TLS, and says GOAWAY right after the head of an answer."""
    environ = {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": ways.secure(gateway, "/transparent/bedrock_us1"),
        "AWS_BEARER_TOKEN_BEDROCK": gateway.key(),
    }
    said = node("bedrock.mjs", {**environ, **_trust(gateway)})
    assert said["whole"].startswith("Hello from the emulated")
    assert (said["streamed"], said["stopped"]) == (said["whole"], "end_turn")
    assert len(emulators.requests(BEDROCK)) == 2


HTTPX = textwrap.dedent("""
    import asyncio, json, os, ssl, sys
    import httpx

    async def main():
        context = ssl.create_default_context(cafile=os.environ["CA"])
        asked = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        async with httpx.AsyncClient(http2=True, verify=context, timeout=30) as client:
            headers = {"Authorization": f"Bearer {os.environ['KEY']}"}
            url = os.environ["BASE"] + "/v1/chat/completions"
            answers = await asyncio.gather(*(client.post(url, json=asked, headers=headers) for _ in range(30)))
        told = [[a.http_version, a.status_code, a.text.endswith("data: [DONE]\\n\\n")] for a in answers]
        print(json.dumps(told))

    asyncio.run(main())
""")


def test_httpx(gateway: Serving, emulators: Emulators) -> None:
    python = ROOT / ".venv-clients-cloud" / "bin" / "python"
    if not python.exists():
        pytest.skip("httpx with HTTP/2 is not here; scripts/install --clients-cloud brings it.")
    environ = {
        "BASE": ways.secure(gateway, "/transparent/openai"),
        "KEY": gateway.key(),
        "CA": str(Path(ways.trust(gateway)["SSL_CERT_FILE"])),
    }
    done = subprocess.run([python, "-c", HTTPX], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == [["HTTP/2", 200, True]] * 30
    assert len(emulators.requests(OPENAI)) == 30
