"""A credential that ends under load costs one fetch, and a source that hangs costs the clients of others nothing."""

from __future__ import annotations

import json
import selectors
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmauth.demo.emulators import Emulators
from tests.emulators.container_credentials import ContainerCredentials
from tests.emulators.service import Call, Reply
from tests.emulators.vault import VaultEmulator
from tests.fixtures.calls import JSON, call, eventually, get
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving

WAITING = 1000
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
PATH = "/transparent/bedrock_us1/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
NOBODY = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "HOME": "/nonexistent"}
IDENTITY = {"type": "workload_identity", "provider": "aws"}
BEDROCK = {"type": "bedrock", "region": "us-east-1"}
Serve = Callable[..., Serving]


class Agent(ContainerCredentials):
    """An agent that keeps those who ask waiting while it is shut."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.opened = threading.Event()
        self.opened.set()

    def answer(self, call: Call) -> Reply:
        self.opened.wait(10)
        return super().answer(call)

    def give(self, providers: Emulators, *, life: float) -> None:
        """Give other keys from now on, of this life; Bedrock takes these and no others."""
        self.rotate()
        self.life = life
        number = self.generation
        take(providers, self.access_key_id, f"canary-secret-{number}", f"canary-token-{number}")

    @property
    def environ(self) -> dict[str, str]:
        """What leads to it."""
        place, token = self.url + self.path, str(self.token)
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": place, "AWS_CONTAINER_AUTHORIZATION_TOKEN": token}


def take(providers: Emulators, key_id: str, secret: str, token: str) -> None:
    """The keys that Bedrock takes from now on."""
    providers.credentials = replace(
        providers.credentials, aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=token
    )


def request(gateway: Serving) -> bytes:
    fields = [("Host", "gateway"), ("X-API-Key", gateway.key()), JSON, ("Content-Length", str(len(CONVERSE)))]
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode() + CONVERSE


def ask(gateway: Serving, timeout: float = 15.0) -> Answer:
    with Wire(gateway.port, timeout=timeout) as wire:
        return wire.send(request(gateway)).answer()


def _answered(wires: Sequence[Wire]) -> int:
    with selectors.DefaultSelector() as selector:
        for wire in wires:
            selector.register(wire.sock, selectors.EVENT_READ)
        return len(selector.select(0))


def test_a_thousand_requests_that_wait_at_an_expiry_cause_one_fetch(serve: Serve, providers: Emulators) -> None:
    with Agent() as agent:
        agent.give(providers, life=3600)
        gateway = serve(
            emulators=providers,
            environ={**NOBODY, **agent.environ},
            instances={"bedrock_us1": {**BEDROCK, "authentication": {"strategies": [IDENTITY]}}},
            limits={"unproved_connections": 2 * WAITING, "unproved_per_source": 2 * WAITING},
            level="info",
        )
        whole = request(gateway)
        wires = [Wire(gateway.port, timeout=20).send(whole[:-1]) for _ in range(WAITING)]
        agent.give(providers, life=4)
        assert ask(gateway).status == 200  # what was held is refused; what is held now ends soon
        ended = agent.ends
        agent.opened.clear()
        providers.clear()
        eventually(lambda: time.time() > ended)
        assert len(agent.calls) == 3  # the renewal, which began before the end
        early: list[int] = []

        def release() -> None:
            early.extend((_answered(wires), len(providers.requests())))
            agent.give(providers, life=3600)
            agent.opened.set()

        threading.Timer(1.2, release).start()
        for wire in wires:
            wire.send(whole[-1:])
        answers = [wire.answer().status for wire in wires]
        for wire in wires:
            wire.close()
        assert early == [0, 0]  # nothing was said, and nothing left, before there was a credential
        assert answers == [200] * WAITING
        assert len(agent.calls) == 3
        assert len(providers.requests()) == WAITING
        assert sum(line["overhead_ms"] > 100 for line in gateway.lines("request")) > WAITING / 2


HANGING = {"type": "vault", "backend": "hashicorp", "path": "aws/sts/bedrock-role"}


def beside_a_vault(serve: Serve, providers: Emulators, vault: VaultEmulator, folder: Path) -> Serving:
    """Three instances whose keys are lent by this vault, and one that has a key of its own."""
    ca_file = str(vault.write_ca(folder))
    environ = {"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token(), "VAULT_CACERT": ca_file}
    lent = {"authentication": {"strategies": [HANGING]}}
    return serve(
        emulators=providers,
        environ={**NOBODY, **environ, "OPENAI_API_KEY": providers.credentials.openai_key},
        instances={
            "bedrock_us1": {**BEDROCK, **lent},
            "bedrock_us2": {**BEDROCK, **lent},
            "bedrock_eu1": {"type": "bedrock", "region": "eu-west-1", **lent},
            "openai": {"type": "openai"},
        },
    )


def lend(vault: VaultEmulator, providers: Emulators, *, life: float) -> None:
    """From now on, lend the keys that Bedrock takes, for so long."""
    vault.sts("bedrock-role", ttl=life)
    engine, good = vault.engines["aws/sts/bedrock-role"], providers.credentials
    keys = {"access_key": good.aws_access_key_id, "secret_key": good.aws_secret_access_key}
    vault.engines["aws/sts/bedrock-role"] = replace(
        engine, make=lambda: {**keys, "security_token": good.aws_session_token}
    )


def state(gateway: Serving, instance: str) -> str:
    told: str = json.loads(get(gateway, "/ready").body)["instances"][instance]["status"]
    return told


def twenty_calls(gateway: Serving, pause: float = 0.0) -> list[float]:
    """The seconds that each took, in order of their length."""
    return sorted(_call(gateway, pause) for _ in range(20))


def _call(gateway: Serving, pause: float) -> float:
    time.sleep(pause)
    began = time.monotonic()
    assert call(gateway).status == 200
    return time.monotonic() - began


def test_a_source_that_hangs_costs_the_clients_of_others_nothing(
    serve: Serve, providers: Emulators, tmp_path: Path
) -> None:
    """From the end of its credentials until it answers again, with eight clients that wait for them."""
    with VaultEmulator() as vault:
        lend(vault, providers, life=3)
        gateway = beside_a_vault(serve, providers, vault, tmp_path)
        eventually(lambda: get(gateway, "/ready").status == 200)
        before = twenty_calls(gateway)
        vault.fault = "slow"
        with ThreadPoolExecutor(8) as clients:
            waiting = list(_asking_until_the_end(gateway, clients))
            during = twenty_calls(gateway, pause=0.25)  # so that they meet all that becomes of a load
            assert during[18] < 0.25, f"{during[18]:.3f} s, and {before[18]:.3f} s without the outage"
            assert during[19] < 1.0, f"one took {during[19]:.3f} s"
            lend(vault, providers, life=3600)
            vault.fault = None
            eventually(lambda: ask(gateway).status == 200, timeout=15)
        assert {one.result().status for one in waiting} <= {200, 500}


def _asking_until_the_end(gateway: Serving, clients: ThreadPoolExecutor) -> Iterator[Future[Answer]]:
    """Requests that have it renewed while it is still good, and eight that wait when it no longer is."""
    while state(gateway, "bedrock_us1") == "ready":
        yield clients.submit(ask, gateway)
        time.sleep(0.1)
    yield from (clients.submit(ask, gateway) for _ in range(8))


def test_a_start_beside_a_source_that_hangs(serve: Serve, providers: Emulators, tmp_path: Path) -> None:
    with VaultEmulator() as vault:
        vault.fault = "slow"
        gateway = beside_a_vault(serve, providers, vault, tmp_path)
        eventually(lambda: get(gateway, "/ready").status == 200, timeout=3.0)
        assert call(gateway).status == 200
        assert state(gateway, "bedrock_us1") == "pending"  # so nobody waited for it: it would have failed by then
