"""The HTTP libraries of Python that people build on, led by environment variables alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.e2e.clients import ways
from tests.e2e.clients.ways import Way
from tests.fixtures.serving import ROOT, Serving

URL = f"https://{HOST}/v1/chat/completions"
ASKED = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hello"}]}

REQUESTS = """
    import requests
    with requests.post(url, json=asked, headers=headers, stream=True) as answer:
        print(answer.status_code, b"".join(answer.iter_content(None)).decode()[-14:].strip())
"""
HTTPX = """
    import httpx
    with httpx.Client(http2=False) as client, client.stream("POST", url, json=asked, headers=headers) as answer:
        print(answer.status_code, "".join(answer.iter_text())[-14:].strip())
"""
HTTPX_ASYNC = """
    import asyncio, httpx
    async def main():
        async with httpx.AsyncClient() as client:
            answer = await client.post(url, json=asked, headers=headers)
            print(answer.status_code, answer.text[-14:].strip())
    asyncio.run(main())
"""
AIOHTTP = """
    import aiohttp, asyncio, os, ssl
    async def main():
        trusted = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]))
        async with aiohttp.ClientSession(trust_env=True, connector=trusted) as session:
            async with session.post(url, json=asked, headers=headers) as answer:
                print(answer.status, (await answer.text())[-14:].strip())
    asyncio.run(main())
"""
URLLIB3 = """
    import json, os, urllib3
    from urllib3.util import make_headers, parse_url
    proxy = parse_url(os.environ["HTTPS_PROXY"])
    proof = make_headers(proxy_basic_auth=proxy.auth) if proxy.auth else None
    pool = urllib3.ProxyManager(str(proxy), proxy_headers=proof, ca_certs=os.environ["SSL_CERT_FILE"])
    body = json.dumps(asked).encode()
    answer = pool.request("POST", url, body=body, headers={**headers, "Content-Type": "application/json"})
    print(answer.status, answer.data.decode()[-14:].strip())
"""
URLLIB = """
    import json, urllib.request
    body = json.dumps(asked).encode()
    call = urllib.request.Request(url, body, {**headers, "Content-Type": "application/json"})
    with urllib.request.urlopen(call) as answer:
        print(answer.status, answer.read().decode()[-14:].strip())
"""
LIBRARIES = {
    "requests": REQUESTS,
    "httpx": HTTPX,
    "httpx async": HTTPX_ASYNC,
    "aiohttp": AIOHTTP,
    "urllib3": URLLIB3,
    "urllib": URLLIB,
}
WAYS: dict[str, tuple[Way, str]] = {
    "key in the proxy URL": (ways.key_in_the_proxy, "Bearer sk-placeholder"),
    "key in the header": (ways.key_in_the_sdk, "Bearer {key}"),
}


def interpreter() -> Path:
    chosen = Path(os.environ.get("LLMAUTH_CLIENTS_CLOUD_PYTHON") or ROOT / ".venv-clients-cloud/bin/python")
    if not chosen.exists():
        pytest.fail(f"{chosen} does not exist. Run scripts/install --clients-cloud.", pytrace=False)
    return chosen


@pytest.mark.parametrize(("way", "proof"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_a_stream(gateway: Serving, emulators: Emulators, library: str, way: Way, proof: str) -> None:
    headers = {"Authorization": proof.format(key=gateway.key())}
    given = f"url, asked, headers = {URL!r}, {ASKED!r}, {headers!r}\n"
    done = subprocess.run(
        [interpreter(), "-I", "-c", given + dedent(library)],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **way(gateway)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == "200 data: [DONE]", done.stderr[-2000:]
    (seen,) = emulators.requests(HOST)
    assert json.loads(seen.body) == ASKED
    assert seen.values("authorization") == [b"Bearer " + emulators.credentials.openai_key.encode()]
    assert gateway.key().encode() not in seen.head
