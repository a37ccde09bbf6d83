"""`llmauth config check`."""

import json
from pathlib import Path

import pytest

from llmauth.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch, tmp_path):
    from llmauth.config import environment

    names = (*environment.VARIABLES, *environment.LATER_VARIABLES)
    for name in (*names, "AWS_REGION", "TLS_ENABLED", "LLMAUTH_CONFIG", "PROVIDER_INSTANCES_CONFIG", "GIN_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("names", [["gateway"], ["provider-instances"], ["gateway", "provider-instances"]])
def test_the_shipped_files_are_well(capsys, names):
    assert main(["config", "check", *(str(ROOT / f"configs/{name}.yaml") for name in names)]) == 0
    captured = capsys.readouterr()
    assert "all is well. Instances: " in captured.out
    assert captured.err == ""


def test_every_fault_is_named_and_the_code_is_2(capsys):
    Path("f.yaml").write_text("server:\n  prot: 1\nlog: {level: x}\n")
    assert main(["config", "check", "f.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "f.yaml:2: server.prot: unknown key, did you mean 'port'?",
        "f.yaml:3: log.level: found 'x', wanted 'debug', 'info', 'warn', 'warning' or 'error'",
    ]


def test_files_are_read_together(capsys):
    Path("a.yaml").write_text("server: {port: 1}\n")
    Path("b.yaml").write_text("server: {port: 2}\n")
    assert main(["config", "check", "a.yaml", "b.yaml"]) == 2
    assert "set here and at a.yaml:1" in capsys.readouterr().err


def test_what_has_no_effect_and_what_is_open_is_told(capsys, monkeypatch):
    monkeypatch.setenv("RATE_LIMIT_ENABLED", "false")
    Path("f.yaml").write_text("auth: {session_duration: 1h}\n")
    assert main(["config", "check", "f.yaml"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "f.yaml: all is well. Instances: none\n"
    assert "Warning: Limits are off" in captured.err
    assert "Warning: No instance is configured" in captured.err


def test_json_for_scripts(capsys):
    Path("f.yaml").write_text("instances: {o: {type: openai}}\n")
    assert main(["config", "check", "--json", "f.yaml"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "files": ["f.yaml"],
        "instances": {"o": "openai"},
        "unavailable": [],
        "warnings": [],
    }
    Path("f.yaml").write_text("\nx: 1\n")
    assert main(["config", "check", "--json", "f.yaml"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["file"], problem["line"], problem["path"]) == ("f.yaml", 2, "x")


@pytest.mark.parametrize("words", [["reload"], ["log-level"], ["log-level", "debug", "--for", "10m"]])
def test_where_no_proxy_runs_nothing_can_be_asked(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path))
    assert main(["config", *words]) == 1
    assert capsys.readouterr().err.endswith("Error: no proxy runs on this state folder.\n")


@pytest.mark.parametrize("words", [["--for", "10m"], ["debug", "--for", "soon"]])
def test_a_time_is_one_and_for_a_level(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path))
    assert main(["config", "log-level", *words]) == 2
