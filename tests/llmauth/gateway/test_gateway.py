"""The composition root, built from real settings and a state folder of its own."""

import asyncio
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from llmauth.ca import CaError
from llmauth.config.settings import read_settings
from llmauth.gateway import Gateway
from llmauth.http import Door, Headers, Request, Url
from llmauth.routers.auth import Pending
from llmauth.storage.home import StateUnsafe, StateUnusable
from tests.fixtures.serving import free_port

KEY = {"OPENAI_API_KEY": "sk-canary"}


@pytest.fixture
async def build(tmp_path):
    """A factory: a gateway of these sections, each state folder the same one; closed at the end."""
    made: list[Gateway] = []

    def _build(environ=None, **sections) -> Gateway:
        file = tmp_path / "c.yaml"
        file.write_text(json.dumps({"instances": {"openai": {"type": "openai"}}} | sections))
        environ = {"HOME": str(tmp_path), "LLMAUTH_HOME": str(tmp_path / "home"), **(environ or {})}
        made.append(Gateway(read_settings([file], environ), environ))
        return made[-1]

    yield _build
    for gateway in made:
        gateway.close()


async def until(holds: Callable[[], object]) -> None:
    ends = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


def metrics(port: int) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


# ---- readiness -----------------------------------------------------------------------------------------------------


async def test_ready_once_keys_are_read_and_one_instance_has_a_credential(build):
    instances = {"openai": {"type": "openai"}, "anthropic": {"type": "anthropic"}}
    gateway = build(KEY, instances=instances)
    before = gateway.readiness()
    assert (before.ready, before.instances["openai"].state) == (False, "pending")
    gateway.start()
    await until(lambda: gateway.readiness().ready)
    await until(lambda: gateway.readiness().instances["anthropic"].state == "failed")
    now = gateway.readiness()
    assert (now.ready, now.keys) == (True, "ok")
    assert (now.instances["openai"].state, now.instances["openai"].strategy) == ("ready", "environment")
    assert "canary" not in repr(now)


async def test_not_ready_without_a_credential(build):
    gateway = build()
    gateway.start()
    await until(lambda: gateway.readiness().instances["openai"].state == "failed")
    assert (gateway.readiness().ready, gateway.readiness().keys) == (False, "ok")


async def test_not_ready_without_instances(build):
    gateway = build(instances={})
    gateway.start()
    assert (gateway.readiness().ready, dict(gateway.readiness().instances)) == (False, {})


async def test_not_ready_before_keys_are_read(build):
    gateway = build(KEY)
    gateway.credential.prime()
    await until(lambda: gateway.readiness().instances["openai"].state == "ready")
    assert (gateway.readiness().ready, gateway.readiness().keys) == (False, "unreadable")


# ---- what it is made of --------------------------------------------------------------------------------------------


async def test_an_issued_key_is_known_after_start(build):
    gateway = build(KEY)
    _, key = gateway._keys.create("ci", None, (), None)
    gateway.start()
    request = Request(
        method="GET",
        url=Url("http", "127.0.0.1", 8080, "/transparent/openai/v1/models"),
        headers=Headers([(b"X-API-Key", key.reveal().encode())]),
        door=Door.GATEWAY,
    )
    answer = gateway.plan.auth.recall(request)
    identity, _ = await gateway.plan.auth.authenticate(answer) if isinstance(answer, Pending) else answer
    assert identity.user == "ci"


async def test_our_own_names(build):
    gateway = build(server={"gateway_hosts": ["LLM.internal."]})
    for host in ("llm.internal", "LLM.INTERNAL", "llm.internal.", "ＬＬＭ.internal"):
        assert gateway.plan.is_gateway_host(host), host
    for host in (
        "x.llm.internal",
        "internal",
        "llm.internal:80",
        "u@llm.internal",
        "",
        "llm%2einternal",
        "\r\n",
        "[::1",
    ):
        assert not gateway.plan.is_gateway_host(host), host


async def test_state_is_private(build, tmp_path):
    """R4."""
    build()
    home = tmp_path / "home"
    assert home.stat().st_mode & 0o777 == 0o700
    assert {file.name for file in home.iterdir()} >= {"ca", "keys.db"}
    wide = [file for file in home.rglob("*") if file.stat().st_mode & 0o077 and file.name != "ca.pem"]
    assert wide == []


