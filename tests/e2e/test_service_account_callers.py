"""Pods as callers: projected tokens against a strict API server, in both ways, and what a mesh's sidecar forwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.emulators.kubernetes_api import KubernetesApi
from tests.fixtures.accounts import AUDIENCE, cluster
from tests.fixtures.calls import OPENAI, eventually
from tests.fixtures.kubernetes import Pod
from tests.fixtures.peers import SIDECAR, From
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, provider_environment, start

MODELS = "/transparent/openai/v1/models"
MESH = {"trusted_peers": [f"{SIDECAR}/32"]}
APP, WORKER = "spiffe://cluster.local/ns/team-a/sa/app", "spiffe://cluster.local/ns/team-b/sa/worker"
SLOTS = {
    "bearer": lambda token: ("Authorization", f"Bearer {token}"),
    "X-API-Key": lambda token: ("X-API-Key", token),
    "api-key": lambda token: ("api-key", token),
    "x-goog-api-key": lambda token: ("x-goog-api-key", token),
}


@dataclass(frozen=True)
class House:
    """A gateway in a pod of an emulated cluster, let in by environment variable: team-a/app, and all of team-b."""

    gateway: Serving
    api: KubernetesApi
    pod: Pod
    verify: str

    def token(self, namespace: str = "team-a", account: str = "app", audience: str = AUDIENCE, pod: str = "p") -> str:
        return self.api.token(namespace, account, audiences=[audience], pod=pod)

    def reviews(self) -> int:
        return len([call for call in self.api.calls if call.path.endswith("tokenreviews")])


@pytest.fixture(scope="module", params=["token_review", "jwks"])
def own_house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("pods")
    with cluster(time.time, folder) as (api, pod):
        method = {"type": "service_account", "verify": request.param, "mesh": MESH}
        method |= {"ca_file": str(pod.folder / "ca.crt"), "token_file": str(pod.folder / "token")}
        environ = {
            **provider_environment(shared_emulators),
            "ALLOWED_SERVICE_ACCOUNTS": "team-a/app, team-b/*",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(api.port),
        }
        sections: dict[str, Any] = {"auth": {"methods": ["api_key", method]}, "ca": {"create": True}}
        gateway = start(folder, shared_emulators, environ=environ, **sections)
        yield House(gateway, api, pod, request.param)
        gateway.stop()


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> House:
    return own_house


def ask(house: House, *fields: tuple[str, str], path: str = MODELS, peer: str = "127.0.0.1") -> Answer:
    with From(peer, house.gateway.port) as wire:
        return wire.request("GET", path, [("Host", "gateway"), *fields])


def whoami(house: House, *fields: tuple[str, str], peer: str = "127.0.0.1") -> dict[str, Any]:
    answer = ask(house, *fields, path="/auth/whoami", peer=peer)
    assert answer.status == 200, answer
    told: dict[str, Any] = json.loads(answer.body)
    return told


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def forwarded(value: str) -> tuple[str, str]:
    return "X-Forwarded-Client-Cert", value


# ---- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", SLOTS)
def test_a_projected_token_is_enough_in_every_place_of_a_key(house: House, emulators: Emulators, slot: str) -> None:
    token = house.token()
    assert [ask(house, SLOTS[slot](token)).status for _ in range(3)] == [200] * 3
    sent = emulators.requests()
    assert len(sent) == 3
    assert token not in repr(sent)
    assert emulators.credentials.openai_key in repr(sent)


def test_it_is_a_proxy_password(house: House, emulators: Emulators) -> None:
    token = house.token("team-b", "batch")
    with tunnel(house.gateway.port, OPENAI, token, house.gateway.ca_file) as wire:
        for _ in range(2):
            fields = [("Host", OPENAI), ("Authorization", "Bearer sk-placeholder")]
            assert wire.request("GET", "/v1/models", fields).status == 200
        other = bearer(house.token("team-a", "app"))
        assert wire.request("GET", "/v1/models", [("Host", OPENAI), other]).status == 403
    assert len(emulators.requests()) == 2
    assert "team-b/batch" in {line["user"] for line in house.gateway.lines("request") if "user" in line}


def test_whose_it_is(house: House) -> None:
    told = whoami(house, bearer(house.token()))
    assert (told["user"], told["method"]) == ("team-a/app", "service_account")
    assert told["groups"] == ["system:serviceaccounts", "system:serviceaccounts:team-a"]


def test_the_api_server_is_asked_once_about_a_token_or_never(house: House) -> None:
    token, before = house.token(), house.reviews()
    assert [ask(house, bearer(token)).status for _ in range(5)] == [200] * 5
    assert house.reviews() - before == (1 if house.verify == "token_review" else 0)


@pytest.mark.parametrize(
    ("namespace", "account", "audience"),
    [
        *(("team-a", "other", AUDIENCE), ("team-c", "app", AUDIENCE), ("team-bb", "app", AUDIENCE)),
        *(("team-a", "app", "vault"), ("team-a", "app", "https://kubernetes.default.svc.cluster.local")),
        *(("llmauth", "proxy", AUDIENCE), ("kube-system", "default", AUDIENCE)),
    ],
)
def test_others_are_refused_at_every_door(
    house: House, emulators: Emulators, namespace: str, account: str, audience: str
) -> None:
    token = house.token(namespace, account, audience)
    assert ask(house, bearer(token)).status == 401
    assert ask(house, bearer(token), ("X-API-Key", house.gateway.key())).status in (401, 403)
    with Wire(house.gateway.port) as wire:
        assert wire.connect(f"{OPENAI}:443", token).status == 407
    assert emulators.requests() == ()


def test_the_gateway_s_own_token_opens_nothing(house: House, emulators: Emulators) -> None:
    """Whoever reads a file of the pod must not become its caller."""
    assert ask(house, bearer((house.pod.folder / "token").read_text())).status == 401
    assert emulators.requests() == ()


def test_a_pod_and_an_account_that_are_gone(house: House) -> None:
    bound, token = house.token(pod="gone"), house.token("team-b", "leaver")
    house.api.delete_pod("gone")
    house.api.delete_account("team-b", "leaver")
    # Offline, only the end of a token tells: that is the price of asking nobody.
    wanted = 401 if house.verify == "token_review" else 200
    assert [ask(house, bearer(one)).status for one in (bound, token)] == [wanted] * 2


def test_while_the_api_server_is_down(house: House) -> None:
    known, new = house.token(), house.token("team-b", "new")
    assert ask(house, bearer(known)).status == 200
    house.api.stop()
    try:
        assert ask(house, bearer(known)).status == 200
        answer = ask(house, bearer(new))
        assert answer.status == (503 if house.verify == "token_review" else 200)
        assert answer.status == 200 or answer.values("retry-after")
        assert ask(house, ("X-API-Key", house.gateway.key())).status == 200
        assert ask(house, path="/ready").status == answer.status
    finally:
        house.api.start()
    eventually(lambda: ask(house, path="/ready").status == 200, timeout=8.0)
    assert ask(house, bearer(new)).status == 200


def test_no_log_holds_a_token(house: House) -> None:
    token = house.token()
    assert ask(house, bearer(token)).status == 200
    assert ask(house, bearer(token[:-4] + "AAAA")).status == 401
    log = house.gateway.log()
    assert token.split(".")[1] not in log
    assert (house.pod.folder / "token").read_text().split(".")[1] not in log


# ---- the mesh ------------------------------------------------------------------------------------------------------


def test_what_the_sidecar_forwards_is_the_identity(house: House, emulators: Emulators) -> None:
    told = f'By=spiffe://cluster.local/ns/llmauth/sa/proxy;Hash=0a1b;Subject="";URI={APP}'
    assert whoami(house, forwarded(told), peer=SIDECAR)["user"] == "team-a/app"
    answer = ask(house, forwarded(told), bearer("sk-placeholder"), peer=SIDECAR)
    assert answer.status == 200
    (sent,) = emulators.requests()
    assert b"spiffe" not in sent.head
    assert b"client-cert" not in sent.head.lower()


def test_it_is_that_of_one_request(house: House, emulators: Emulators) -> None:
    """A sidecar sends the requests of many over one connection."""
    users, fields = [], [forwarded(f"URI={APP}"), None, forwarded(f"URI={WORKER}"), forwarded("Hash=1"), None]
    with From(SIDECAR, house.gateway.port) as wire:
        for field in fields:
            head = [("Host", "gateway"), *([field] if field else [])]
            answer = wire.request("GET", "/auth/whoami", head)
            users.append(json.loads(answer.body).get("user") if answer.status == 200 else answer.status)
            if answer.header("connection") == "close":
                break
    assert users[:2] == ["team-a/app", 401]
    with From(SIDECAR, house.gateway.port) as wire:
        for uri, user in ((APP, "team-a/app"), (WORKER, "team-b/worker"), (APP, "team-a/app")):
            answer = wire.request("GET", "/auth/whoami", [("Host", "gateway"), forwarded(f"URI={uri}")])
            assert json.loads(answer.body)["user"] == user
    assert emulators.requests() == ()


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.5", "127.0.0.7", "127.1.0.6"])
def test_nobody_else_is_believed(house: House, emulators: Emulators, peer: str) -> None:
    """A spoofed header is a 401."""
    more = [("X-Forwarded-For", SIDECAR), ("X-Real-IP", SIDECAR), ("Forwarded", f"for={SIDECAR}")]
    for fields in ([], more):
        assert ask(house, forwarded(f"URI={APP}"), *fields, peer=peer).status == 401
    assert ask(house, forwarded(f"URI={APP}"), ("X-API-Key", house.gateway.key()), peer=peer).status == 200
    assert len(emulators.requests()) == 1


def test_what_the_client_sends_itself_must_agree(house: House, emulators: Emulators) -> None:
    for account, status in (("app", 200), ("other", 401)):
        fields = [forwarded(f"URI={APP}"), bearer(house.token("team-a", account))]
        assert ask(house, *fields, peer=SIDECAR).status == status
    other = bearer(house.token("team-b", "worker"))
    assert ask(house, forwarded(f"URI={APP}"), other, peer=SIDECAR).status == 403
    assert len(emulators.requests()) == 1


def test_a_connect_proves_nothing_by_it(house: House, emulators: Emulators) -> None:
    with From(SIDECAR, house.gateway.port) as wire:
        fields = [("Host", f"{OPENAI}:443"), forwarded(f"URI={APP}")]
        assert wire.request("CONNECT", f"{OPENAI}:443", fields).status == 200  # as to anybody, and as nobody
        wire.start_tls(OPENAI, house.gateway.ca_file)
        assert wire.request("GET", "/v1/models", [("Host", OPENAI)]).status == 401
    assert emulators.requests() == ()


def test_a_wrong_list_of_accounts_in_the_environment_is_told(
    shared_emulators: Emulators, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environ = {**provider_environment(shared_emulators), "ALLOWED_SERVICE_ACCOUNTS": "*/*"}
    folder = tmp_path_factory.mktemp("wrong")
    methods = [{"type": "service_account"}]
    gateway = start(folder, shared_emulators, environ=environ, auth={"methods": methods}, wait=False)
    assert gateway.process.wait(20) == 2
    assert "ALLOWED_SERVICE_ACCOUNTS" in gateway.log()
    assert "NAMESPACE/NAME" in gateway.log()
