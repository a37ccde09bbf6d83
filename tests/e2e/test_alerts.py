"""Every alert fires on the condition that it names, and no other does: what gateways showed, judged by promtool."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.clock import SystemClock
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from llmauth.telemetry.metrics import Metrics, Observation
from tests.e2e.test_audit import no_room
from tests.fixtures.calls import CHAT, STREAM, call, get
from tests.fixtures.promtool import Scenario, judge, promtool, rules
from tests.fixtures.serving import Serving, free_port, start

OPENAI = "api.openai.com"
UNKNOWN_MODEL = json.dumps({"model": "gpt-unheard-of", "messages": [{"role": "user", "content": "hi"}]}).encode()
PRICES = {"gpt-4o": {"input": 1, "output": 1}}


def shows(gateway: Serving) -> str:
    """What Prometheus gets, once what has just ended is counted."""
    time.sleep(0.05)
    port = json.loads(gateway.config.read_text())["metrics"]["port"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


class Recorder:
    """What a gateway shows before and after something happens to it."""

    def __init__(self, folder: Path, emulators: Emulators, **sections: Any) -> None:
        self.emulators = emulators
        self.gateway = start(folder, emulators, metrics={"port": free_port()}, level="info", **sections)
        self.scenarios: dict[str, Scenario] = {}

    def record(self, name: str, *firing: str, again: bool = True) -> Callable[[Callable[[], object]], None]:
        """Decorates what happens, which happens at once."""

        def now(happens: Callable[[], object]) -> None:
            before = shows(self.gateway)
            happens()
            self.scenarios[name] = Scenario(before, shows(self.gateway), firing, again=again)

        return now

    def call(self, times: int = 1, body: bytes = CHAT) -> None:
        for _ in range(times):
            with contextlib.suppress(EOFError, ConnectionError):
                call(self.gateway, body)

    def knock(self, *headers: tuple[str, str]) -> None:
        for _ in range(90):
            get(self.gateway, "/transparent/openai/v1/models", *headers)


def of_a_service(folder: Path, emulators: Emulators) -> dict[str, Scenario]:
    """A gateway that begins well, and to which one thing after the other happens."""
    prices = folder / "prices.yaml"
    prices.write_text(json.dumps(PRICES))
    seen = Recorder(folder, emulators, prices=str(prices))
    seen.call(3)
    seen.record("nothing happens")(lambda: None)
    seen.record("all is well")(lambda: seen.call(20))

    @seen.record("a provider fails", "BedrockProxyHighErrorRate", "BedrockProxyProviderFails")
    def _() -> None:
        emulators.behave(OPENAI, Behaviour(status=503), times=None)
        seen.call(15)
        emulators.clear()

    @seen.record("answers break off", "BedrockProxyStreamsAborted")
    def _() -> None:
        emulators.behave(OPENAI, Behaviour(cut_after=200), times=None)
        seen.call(3, STREAM)
        emulators.clear()

    seen.record("somebody guesses", "BedrockProxyAuthFailures")(
        lambda: seen.knock(("X-API-Key", "llmauth_wrong_key")),
    )
    seen.record("callers without a key")(seen.knock)
    seen.record("a model without a price", "BedrockProxyUnpricedUsage", again=False)(
        lambda: seen.call(body=UNKNOWN_MODEL),
    )

    @seen.record("a credential is refused", "BedrockProxyCredentialRejected", again=False)
    def _() -> None:
        right, emulators.credentials = emulators.credentials, DemoCredentials.random()
        seen.call()
        emulators.credentials = right

    before = shows(seen.gateway)
    with no_room(seen.gateway):
        seen.call(2)
        firing = ("BedrockProxyAuditUnwritable", "BedrockProxyNotReady")
        seen.scenarios["nothing can be recorded"] = Scenario(before, shows(seen.gateway), firing, again=False)
    seen.gateway.stop()
    with pytest.raises(OSError, match="refused"):
        shows(seen.gateway)
    seen.scenarios["it is gone"] = Scenario(before, "", ["BedrockProxyDown"])
    return seen.scenarios


def of_its_surroundings(folder: Path, emulators: Emulators) -> dict[str, Scenario]:
    """A gateway whose limits are counted nowhere, of whose instances one has no credential, and the other loses one."""
    file = folder / "openai.key"
    file.write_text(DemoCredentials.random().openai_key)
    strategies = [{"type": "file", "path": str(file), "refresh_interval": "1h"}, {"type": "environment"}]
    instances = {
        "openai": {"type": "openai", "authentication": {"strategies": strategies}},
        "lonely": {"type": "anthropic", "authentication": {"strategies": [{"type": "environment"}]}},
    }
    seen = Recorder(
        folder,
        emulators,
        environ={"OPENAI_API_KEY": emulators.credentials.openai_key},
        instances=instances,
        storage={"limits_url": f"redis://127.0.0.1:{free_port()}/0"},
        policies={"default": {"rpm": 1000}},
    )
    ends = time.monotonic() + 5
    while 'health_check_status{check="limits"} 0' not in shows(seen.gateway) and time.monotonic() < ends:
        seen.call()
    lasting = ("BedrockProxyNoCredential", "BedrockProxyLimitsStoreDown")
    seen.record("one has no credential", *lasting)(lambda: None)

    @seen.record("another strategy stands in", *lasting, "BedrockProxyStrategyFailedOver", again=False)
    def _() -> None:
        file.unlink()
        seen.call()

    seen.gateway.stop()
    return seen.scenarios


def of_a_life() -> dict[str, Scenario]:
    """What takes months, hours or a fault of ours, as the metrics show it that every gateway has."""
    now = SystemClock().wall()

    def begun() -> Metrics:
        metrics = Metrics()
        for check in ("live", "ready", "keys", "audit", "limits"):
            metrics.health(check, True)
        metrics.authority_ends(now + 300 * 86_400)
        metrics.only(["openai"])
        metrics.credential("openai", "vault", now + 3600)
        metrics.renewal("openai", degraded=False, place=0)
        metrics.observe(one)
        return metrics

    def text(metrics: Metrics) -> str:
        return metrics.render()[0].decode()

    one = Observation(method="POST", status=200, seconds=1.0, instance="openai", provider="openai", overhead=0.001)
    conditions: dict[str, tuple[Callable[[Metrics], object], str]] = {
        "the authority ends": (lambda one: one.authority_ends(now + 20 * 86_400), "BedrockProxyCaExpiring"),
        "a file has a fault": (lambda one: one.config_reloaded(False), "BedrockProxyConfigReloadFailed"),
        "keys are not read": (lambda one: one.health("keys", False), "BedrockProxyKeysBehind"),
        "a renewal fails": (lambda one: one.renewal("openai", degraded=True, place=0), "BedrockProxyRenewalFails"),
        "an end is near": (lambda one: one.credential("openai", "vault", now + 90), "BedrockProxyCredentialExpiring"),
        "we are slow": (lambda ours: ours.observe(one._replace(overhead=0.2)), "BedrockProxyOverheadHigh"),
    }
    found = {"all is well with it": Scenario(text(begun()), text(begun()), ())}
    for name, (happens, alert) in conditions.items():
        metrics = begun()
        before = text(metrics)
        happens(metrics)
        found[name] = Scenario(before, text(metrics), [alert])
    mended = begun()
    mended.config_reloaded(False)
    failed = text(mended)
    mended.config_reloaded(True)
    found["the fault was mended"] = Scenario(failed, text(mended), ())
    return found


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scenario]]:
    promtool("--version")
    with Emulators(pace=0.0, tokens=12) as emulators:
        yield {
            **of_a_service(tmp_path_factory.mktemp("service"), emulators),
            **of_its_surroundings(tmp_path_factory.mktemp("surroundings"), emulators),
            **of_a_life(),
        }


def test_every_alert_fires_on_its_condition_and_no_other_does(scenarios: dict[str, Scenario], tmp_path: Path) -> None:
    outcome = judge(tmp_path, scenarios)
    assert outcome.returncode == 0, outcome.stdout.decode() + outcome.stderr.decode()
    assert {alert for one in scenarios.values() for alert in one.firing} == {rule["alert"] for rule in rules()}


def test_a_judge_that_finds_nothing_would_be_noticed(scenarios: dict[str, Scenario], tmp_path: Path) -> None:
    """Of what was recorded each alert is taken for quiet once, and that is found to be wrong."""
    silent = {
        name: Scenario(one.before, one.after, (), again=one.again) for name, one in scenarios.items() if one.firing
    }
    outcome = judge(tmp_path, silent)
    told = outcome.stdout.decode() + outcome.stderr.decode()
    assert outcome.returncode != 0
    assert [rule["alert"] for rule in rules() if rule["alert"] not in told] == []


def test_they_fire_also_where_prometheus_renames_our_label(scenarios: dict[str, Scenario], tmp_path: Path) -> None:
    """Without `honor_labels` our `instance` is `exported_instance`."""
    renamed = {
        name: Scenario(one.before, one.after, one.firing, again=one.again, honor_labels=False)
        for name, one in scenarios.items()
        if name in ("all is well", "answers break off", "another strategy stands in", "an end is near")
    }
    assert len(renamed) == 4
    outcome = judge(tmp_path, renamed)
    assert outcome.returncode == 0, outcome.stdout.decode() + outcome.stderr.decode()


def test_promtool_finds_nothing_in_what_a_busy_gateway_shows(scenarios: dict[str, Scenario]) -> None:
    outcome = promtool("check", "metrics", stdin=scenarios["a credential is refused"].after.encode())
    assert (outcome.returncode, outcome.stderr) == (0, b"")
