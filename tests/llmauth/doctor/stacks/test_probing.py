"""What a client does wrong is told apart by what it did at the door, with programs that do each of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmauth.clients.served import ServedProxy
from llmauth.demo.emulators import Emulators
from llmauth.doctor.findings import Finding
from llmauth.doctor.stacks.probing import Proxied, probed
from llmauth.doctor.stacks.stack import Program, Stack
from llmauth.secrets import Secret
from tests.fixtures.master import run

HOST = "api.openai.com"
URL = f"https://{HOST}/.well-known/llmauth"
WORKS = f"import urllib.request as u; print(u.urlopen({URL!r}).read().decode())"
DISTRUSTS = f"import ssl, urllib.request as u; u.urlopen({URL!r}, context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))"
# As a client that reads the place of the proxy, and not the user before it.
NO_USER = f"""
import http.client as h, os, urllib.parse as p
proxy = p.urlsplit(os.environ["HTTPS_PROXY"])
c = h.HTTPSConnection(proxy.hostname, proxy.port)
c.set_tunnel({HOST!r}, 443)
c.request("GET", "/.well-known/llmauth")
print(c.getresponse().status)
"""
WRONG_USER = NO_USER.replace("443)", "443, {'Proxy-Authorization': 'Basic ' + 'eDpsbG1hdXRoX2FhYWFhYWFhX2JiYg=='})")
# Comes to the door, and no further.
CONNECT = """
import http.client as h, os, urllib.parse as p
proxy = p.urlsplit(os.environ["HTTPS_PROXY"])
h.HTTPConnection(proxy.hostname, proxy.port).connect()
"""
CHATTY = CONNECT + "raise SystemExit('it broke with ' + os.environ['LLMAUTH_KEY'] + chr(27) + '[31m')"


Probe = Callable[[str], Finding]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with Emulators(pace=0.001, tokens=4) as emulators:
        running = run(tmp_path_factory.mktemp("probing"), emulators)
        yield Proxied(
            host="127.0.0.1",
            port=running.port,
            target=HOST,
            authority_pem=running.ca_file.read_text(),
            credential=Secret(running.key),
            served=ServedProxy(url="http://127.0.0.1"),
        )
        running.stop()
        assert emulators.requests() == ()


@pytest.fixture
def probe(proxied: Proxied, tmp_path: Path) -> Probe:
    def run_it(code: str) -> Finding:
        def program(_: object) -> Program:
            return Program(command=[sys.executable, "-S", "-c", code], answer="llm-proxy-auth")

        stack = Stack(name="probe", program=program, limit=4.0)
        return probed(stack, proxied, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})

    return run_it


def test_a_client_that_does_all_of_it_works(probe: Probe) -> None:
    found = probe(WORKS)
    assert (found.verdict, found.what) == ("ok", "probe")


def test_one_that_ignores_the_proxy_is_told_by_its_absence(probe: Probe) -> None:
    found = probe("raise SystemExit('getaddrinfo ENOTFOUND api.openai.com')")
    assert (found.verdict, found.what) == ("fail", "probe: ignores HTTPS_PROXY")
    assert found.fix == "HTTPS_PROXY, as it is set by: llmauth run -- YOUR COMMAND"


def test_one_that_prints_the_right_answer_without_asking_is_not_believed(probe: Probe) -> None:
    assert probe('print(\'{"service": "llm-proxy-auth"}\')').what == "probe: ignores HTTPS_PROXY"


def test_one_that_does_not_trust_the_ca_is_told_the_variable(probe: Probe) -> None:
    found = probe(DISTRUSTS)
    assert (found.verdict, found.what) == ("fail", "probe: does not trust the CA")
    assert "SSL_CERT_FILE" in (found.fix or "")


@pytest.mark.parametrize("code", [NO_USER, WRONG_USER], ids=["without", "wrong"])
def test_one_that_lost_its_credential_is_told(probe: Probe, code: str) -> None:
    assert probe(code).what == "probe: lost the credential"


def test_what_a_client_says_is_shown_without_secrets_and_without_orders_to_a_terminal(
    probe: Probe, proxied: Proxied
) -> None:
    assert proxied.credential is not None
    found = probe(CHATTY)
    assert "it broke with ********" in found.what
    assert proxied.credential.reveal() not in str(found)
    assert "\x1b" not in found.what


def test_one_that_hangs_is_ended_with_all_that_it_started(proxied: Proxied, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(mark)!r}).touch()"
    code = CONNECT + f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}])\n"
    stack = Stack(
        name="probe",
        program=lambda _: Program(command=[sys.executable, "-S", "-c", code + "time.sleep(30)"]),
        limit=0.8,
    )
    found = probed(stack, proxied, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert found.what == "probe: no answer within 0.8 s"
    import time

    time.sleep(1.0)
    assert not mark.exists()


def test_no_key_of_the_user_is_in_a_clients_reach(proxied: Proxied, tmp_path: Path) -> None:
    """A client that misses the proxy would show it to a host that the probe has chosen."""
    mine = {
        "OPENAI_API_KEY": "sk-canary-1",
        "ANTHROPIC_AUTH_TOKEN": "canary-2",
        "AWS_SECRET_ACCESS_KEY": "canary-3",
        "AZURE_OPENAI_API_KEY": "canary-4",
        "ANTHROPIC_CUSTOM_HEADERS": "X-Api-Key: canary-5",
        "WATSONX_APIKEY": "canary-6",
    }
    code = "import os; raise SystemExit(' '.join(v for v in os.environ.values() if 'canary' in v) or 'none of them')"
    stack = Stack(name="probe", program=lambda _: Program(command=[sys.executable, "-S", "-c", CONNECT + code]))
    found = probed(stack, proxied, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **mine})
    assert found.what == "probe: none of them"
