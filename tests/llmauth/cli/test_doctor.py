"""`llmauth doctor`: what people and scripts are shown, what is well and what is not, and that no secret is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmauth.cli import doctor as module
from llmauth.cli import main
from llmauth.doctor.examining import Examination
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient

NODE = fail(
    "node 20: built-in fetch ignores HTTPS_PROXY before 22.21",
    "use Node ≥ 22.21 (llmauth run sets NODE_USE_ENV_PROXY=1)",
)
DENIED = fail("bedrock:InvokeModelWithResponseStream denied → streaming will fail", "Add it to policy bedrock-proxy.")


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "home"))
    for name in ("LLMAUTH_CONFIG", "PORT", "NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    Path("c.yaml").write_text("server: {port: 0}\ninstances: {openai: {type: openai}}\n")


def examinations(monkeypatch: pytest.MonkeyPatch, *groups: Sequence[Finding]) -> None:
    made = [Examination(name=f"e{at}", about="", examine=partial(_given, group)) for at, group in enumerate(groups)]
    monkeypatch.setattr(module, "chosen", lambda only, skipped, pod: made)


def _given(findings: Sequence[Finding], _: Patient) -> Sequence[Finding]:
    return findings


def written(findings: Sequence[Finding], width: int = 120, *, plain: bool = False) -> list[str]:
    return [line.plain for line in module.lines(findings, width, plain=plain)]


def test_the_lines_are_those_of_the_transcripts() -> None:
    found = [ok("proxy answers"), NODE, ok("CA valid 364 d, constrained"), DENIED, skip("go: not here")]
    assert written(found) == [
        "✓ proxy answers   ✓ CA valid 364 d, constrained",
        "✗ node 20: built-in fetch ignores HTTPS_PROXY before 22.21.  "
        "Fix: use Node ≥ 22.21 (llmauth run sets NODE_USE_ENV_PROXY=1)",
        "✗ bedrock:InvokeModelWithResponseStream denied → streaming will fail. Add it to policy bedrock-proxy.",
        "- go: not here",
    ]


def test_a_narrow_terminal_gets_more_lines_and_none_is_cut() -> None:
    assert written([ok("one thing"), ok("another"), ok("third")], width=24) == ["✓ one thing   ✓ another", "✓ third"]


def test_an_encoding_without_the_marks_gets_words() -> None:
    lines = written([ok("fine"), NODE, warn("a …", "b")], plain=True)
    assert lines[0] == "ok fine"
    assert lines[1].startswith("FAIL node 20")
    assert all(line.isascii() for line in lines)


def test_nothing_that_a_terminal_would_obey_passes() -> None:
    (line,) = written([fail("host \x1b[31mred\nnext", "x")])
    assert "\x1b" not in line
    assert "\n" not in line


def test_a_pipe_of_another_encoding_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    examinations(monkeypatch, [ok("fine"), warn("a → b", "c")])
    output = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", output)
    assert main(["doctor", "--config", "c.yaml"]) == 0
    output.flush()
    assert output.buffer.getvalue().decode() == "ok fine\n! a -> b.  Fix: c\n"


@pytest.mark.parametrize(
    ("findings", "code"), [([ok("a"), warn("b", "c"), skip("d")], 0), ([ok("a"), fail("b", "c")], 1)]
)
def test_only_a_fault_makes_it_fail(monkeypatch: pytest.MonkeyPatch, findings: list[Finding], code: int) -> None:
    examinations(monkeypatch, findings)
    assert main(["doctor", "--config", "c.yaml"]) == code


def test_scripts_get_every_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    examinations(monkeypatch, [ok("a")], [fail("b", "c")])
    assert main(["doctor", "--config", "c.yaml", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "ok": False,
        "findings": [
            {"check": "e0", "verdict": "ok", "what": "a", "fix": None},
            {"check": "e1", "verdict": "fail", "what": "b", "fix": "c"},
        ],
    }


def test_a_configuration_with_faults_ends_it_with_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("instances:\n  one: {type: openai, regoin: x}\n  two: {type: nothing}\n")
    assert main(["doctor", "--config", "bad.yaml"]) == 2
    said = capsys.readouterr().err
    assert "bad.yaml:2" in said
    assert "bad.yaml:3" in said
    assert main(["doctor", "--config", "bad.yaml", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], len(told["findings"])) == (False, 2)


def test_an_unknown_examination_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", "c.yaml", "--only", "horoscope"]) == 2
    assert "there are: pod, endpoints" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_it_works_where_nothing_was_ever_started_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    Path("c.yaml").write_text(
        "server: {port: 0}\nupstream: {resolve: {api.openai.com: '127.0.0.1:1'}}\n"
        "instances: {openai: {type: openai, authentication: {strategies: [{type: environment, variable: NOT_SET}]}}}\n"
    )
    assert main(["doctor", "--config", "c.yaml", "--json"]) == 1
    told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    failed = {one["check"] for one in told if one["verdict"] == "fail"}
    assert failed == {"upstream", "credentials"}
    assert all(one["fix"] for one in told if one["verdict"] in ("warn", "fail"))
    assert not (tmp_path / "home").exists()
