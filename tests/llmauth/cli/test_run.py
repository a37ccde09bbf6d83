"""`llmauth run`: what it says, what it shows, and that nothing of it is left, whatever becomes of its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.cli import main
from llmauth.demo.emulators import Emulators
from llmauth.storage.stores import open_keys
from tests.e2e.clients.runs import begun, surroundings
from tests.fixtures.serving import Serving, start
from tests.fixtures.template import Forked

REAL = "sk-canary-of-the-provider"


@pytest.fixture(scope="module")
def emulators() -> Iterator[Emulators]:
    with Emulators(pace=0.002, tokens=12) as emulators:
        yield emulators


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("gateway"), emulators)
    yield serving
    serving.stop()


def ended(process: Forked, folder: Path) -> tuple[int, str]:
    status = process.wait(30)
    return status, (folder / "said").read_text()


def sessions_that_live(gateway: Serving) -> int:
    store = open_keys(gateway.settings().storage.url)
    try:
        return sum(1 for one in store.list(with_sessions=True) if one.method == "run" and not one.ended(time.time()))
    finally:
        store.close()


def left_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if one.name.startswith("llmauth-run-")]


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", -9), ("kill -TERM $$", -15)],
)
def test_nothing_is_left_whatever_becomes_of_the_command(
    gateway: Serving, tmp_path: Path, script: str, status: int
) -> None:
    environ = surroundings(gateway.home, tmp_path, OPENAI_API_KEY=REAL)
    words = ("run", "--", "sh", "-c", f'echo "$OPENAI_API_KEY" > {tmp_path}/key; test -f "$SSL_CERT_FILE" && {script}')
    assert ended(begun(environ, tmp_path, *words), tmp_path) == (status, "")
    key = (tmp_path / "key").read_text().strip()
    assert key.startswith("llmauth_")
    assert left_in(tmp_path) == []
    assert sessions_that_live(gateway) == 0
    told = subprocess.run(
        ["curl", "-sS", f"{gateway.url}/transparent/openai/v1/models", "-H", f"Authorization: Bearer {key}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout)["error"]["code"] == "invalid_api_key"


def test_nothing_is_left_of_one_that_cannot_be_started(gateway: Serving, tmp_path: Path) -> None:
    status, said = ended(
        begun(surroundings(gateway.home, tmp_path), tmp_path, "run", "--", "no-such-program"), tmp_path
    )
    assert (status, said) == (127, "Error: no-such-program: there is no such program.\n")
    assert (left_in(tmp_path), sessions_that_live(gateway)) == ([], 0)


def test_a_signal_for_it_is_one_for_the_command_and_all_is_taken_back(gateway: Serving, tmp_path: Path) -> None:
    script = "trap 'exit 5' TERM; touch ready; while :; do sleep 0.05; done"
    words = ("run", "--", "sh", "-c", f"cd {tmp_path}; {script}")
    process = begun(surroundings(gateway.home, tmp_path), tmp_path, *words)
    ends = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and time.monotonic() < ends:
        time.sleep(0.02)
    _nothing_secret_in_the_list_of_processes(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 5
    assert (left_in(tmp_path), sessions_that_live(gateway)) == ([], 0)


def _nothing_secret_in_the_list_of_processes(number: int) -> None:
    for one in (number, *_children(number)):
        assert b"llmauth_" not in Path(f"/proc/{one}/cmdline").read_bytes()


def _children(number: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def test_what_leads_around_the_proxy_is_told(gateway: Serving, tmp_path: Path) -> None:
    more = {
        "OPENAI_BASE_URL": "https://elsewhere.example/v1",
        "NO_PROXY": ".openai.com,corp",
        "HTTPS_PROXY": "http://u:secret@proxy.corp:3128",
        "SSL_CERT_FILE": "/nowhere.pem",
    }
    environ = surroundings(gateway.home, tmp_path, **more)
    status, said = ended(begun(environ, tmp_path, "run", "--", "sh", "-c", 'test -z "$OPENAI_BASE_URL"'), tmp_path)
    assert status == 0
    assert said.splitlines() == [
        "llmauth: OPENAI_BASE_URL is not set for the command: it leads around the proxy",
        "llmauth: NO_PROXY is without .openai.com for the command: that leads around the proxy",
        "llmauth: your HTTPS_PROXY (proxy.corp:3128) is replaced for the command; "
        "how the proxy goes out is `upstream.proxy`",
        "llmauth: /nowhere.pem holds no certificate that can be read: what needs it will not be able to connect",
    ]


# ---- a proxy of its own --------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path, gateway: Serving) -> dict[str, str]:
    """A state folder on which no proxy runs, and the configuration of the other one."""
    (tmp_path / "home").mkdir(mode=0o700)
    kept = {name: value for name, value in gateway.environ.items() if not name.startswith("LLMAUTH")}
    return {**kept, **surroundings(tmp_path / "home", tmp_path), "LLMAUTH_CONFIG": str(gateway.config)}


CALL = 'curl -sS https://api.openai.com/v1/models -o /dev/null -w "%{http_code}\\n"; echo "$LLMAUTH_PROXY"; ls $TMPDIR'


def test_one_of_its_own_lives_as_long_as_the_command(alone: dict[str, str], tmp_path: Path) -> None:
    status, said = ended(begun(alone, tmp_path, "run", "--", "sh", "-c", CALL), tmp_path)
    lines = said.splitlines()
    assert (status, lines[0].rpartition(" ")[0]) == (0, "llmauth: started a proxy for this command alone:")
    # An identity at AWS opens more than models, and is the user's to keep from a command.
    assert lines.pop(1) == "llmauth: AWS_SECRET_ACCESS_KEY stays in the command's environment"
    assert lines[1] == "200"
    assert lines[2] == lines[0].rpartition(" ")[2]
    assert left_in(tmp_path) == []
    assert list((tmp_path / "home" / "control").iterdir()) == []
    assert _nobody_listens(lines[2])


def test_it_goes_with_a_run_that_was_killed(alone: dict[str, str], tmp_path: Path) -> None:
    """And takes along what the run would have: the folder, and the session, which lives a day otherwise."""
    script = f'echo "$LLMAUTH_PROXY" > {tmp_path}/url; mv {tmp_path}/url {tmp_path}/ready; exec sleep 30'
    process = begun(alone, tmp_path, "run", "--", "sh", "-c", script)
    ends = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    sleeping = [one for one in _children(process.pid) if b"sleep" in Path(f"/proc/{one}/cmdline").read_bytes()]
    process.kill()
    process.wait(10)
    for one in sleeping:
        os.kill(one, signal.SIGKILL)
    url = (tmp_path / "ready").read_text().strip()
    while (left_in(tmp_path) or not _nobody_listens(url)) and time.monotonic() < ends:
        time.sleep(0.05)
    assert left_in(tmp_path) == []
    assert _nobody_listens(url)
    store = open_keys(f"sqlite:///{tmp_path}/home/keys.db")
    try:
        assert [one.ended(time.time()) for one in store.list(with_sessions=True)] == [True]
    finally:
        store.close()


def _nobody_listens(url: str) -> bool:
    return subprocess.run(["curl", "-s", f"{url}/health"], check=False).returncode == 7


@pytest.mark.soak
def test_one_that_does_not_start_says_why(alone: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home" / "ca").mkdir(mode=0o777)
    (tmp_path / "home" / "ca").chmod(0o777)
    status, said = ended(begun(alone, tmp_path, "run", "--", "true"), tmp_path)
    assert status == 1
    assert "did not start" in said
    assert "chmod 700" in said
    assert left_in(tmp_path) == []


def test_without_any_configuration_it_says_how_to_begin(tmp_path: Path) -> None:
    status, said = ended(begun(surroundings(tmp_path / "h", tmp_path), tmp_path, "run", "--", "true"), tmp_path)
    assert status == 1
    assert said.endswith("llmauth init\n")


# ---- --print-env ---------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(gateway: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = surroundings(gateway.home, tmp_path, OPENAI_BASE_URL="https://elsewhere.example")
    for name in os.environ:
        if name != "PYTEST_CURRENT_TEST":
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_variables_are_shown_without_their_secrets(
    gateway: Serving, shell: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--print-env", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["unset"] == ["OPENAI_BASE_URL"]
    assert shown["set"]["OPENAI_API_KEY"] == "********"
    assert shown["set"]["HTTPS_PROXY"].endswith(f":********@127.0.0.1:{gateway.port}")
    assert Path(shown["set"]["SSL_CERT_FILE"]).is_relative_to(gateway.home)
    assert sessions_that_live(gateway) == 0


def test_a_shell_takes_them_over(gateway: Serving, shell: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--print-env", "--shell", "--reveal", "--for", "1h"]) == 0
    out, err = capsys.readouterr()
    script = f'{out}\ncurl -sS https://api.openai.com/v1/models; echo "${{OPENAI_BASE_URL-gone}}"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert '"gpt-4o"' in done.stdout
    assert done.stdout.endswith("gone\n")
    assert "for 1 hours at most" in err
    assert sessions_that_live(gateway) == 1


@pytest.mark.parametrize(
    "words", [["run"], ["run", "--print-env", "--", "true"], ["run", "--for", "soon", "--", "true"]]
)
def test_wrong_use(words: list[str], shell: None) -> None:
    assert main(words) == 2
