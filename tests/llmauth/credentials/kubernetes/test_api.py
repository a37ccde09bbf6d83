"""The API of Kubernetes: what is asked, each refusal with its sentence, and each way of not answering."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmauth.addresses import HostPort
from llmauth.credentials.kubernetes.api import ApiServer, read_secret
from llmauth.outbound import Outbound, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.service import Call, Reply

USER = "system:serviceaccount:llmauth:proxy"


class Answering(KubernetesApi):
    """An API server that says whatever the test wants to hear."""

    says: Reply | None = None

    def answer(self, call: Call) -> Reply:
        return self.says or super().answer(call)


@pytest.fixture
def api() -> Iterator[Answering]:
    with Answering() as running:
        running.keep("llmauth", "openai", api_key="sk-1")
        running.allow(USER, "get", "secrets", "llmauth", "openai")
        yield running


@pytest.fixture
def server(api) -> ApiServer:
    token = api.token("llmauth", "proxy")
    return ApiServer(
        place=HostPort("127.0.0.1", api.port),
        namespace="llmauth",
        trust=Trust(ca_data=api.pem, roots=False, private=True),
        token=lambda: Secret(token),
        caller="the service account of this pod",
        origin="the Kubernetes API",
    )


def refused(server: ApiServer, name: str = "openai") -> str:
    with pytest.raises(SourceFailed) as caught:
        read_secret(server, name, Outbound())
    assert "canary" not in caught.value.reason
    return caught.value.reason


def test_a_secret(api, server) -> None:
    version = api.keep("llmauth", "openai", api_key="sk-1")
    kept = read_secret(server, "openai", Outbound())
    assert (kept.text("api_key"), kept.version) == ("sk-1", version)
    assert "sk-1" not in repr(kept)
    assert "c2stMQ" not in repr(kept)


def test_a_path_before_the_apis_own(api, server) -> None:
    refused(replace(server, path="/k8s/clusters/c-1"))
    assert api.calls[0].path == "/k8s/clusters/c-1/api/v1/namespaces/llmauth/secrets/openai"


def test_an_ipv6_address_stands_in_brackets(server) -> None:
    # Nothing listens there; that the URL could be read is what is asked.
    assert refused(replace(server, place=HostPort("::1", server.place.port))).startswith("::1 cannot be asked: Connec")


# Refusals


def test_a_token_that_ended(api, server) -> None:
    api.now = lambda: time.time() + 7200
    wanted = f"the Kubernetes API at {server.place} does not accept the service account of this pod (401 Unauthorized)"
    assert refused(server) == wanted
    assert len(api.calls) == 1  # the same token again would be refused again


def test_a_token_that_is_replaced_while_it_is_refused(api, server) -> None:
    old, new = api.token("llmauth", "proxy", life=-1), api.token("llmauth", "proxy")
    tokens = iter([Secret(old), Secret(new)])
    kept = read_secret(replace(server, token=lambda: next(tokens)), "openai", Outbound())
    assert kept.text("api_key") == "sk-1"
    assert [call.bearer for call in api.calls] == [old, new]


def test_a_third_time_is_not_asked(api, server) -> None:
    api.new_signing_key()
    stale = (Secret(f"stale-{number}") for number in range(9))
    assert "(401 Unauthorized)" in refused(replace(server, token=lambda: next(stale)))
    assert len(api.calls) == 2


def test_what_rbac_does_not_allow(api, server) -> None:
    assert refused(server, "other") == (
        f"the service account {USER} may not get secret other in namespace llmauth (403 Forbidden): bind to it a Role "
        "with verb get, resource secrets and resourceNames [other]"
    )


@pytest.mark.parametrize("name", ["canary-7f3a", "system:serviceaccount:a b:canary-7f3a", "system:node:canary-7f3a"])
def test_a_name_of_no_service_account_is_not_repeated(api, server, name) -> None:
    body = {"kind": "Status", "reason": "Forbidden", "message": f'User "{name}" cannot get resource "secrets"'}
    api.says = Reply(403, body)
    assert refused(server).startswith("the service account of this pod may not get secret openai")


def test_a_secret_that_is_not_there(api, server) -> None:
    api.remove("llmauth", "openai")
    wanted = f"there is no secret openai in namespace llmauth (404 NotFound), says the Kubernetes API at {server.place}"
    assert refused(server) == wanted


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(404, b"404 page not found\n"), "answered 404 to the question"),
        (Reply(403, b"<html>canary-7f3a"), "answered 403 to the question"),
        (Reply(409, {"kind": "Status", "reason": "Conflict"}), "answered 409 Conflict to"),
        (Reply(429, {"kind": "Status", "reason": "TooManyRequests"}), "answered 429 TooManyRequests to"),
        (Reply(503, {"kind": "Status", "reason": "canary-7f3a"}), "answered 503 to"),
        (Reply(503, {"kind": "Status", "reason": ["canary-7f3a"]}), "answered 503 to"),
        (Reply(302, b"", {"Location": "https://127.0.0.1/canary-7f3a"}), "answered 302 to"),
    ],
)
def test_other_answers(api, server, reply, told) -> None:
    api.says = reply
    assert told in refused(server)
    assert len(api.calls) == 1


# Answers that are none


def secret(**changed: Any) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "openai"}, "data": {"api_key": "c2stMQ=="}, **changed}


@pytest.mark.parametrize(
    "body",
    [
        secret(kind="ConfigMap"),
        secret(metadata={"name": "another"}),
        secret(metadata=None),
        secret(data=["canary-7f3a"]),
        [secret()],
        b"[" * 60_000,
        b"",
    ],
)
def test_what_is_no_secret(api, server, body) -> None:
    api.says = Reply(200, body)
    assert "answered with no Secret" in refused(server)


@pytest.mark.parametrize("value", ["c2stMQ", "c2 stMQ==", "/w=="])
def test_a_field_that_is_no_base64_of_text(api, server, value) -> None:
    api.says = Reply(200, secret(data={"api_key": value}))
    kept = read_secret(server, "openai", Outbound())
    with pytest.raises(SourceFailed, match="its field api_key is no text in UTF-8"):
        kept.text("api_key")


@pytest.mark.parametrize("version", [None, 7, "", "1\n2", "x" * 65, {"canary": 1}])
def test_a_version_that_could_not_be_repeated(api, server, version) -> None:
    api.says = Reply(200, secret(metadata={"name": "openai", "resourceVersion": version}))
    assert read_secret(server, "openai", Outbound()).version is None


def test_a_secret_of_the_largest_size(api, server) -> None:
    api.keep("llmauth", "openai", api_key="sk-1", more=b"x" * 1_000_000)
    assert read_secret(server, "openai", Outbound()).text("api_key") == "sk-1"


def test_an_answer_beyond_it(api, server) -> None:
    api.says = Reply(200, json.dumps(secret(data={"api_key": "A" * 3_000_000})).encode())
    assert refused(server) == "127.0.0.1 cannot be asked: HTTPException"


# Faults of the service


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("garbage", "answered with no Secret"),
        ("broken", "answered 500 to"),
        ("refuse", "may not get secret openai"),
        ("slow", "did not answer within"),
    ],
)
def test_faults(api, server, fault, told) -> None:
    api.fault = fault
    begun = time.monotonic()
    assert told in refused(server)
    assert time.monotonic() - begun < 4.5


def test_down_and_up_again(api, server) -> None:
    api.stop()
    assert refused(server) == "127.0.0.1 cannot be asked: ConnectionRefusedError"
    api.start()
    assert read_secret(server, "openai", Outbound()).text("api_key") == "sk-1"


def test_both_attempts_share_the_time(api, server) -> None:
    """A refusal that took its time leaves less for the second question."""
    answer = api.answer

    def slowly(call: Call) -> Reply:
        time.sleep(1.5)
        if len(api.calls) == 2:
            api._stopping.wait(30)
        return answer(call)

    api.answer = slowly
    tokens = iter([Secret("stale"), Secret("newer")])
    begun = time.monotonic()
    assert "did not answer within 2." in refused(replace(server, token=lambda: next(tokens)))
    assert time.monotonic() - begun < 4.5


# Whom it believes


def test_another_authority_is_not_believed(api, server) -> None:
    """Whoever stands at the address without the cluster's certificate gets no token."""
    with Answering() as other:
        trust = Trust(ca_data=other.pem, roots=False, private=True)
        assert "certificate of 127.0.0.1 could not be verified" in refused(replace(server, trust=trust))
    assert not api.calls


def bad_key(api: KubernetesApi) -> Trust:
    certificate, _ = api.certificate("a")
    _, other = api.certificate("b")
    return Trust(ca_data=api.pem, roots=False, certificate=certificate, key=Secret(other))


@pytest.mark.parametrize(
    "trust",
    [lambda api: Trust(ca_data="canary-7f3a", roots=False), lambda api: Trust(ca_data="", roots=False), bad_key],
)
def test_certificates_that_are_none(api, server, trust: Callable[[KubernetesApi], Trust]) -> None:
    assert refused(replace(server, trust=trust(api))) == (
        "the Kubernetes API: its certificates, or the key to one, cannot be used"
    )
