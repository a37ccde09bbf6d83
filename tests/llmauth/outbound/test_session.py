"""Vendors' libraries ask over our way: their own environment, redirects and retries decide nothing."""

from __future__ import annotations

import time

import pytest
import requests

from llmauth.outbound import METADATA, Outbound
from llmauth.outbound.session import session_over
from llmauth.sources import SourceFailed
from tests.emulators.service import Call, Reply, Service, dead_port


class Echo(Service):
    def answer(self, call: Call) -> Reply:
        if call.path == "/moved":
            return Reply(302, b"", {"Location": f"{self.url}/elsewhere", "Set-Cookie": "a=b"})
        return Reply(200, {"method": call.method, "headers": dict(call.headers), "body": call.body.decode()})


@pytest.fixture
def service():
    with Echo() as echo:
        yield echo


@pytest.fixture
def session(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    return session_over(Outbound(trust=METADATA, time_limit=1.0))


def test_a_request_of_a_library_arrives_as_it_was_made(service, session) -> None:
    answer = session.post(f"{service.url}/a?b=c", json={"x": 1}, headers={"X-Vault-Token": "t"})
    told = answer.json()
    assert (answer.status_code, told["method"], told["body"]) == (200, "POST", '{"x": 1}')
    assert told["headers"]["x-vault-token"] == "t"
    assert told["headers"]["content-length"] == "8"
    assert "accept-encoding" not in told["headers"]  # nothing is unpacked here
    assert answer.url.endswith("/a?b=c")
    assert service.calls[0].target == "/a?b=c"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_redirect_is_an_answer_and_not_followed(service, session, allowed) -> None:
    assert session.get(f"{service.url}/moved", allow_redirects=allowed).status_code == 302
    assert [call.path for call in service.calls] == ["/moved"]
    assert "cookie" not in session.get(f"{service.url}/after").json()["headers"]


def test_what_keeps_it_is_told_in_our_words(session) -> None:
    with dead_port() as port, pytest.raises(requests.ConnectionError, match=r"127\.0\.0\.1 cannot be asked") as told:
        session.get(f"http://127.0.0.1:{port}/canary-7f3a")
    assert "canary" not in str(told.value)


def test_a_library_that_wants_to_wait_longer_does_not(service, session) -> None:
    service.fault = "slow"
    began = time.monotonic()
    with pytest.raises(requests.ConnectionError, match="did not answer within 1 s"):
        session.get(f"{service.url}/", timeout=300)
    assert time.monotonic() - began < 3


def test_a_body_that_is_read_as_it_goes_is_refused(session) -> None:
    with pytest.raises(requests.ConnectionError, match="would have sent a stream"):
        session.post("http://127.0.0.1:1/", data=iter([b"a"]))


def test_where_clear_text_is_not_allowed_no_library_sends_any() -> None:
    with pytest.raises(requests.ConnectionError, match="in clear text"):
        session_over(Outbound()).get("http://127.0.0.1:1/")
    with pytest.raises(SourceFailed):
        Outbound().ask("GET", "ftp://127.0.0.1/")
