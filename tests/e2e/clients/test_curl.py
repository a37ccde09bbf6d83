"""curl as people type it: proxy and CA by environment variables, uploads of every kind, streams as they come."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.e2e.clients import ways
from tests.e2e.clients.ways import Way
from tests.fixtures.serving import Serving

CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]})
STREAM = json.dumps({"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hello"}]})
JSON = ("-H", "Content-Type: application/json")
NATIVE = f"https://{HOST}"


def curl(environ: Mapping[str, str], *words: str, body: bytes | None = None) -> bytes:
    """What curl prints; CalledProcessError with its complaint when it fails."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ}
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *words]
    return subprocess.run(command, env=variables, input=body, capture_output=True, check=True).stdout


# A way, the base URL that curl is given on it, and the header that it proves itself with.
WAYS: dict[str, tuple[Way, str, str]] = {
    "key in the proxy URL": (ways.key_in_the_proxy, NATIVE, "Authorization: Bearer sk-placeholder"),
    "no placeholder at all": (ways.key_in_the_proxy, NATIVE, "Accept: */*"),
    "key in the header": (ways.key_in_the_sdk, NATIVE, "Authorization: Bearer {key}"),
    "key in our own header": (ways.key_in_the_sdk, NATIVE, "X-API-Key: {key}"),
    "proxy over TLS": (ways.key_in_the_tls_proxy, NATIVE, "Authorization: Bearer sk-placeholder"),
    "base URL": (ways.trust, "http://127.0.0.1:{port}/transparent/openai", "X-API-Key: {key}"),
    "base URL over TLS": (ways.trust, "https://localhost:{tls_port}/transparent/openai", "Authorization: Bearer {key}"),
}


@pytest.mark.parametrize(("way", "base", "header"), WAYS.values(), ids=WAYS)
def test_curl_is_answered(gateway: Serving, emulators: Emulators, way: Way, base: str, header: str) -> None:
    filled = {"key": gateway.key(), "port": gateway.port, "tls_port": gateway.tls_port}
    url, proof = base.format(**filled), header.format(**filled)
    # No variable tells curl which CA to trust for the proxy's own TLS.
    words = ("--proxy-cacert", str(gateway.bundle), f"{url}/v1/chat/completions", "-H", proof, *JSON)
    whole = curl(way(gateway), *words, "-d", CHAT)
    streamed = curl(way(gateway), "--no-buffer", *words, "-d", STREAM)
    assert json.loads(whole)["choices"][0]["message"]["content"].startswith("Hello from the emulated")
    assert streamed.endswith(b"data: [DONE]\n\n")
    assert [seen.body.decode() for seen in emulators.requests(HOST)] == [CHAT, STREAM]
    assert all(gateway.key().encode() not in seen.head for seen in emulators.requests())


def test_a_user_name_and_a_password_for_basic(gateway: Serving, emulators: Emulators) -> None:
    """`curl -u`: the password is the key, the user name a label."""
    url = ways.plain(gateway, "/transparent/openai/v1/models")
    assert b"gpt-4o" in curl({}, url, "-u", f"anybody:{gateway.key()}")


def test_a_proxy_given_as_an_option(gateway: Serving, emulators: Emulators) -> None:
    options = ("--proxy", gateway.url, "--proxy-user", f"me:{gateway.key()}", "--cacert", str(gateway.bundle))
    assert b"gpt-4o" in curl({}, f"{NATIVE}/v1/models", *options)


@pytest.mark.parametrize("size", [2_000_000, 0], ids=["with 100 Continue", "empty"])
def test_an_upload_from_a_file(gateway: Serving, emulators: Emulators, tmp_path: Path, size: int) -> None:
    """curl announces a body over 1 MB with `Expect: 100-continue` and would wait a second for an answer to that."""
    file = tmp_path / "upload"
    file.write_bytes(bytes(range(256)) * (size // 256))
    back = curl(
        ways.key_in_the_proxy(gateway),
        "-T",
        str(file),
        "-X",
        "POST",
        "-H",
        "Expect: 100-continue",
        f"{NATIVE}/v1/echo/up",
    )
    assert back == file.read_bytes()
    (seen,) = emulators.requests()
    assert seen.values("expect") == []


def test_an_upload_whose_length_nobody_knows(gateway: Serving, emulators: Emulators) -> None:
    """From standard input curl sends chunks; what is read whole leaves with its length."""
    body = b"\0\xff" * 300_000
    back = curl(ways.key_in_the_proxy(gateway), "-T", "-", "-X", "POST", f"{NATIVE}/v1/echo/in", body=body)
    assert back == body
    (seen,) = emulators.requests()
    assert (seen.chunked, seen.values("content-length")) == (False, [str(len(body)).encode()])


def test_a_form_with_a_file(gateway: Serving, emulators: Emulators, tmp_path: Path) -> None:
    file = tmp_path / "batch.jsonl"
    file.write_bytes(b"{}\r\n" * 50_000)
    back = curl(ways.key_in_the_proxy(gateway), "-F", "purpose=batch", "-F", f"file=@{file}", f"{NATIVE}/v1/files")
    assert json.loads(back)["bytes"] == 200_000


def test_a_head_and_its_headers(gateway: Serving, emulators: Emulators) -> None:
    head = curl(ways.key_in_the_proxy(gateway), "-I", f"{NATIVE}/v1/models").lower()
    assert b"http/1.1 200 ok\r\n" in head or b"http/2 200 \r\n" in head  # the second where curl can
    assert b"openai-version: 2020-10-01\r\n" in head


def test_a_compressed_answer_is_unpacked_by_curl_alone(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(gzip=True))
    environ = ways.key_in_the_proxy(gateway)
    assert b"gpt-4o" in curl(environ, "--compressed", f"{NATIVE}/v1/models")


def test_several_calls_on_one_connection(gateway: Serving, emulators: Emulators) -> None:
    """curl keeps the tunnel, and so do we the connection behind it."""
    urls = [f"{NATIVE}/v1/echo/{number}" for number in range(5)]
    curl(ways.key_in_the_proxy(gateway), *urls)
    assert [seen.target.decode() for seen in emulators.requests()] == [url.removeprefix(NATIVE) for url in urls]
    assert len(emulators.connections) == 1


def test_a_wrong_key_is_named_by_its_place(gateway: Serving, emulators: Emulators) -> None:
    """At the proxy it is a 407, which fails by itself; in the tunnel a 401 with a sentence in its body."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        curl({"HTTPS_PROXY": gateway.proxy("llmauth_wrong_key"), **ways.trust(gateway)}, f"{NATIVE}/v1/models")
    assert b"CONNECT tunnel failed, response 407" in caught.value.stderr
    body = curl(ways.key_in_the_sdk(gateway), f"{NATIVE}/v1/models", "-H", "Authorization: Bearer llmauth_wrong_key")
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    assert emulators.connections == ()


def test_without_our_ca_nothing_is_said(gateway: Serving, emulators: Emulators) -> None:
    """A client that does not trust the gateway's CA sends nothing into the tunnel."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        curl({"HTTPS_PROXY": gateway.proxy()}, f"{NATIVE}/v1/models")
    assert caught.value.returncode == 60
    assert emulators.connections == ()
