"""Java's HttpClient, which sends a proxy's credentials only when it is asked for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.fixtures.serving import Serving

SOURCE = Path(__file__).with_name("java") / "Call.java"
CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]})
URL = f"https://{HOST}/v1/chat/completions"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("javac") is None or shutil.which("keytool") is None:
        pytest.skip("there is no JDK here")
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-d", str(folder), str(SOURCE)], check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def trust(compiled: Path, shared_gateway: Serving) -> Path:
    """Java reads a store of its own kind; the gateway's CA is put into one as its documentation says."""
    store = compiled / "trust.p12"
    words = ["-importcert", "-noprompt", "-alias", "llmauth", "-file", str(shared_gateway.ca_file)]
    store_words = ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit"]
    subprocess.run(["keytool", *words, *store_words], check=True, capture_output=True, timeout=60)
    return store


def call(compiled: Path, trust: Path, url: str, port: int, password: str = "-", bearer: str = "-") -> list[str]:
    options = [f"-Djavax.net.ssl.trustStore={trust}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    options.append("-Djdk.http.auth.tunneling.disabledSchemes=")  # else Java sends no Basic to a proxy at all
    words = [url, str(port), password, bearer, CHAT]
    done = subprocess.run(
        ["java", *options, "-cp", str(compiled), "Call", *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout.splitlines()


def test_its_key_in_the_request(gateway: Serving, emulators: Emulators, compiled: Path, trust: Path) -> None:
    status, *body = call(compiled, trust, URL, gateway.port, bearer=f"Bearer {gateway.key()}")
    assert status.startswith("200 ")
    answer = json.loads("\n".join(body))
    assert answer["choices"][0]["message"]["content"].startswith("Hello from the emulated")
    (seen,) = emulators.requests(HOST)
    assert seen.body.decode() == CHAT
    assert seen.values("authorization") == [b"Bearer " + emulators.credentials.openai_key.encode()]
    assert seen.values("upgrade") == seen.values("http2-settings") == []


def test_its_password_when_asked(gateway: Serving, emulators: Emulators, compiled: Path, trust: Path) -> None:
    """A tunnel to a host that we intercept is let in without one, so Java gives it to the request that is refused."""
    status, *body = call(compiled, trust, URL, gateway.port, password=gateway.key())
    assert status.startswith("200 ")
    assert json.loads("\n".join(body))["object"] == "chat.completion"
    (seen,) = emulators.requests(HOST)
    assert seen.values("authorization") == [b"Bearer " + emulators.credentials.openai_key.encode()]


def test_a_wrong_password(gateway: Serving, emulators: Emulators, compiled: Path, trust: Path) -> None:
    with pytest.raises(AssertionError, match="too many authentication attempts"):
        call(compiled, trust, URL, gateway.port, password="wrong")
    assert emulators.connections == ()
