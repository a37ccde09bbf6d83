"""The root command: help, exit codes, and one clear message for whatever goes wrong."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

import llmauth
from llmauth import cli
from llmauth.ca import CaError
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.errors import BadRequest
from llmauth.storage.home import StateUnusable

COMMAND = [sys.executable, "-c", "import sys; from llmauth.cli import main; sys.exit(main())"]


@pytest.fixture
def environ(tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(llmauth.__file__).parents[1])}


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, text=True, check=False)


def failing(monkeypatch, error: BaseException) -> None:
    def fail(**_: object) -> None:
        raise error

    command = type("Command", (), {"main": staticmethod(fail)})
    monkeypatch.setattr(typer.main, "get_command", lambda _: command)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"llmauth {llmauth.__version__}\n"


def test_help_lists_the_commands_without_importing_them(environ):
    code = "import sys; from llmauth.cli import main; main(['--help']); print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    for name in ("keys", "config", "ca"):
        assert f" {name} " in result.stdout
    for heavy in ("cryptography", "pydantic", "botocore", "sqlalchemy", "mitmproxy"):
        assert f"'{heavy}'" not in result.stdout


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_a_command_has_its_own_options_and_no_others(command, capsys):
    for option in ("-h", "--help"):
        assert cli.main([command, option]) == 0
        assert f"Usage: llmauth {command}" in (shown := capsys.readouterr().out)
        assert "-completion" not in shown


def test_help_is_quick(environ):
    best = 99.0
    for _ in range(3):
        started = time.monotonic()
        assert run(environ, "--help").returncode == 0
        best = min(best, time.monotonic() - started)
    assert best < 1.5  # 0.2 s on an idle machine


@pytest.mark.parametrize("arguments", [["kyes"], ["--nope"], ["ca", "nope"], ["keys", "create"]])
def test_wrong_use_is_2_and_goes_to_standard_error(arguments, capsys):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err != ""


def test_alone_it_shows_its_help(capsys):
    assert cli.main([]) == 2
    assert "Usage: llmauth" in capsys.readouterr().out


def test_a_typing_error_gets_a_suggestion(capsys):
    assert cli.main(["kyes"]) == 2
    assert "Did you mean 'keys'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError([Problem(place=Place(source="f", line=2), path="a", message="bad")]), 2, "f:2: a: bad"),
        (BadRequest("Too odd.", hint="Do better.", detail="canary"), 1, "Error: Too odd. Do better."),
        (CaError("No authority."), 1, "Error: No authority."),
        (StateUnusable("No store."), 1, "Error: No store."),
        (FileNotFoundError(2, "No such file or directory", "/x"), 1, "Error: /x: No such file or directory"),
        (OSError("odd"), 1, "Error: OSError"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_error_is_one_message_and_a_code(monkeypatch, capsys, error, code, message):
    failing(monkeypatch, error)
    assert cli.main(["serve"]) == code
    assert capsys.readouterr().err.strip() == message


def test_a_fault_of_ours_is_named_without_its_text(monkeypatch, capsys):
    """R1: the text of an unexpected error may quote a secret."""
    failing(monkeypatch, ValueError("canary"))
    assert cli.main([]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Internal error: ValueError at cli/test_init.py:")
    assert "canary" not in message


def test_the_store_of_the_configuration_is_used_by_keys(environ, tmp_path):
    (tmp_path / "c.yaml").write_text("storage: {url: sqlite:///sub/mine.db}\n")
    result = run(environ, "keys", "create", "ci", "--config", str(tmp_path / "c.yaml"))
    assert result.returncode == 0
    assert result.stdout.startswith("llmauth_")
    assert (tmp_path / "sub/mine.db").exists()


def test_a_reader_that_leaves_is_no_traceback(environ):
    command = f"{' '.join(map(repr, COMMAND))} ca bundle | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "")