# ---- the certificate authority -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "host"),
    [
        ({"server": {"gateway_hosts": ["llm.internal"]}}, "llm.internal"),
        ({"instances": {"o": {"type": "openai", "base_url": "https://llm.corp.example/v1"}}}, "llm.corp.example"),
    ],
)
async def test_a_host_that_the_authority_may_not_sign_is_no_start(build, sections, host):
    build()  # makes the authority, for the hosts of then
    with pytest.raises(CaError, match=rf"may not sign {host}.*`llmauth ca rotate`.*`llmauth ca export`"):
        build(**sections)


async def test_a_further_region_needs_no_new_authority(build):
    first = build()
    instances = {"b": {"type": "bedrock", "region": "eu-west-1"}, "e": {"type": "openai"}}
    assert build(instances=instances).authority.fingerprint() == first.authority.fingerprint()


@pytest.mark.parametrize(("create", "kubernetes"), [(False, False), ("auto", True)])
async def test_an_authority_is_only_made_where_it_may_be(build, tmp_path, create, kubernetes):
    with pytest.raises(CaError, match="may not make its own"):
        build({"KUBERNETES_SERVICE_HOST": "10.0.0.1"} if kubernetes else {}, ca={"create": create})
    assert not (tmp_path / "home" / "ca").exists()


# ---- state that cannot be used -------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_state_folder_open_to_others_is_no_start(build, tmp_path, elsewhere):
    """R4, also where neither keys nor authority are in it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o755)
    (tmp_path / "other").mkdir(mode=0o700)
    sections = {"storage": {"url": "sqlite:///other/keys.db"}, "ca": {"folder": "other/ca"}} if elsewhere else {}
    with pytest.raises(StateUnsafe, match=rf"chmod 700 {tmp_path}/home"):
        build(**sections)


async def test_a_key_store_that_is_none_is_no_start(build, tmp_path):
    (tmp_path / "home").mkdir(mode=0o700)
    store = tmp_path / "home" / "keys.db"
    store.write_bytes(b"garbage" * 1000)
    store.chmod(0o600)
    with pytest.raises(StateUnusable, match=r"keys\.db"):
        build()


# ---- life ----------------------------------------------------------------------------------------------------------


async def test_start_and_close_leave_no_thread_and_no_port(build):
    before = set(threading.enumerate())
    port = free_port()
    gateway = build(KEY, metrics={"port": port})
    gateway.start()
    await until(lambda: gateway.readiness().ready)
    assert metrics(port)
    running = {thread.name for thread in set(threading.enumerate()) - before}
    gateway.close()
    await until(lambda: not set(threading.enumerate()) - before)
    assert running
    with socket.create_server(("127.0.0.1", port)):  # nobody else holds it
        pass


async def test_closed_without_having_been_started(build):
    build(metrics={"port": free_port()})  # the fixture closes it


async def test_closing_ends_the_search_for_credentials(build):
    gateway = build()
    gateway.start()
    gateway.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_metrics_port_that_is_taken_is_an_os_error(build):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = build(metrics={"port": taken.getsockname()[1]})
        with pytest.raises(OSError, match="in use"):
            gateway.start()


# ---- metrics -------------------------------------------------------------------------------------------------------


async def test_the_metrics_port_shows_how_things_stand_now(build):
    port = free_port()
    gateway = build(KEY, metrics={"port": port})
    gateway.start()
    # The loop is held here, so that no credential can have come.
    assert 'health_check_status{check="ready"} 0.0' in metrics(port)
    await until(lambda: gateway.credential.status()["openai"].state == "ready")  # which sets no gauge
    text = metrics(port)
    assert 'health_check_status{check="ready"} 1.0' in text
    assert 'instance="openai",strategy="environment"} 1.0' in text
    assert "canary" not in text


async def test_aws_retrievals_are_counted_by_their_end(build, tmp_path: Path):
    good = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary/K7MDENG/bPxRfiCYEXAMPLEKEY"}
    secret = tmp_path / "broken"
    secret.write_bytes(b"\xff")
    strategies = {"strategies": [{"type": "file", "path": str(secret)}, {"type": "environment"}]}
    gateway = build(good, instances={"b": {"type": "bedrock", "authentication": strategies}})
    gateway.start()
    await until(lambda: gateway.readiness().ready)
    text = gateway.render_metrics()[0].decode()
    assert 'aws_credential_retrievals_total{instance="b",result="error"} 1.0' in text
    assert 'aws_credential_retrievals_total{instance="b",result="success"} 1.0' in text
    assert "canary" not in text
