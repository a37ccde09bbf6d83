"""`llmauth creds`: of a proxy that runs, of none, of another platform, and a rehearsal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmauth.cli import creds as module
from llmauth.cli import main
from llmauth.control.client import ControlFailed

CONFIG = """
instances:
  one:
    type: openai
    authentication:
      strategies: [{type: vault, backend: hashicorp, path: secret/data/x}, {type: environment, variable: A_KEY}]
"""
RUNNING = {
    "process": 4711,
    "platform": {"name": "aks", "features": ["azure_workload_identity"], "signals": [], "forced": False},
    "instances": {
        "one": {
            "state": "ready",
            "strategy": "environment",
            "source": "environment variable A_KEY [sic]",
            "expires_in": 3912,
            "loaded_ago": 61,
            "degraded": True,
            "last_error": {"strategy": "vault (hashicorp)", "reason": "sealed", "ago": 100_000},
            "strategies": [
                {"strategy": "vault (hashicorp)", "standing": "not_used", "reason": "the vault is sealed"},
                {"strategy": "environment", "standing": "active", "reason": None},
            ],
        }
    },
}
Asked = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    Path("c.yaml").write_text(CONFIG)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[dict[str, Any]]], Asked]:
    """A factory: proxies that give these answers."""

    def start(answers: Sequence[dict[str, Any]]) -> Asked:
        asked: Asked = []

        def ask_all(home: Path, question: dict[str, Any]) -> list[dict[str, Any]]:
            asked.append(question)
            return list(answers)

        monkeypatch.setattr(module, "ask_all", ask_all)
        return asked

    return start


def test_a_proxy_that_runs_is_asked(running, capsys) -> None:
    asked = running([RUNNING])
    assert main(["creds"]) == 0
    out = capsys.readouterr().out
    assert asked == [{"ask": "credentials"}]
    assert "Process 4711. Platform: aks. Features: azure_workload_identity" in out
    assert "ends in 1h 05m; from environment variable A_KEY [sic]; fetched 1m 01s ago; its renewal fails" in out
    assert "the vault is sealed" in out
    assert "vault (hashicorp), 1d 3h ago: sealed" in out


def test_each_of_several_workers_is_shown_by_its_number(running, capsys) -> None:
    running([{**RUNNING, "worker": 1}, {**RUNNING, "process": 4712, "worker": 2}])
    assert main(["creds"]) == 0
    out = capsys.readouterr().out
    assert "Process 4711 (worker 1). Platform: aks." in out
    assert "Process 4712 (worker 2). Platform: aks." in out


def test_the_same_for_scripts(running, capsys) -> None:
    running([RUNNING])
    assert main(["creds", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"platform": RUNNING["platform"], "instances": RUNNING["instances"], "processes": [RUNNING]}


def test_where_none_runs_the_sources_of_the_configuration_are_asked(capsys, monkeypatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-canary-7f3a")
    assert main(["creds", "--config", "c.yaml", "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    one = told["instances"]["one"]
    (process,) = told["processes"]
    assert (process["process"], one["state"], one["strategy"]) == (None, "ready", "environment")
    assert one["strategies"][0]["standing"] == "not_used"
    assert "VAULT_ADDR" in one["strategies"][0]["reason"]
    assert "canary" not in captured.out + captured.err


def test_whether_one_runs_or_not_the_sources_can_be_asked_anew(running, capsys) -> None:
    asked = running([RUNNING])
    assert main(["creds", "--config", "c.yaml", "--anew", "--json"]) == 0
    assert asked == []
    assert json.loads(capsys.readouterr().out)["instances"]["one"]["state"] == "failed"


def test_and_read_as_a_table(capsys) -> None:
    assert main(["creds", "--config", "c.yaml"]) == 0
    captured = capsys.readouterr()
    assert "Every source was asked just now; no running proxy was." in captured.err
    assert "the environment variable A_KEY is not set" in captured.out


@pytest.mark.parametrize("platform", ["eks", "aks", "gke", "oke", "laptop"])
def test_another_platform_is_simulated(capsys, monkeypatch, platform: str) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://vault.corp:8200")
    assert main(["creds", "--config", "c.yaml", "--simulate", platform, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["simulated"] == platform
    assert told["platform"]["name"] == ("generic" if platform == "laptop" else platform)
    assert told["instances"]["one"]["strategies"][1]["reason"] == "the environment variable A_KEY is not set"
    assert main(["creds", "--config", "c.yaml", "--simulate", platform]) == 0
    assert f"Simulated: {platform}. Platform: {told['platform']['name']}" in capsys.readouterr().out


def test_an_expiry_is_rehearsed(running, capsys) -> None:
    standby = [{"strategy": "vault (hashicorp)", "reason": "sealed"}, {"strategy": "file", "reason": None}]
    told = {"instance": "one", "before": "environment", "after": "environment", "took": 0.5, "expires_in": 60}
    asked = running([{**told, "standby": standby}])
    assert main(["creds", "--drill", "expire", "one"]) == 0
    assert asked == [{"ask": "expire", "instance": "one"}]
    assert capsys.readouterr().out.splitlines() == [
        "one: the credential of environment was taken to have ended.",
        "✅ environment gave another one after 0.50 s, which ends in 1m 00s.",
        "   vault (hashicorp) would not: sealed",
        "   file would have given one",
    ]


def test_a_rehearsal_that_fails_is_a_failure(running, capsys) -> None:
    running([{"instance": "one", "before": "file", "after": None, "took": 10.0, "expires_in": None, "standby": []}])
    assert main(["creds", "--drill", "expire", "one"]) == 1
    assert "The old credential is still good, and in use again." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--simulate", "mars"], 2, "no platform is called 'mars' here"),
        (["--drill", "explode", "one"], 2, "--drill expire INSTANCE"),
        (["--drill", "expire", "one"], 1, "No proxy runs on this state folder"),
        (["--drill", "expire", "one", "--simulate", "eks"], 2, "has no proxy whose expiry"),
        (["--config", "missing.yaml"], 2, "missing.yaml"),
    ],
)
def test_wrong_use_is_told(capsys, arguments: list[str], code: int, sentence: str) -> None:
    assert main(["creds", *arguments]) == code
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_proxy_that_does_not_answer_is_told(capsys, monkeypatch) -> None:
    def refuses(*_: object) -> list[dict[str, Any]]:
        raise ControlFailed("The proxy of process 7 did not answer.")

    monkeypatch.setattr(module, "ask_all", refuses)
    assert main(["creds"]) == 1
    assert capsys.readouterr().err == "The proxy of process 7 did not answer.\n"
