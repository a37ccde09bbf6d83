"""`llmauth serve`: what it hands to the server, what it puts away before, and how it says no."""

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from llmauth import cli
from tests.fixtures.serving import ROOT, environment

# Takes the server's place, and tells what it was given and what the process looks like by then.
STANDIN = """
import json, os, resource, ssl, sys, time, types

def serve(settings, environ, started, *web, overrides):
    from mitmproxy.net import tls
    umask = os.umask(0)
    print(json.dumps({
        "host": settings.server.host, "port": settings.server.port, "tls_port": settings.server.tls_port,
        "files": [str(file) for file in settings.files], "own_environment": environ is os.environ,
        "leaks": [name for name in os.environ if "KEYLOG" in name],
        "keylog": [tls.log_master_secret is not None, ssl.create_default_context().keylog_filename],
        "core": resource.getrlimit(resource.RLIMIT_CORE), "umask": umask, "age": time.monotonic() - started,
    }))

sys.modules["addons.launch.serve"] = types.ModuleType("addons.launch.serve")
sys.modules["addons.launch.serve"].serve = serve
from llmauth.cli import main
sys.exit(main())
"""


@pytest.fixture
def handed(tmp_path):
    """What `llmauth serve` with these options and variables hands over."""

    def begin(*options: str, **variables: str):
        given = environment(HOME=str(tmp_path), LLMAUTH_HOME=str(tmp_path / "home"), PYTHONPATH=str(ROOT), **variables)
        command = [sys.executable, "-c", STANDIN, "serve", *options]
        done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return begin


def test_alone_it_serves_on_loopback(handed):
    facts = handed()
    assert (facts["host"], facts["port"], facts["tls_port"], facts["files"]) == ("127.0.0.1", 8080, 8443, [])
    assert facts["own_environment"] is True
    assert 0 < facts["age"] < 30


def test_options_beat_the_environment_which_beats_files(handed, tmp_path):
    for name, text in (("a", "server: {port: 1, tls_port: 1, host: 127.0.0.3}"), ("b", "log: {level: error}")):
        (tmp_path / f"{name}.yaml").write_text(text)
    facts = handed(
        *("--config", "a.yaml", "--config", "b.yaml", "--port", "3", "--host", "127.0.0.2", "--workers", "1"),
        PORT="2",
        TLS_PORT="2",
        LLMAUTH_CONFIG="not-read.yaml",
    )
    assert (facts["host"], facts["port"], facts["tls_port"]) == ("127.0.0.2", 3, 2)
    assert facts["files"] == ["a.yaml", "b.yaml"]


def test_the_secrets_of_tls_sessions_are_written_nowhere(handed, tmp_path):
    """R1: mitmproxy and Python would write them where these variables point."""
    log = tmp_path / "keys.log"
    facts = handed(SSLKEYLOGFILE=str(log), MITMPROXY_SSLKEYLOGFILE=str(log))
    assert facts["leaks"] == []
    assert facts["keylog"] == [False, None]
    assert not log.exists()


def test_no_core_file_and_no_file_for_others(handed):
    """R4."""
    facts = handed()
    assert facts["core"] == [0, 0]
    assert facts["umask"] == 0o077


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(monkeypatch, tmp_path, capsys):
    """What `llmauth serve` says when it must not come to serving."""

    def serve(*_: object, **more: object) -> None:
        raise AssertionError("it came to serving")

    standin = types.ModuleType("addons.launch.serve")
    monkeypatch.setattr(standin, "serve", serve, raising=False)
    monkeypatch.setitem(sys.modules, "addons.launch.serve", standin)
    for name in ("PORT", "LLMAUTH_CONFIG", "PROVIDER_INSTANCES_CONFIG", "AUTH_MODE", "TLS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    umask = os.umask(0o022)

    def begin(*options: str) -> str:
        code = cli.main(["serve", *options])
        captured = capsys.readouterr()
        assert (code, captured.out) == (2, "")
        assert "Traceback" not in captured.err
        assert "Internal error" not in captured.err
        assert not (tmp_path / "home").exists()
        return str(captured.err)

    yield begin
    assert os.umask(umask) == 0o022  # refused before anything of the process was changed


@pytest.mark.parametrize("workers", ["0", "-1", "65"])
def test_there_are_from_one_to_64_workers(refused, workers):
    said = refused(f"--workers={workers}")
    assert "--workers" in said
    assert "than or equal to" in said


def test_several_workers_are_served_by_another_and_their_status_is_ours(refused, monkeypatch):
    given: list[object] = []

    def serve(settings, environ, workers, started, *, overrides) -> int:
        given.extend([settings.server.port, environ is os.environ, workers, time.monotonic() >= started, overrides])
        return 2

    standin = types.ModuleType("addons.launch.workers.serve")
    monkeypatch.setattr(standin, "serve", serve, raising=False)
    monkeypatch.setitem(sys.modules, "addons.launch.workers.serve", standin)
    monkeypatch.setattr(os, "umask", lambda mask: 0o022)
    assert cli.main(["serve", "--workers=3", "--port=1234"]) == 2
    assert given == [1234, True, 3, True, {"server.port": 1234}]


@pytest.mark.parametrize(
    "option", ["--workers=x", "--workers=1.5", "--port=x", "--port=", "--prot=1", "--tls-port=8443s"]
)
def test_options_that_are_none(refused, option):
    assert "Usage: llmauth serve" in refused(option)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port=65536"], "option --port: server.port: found 65536, wanted 65535 or less"),
        (["--port=-1"], "option --port: server.port: found -1, wanted 0 or more"),
        (["--tls-port=70000"], "option --tls-port: server.tls_port: found 70000, wanted 65535 or less"),
        (["--host=u@h"], "option --host: server.host: found 'u@h': not a host name"),
        (["--host=127.1"], "option --host: server.host: found '127.1': "),
        (["--host="], "option --host: server.host: found '': not a host name"),
        (["--config=missing.yaml"], "missing.yaml: the file cannot be read: No such file or directory"),
        (["--config=a\x1b[31m\udcff"], "a\\x1b[31m\\udcff: the file cannot be read: "),
        (["--config=."], ".: the file cannot be read: Is a directory"),
    ],
)
def test_values_that_are_none(refused, options, said):
    assert refused(*options).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server: {prot: 1}", "c.yaml:1: server.prot: unknown key, did you mean 'port'?\n"),
        ("a: [", "c.yaml:"),
        ("\0", "c.yaml:"),
        ("log: {level: loud}", "c.yaml:1: log.level: found 'loud', wanted "),
        ("auth: {enabled: false}\nserver: {host: 0.0.0.0}", "c.yaml:1: auth.enabled: authentication can only be off "),
        (
            "instances: {b: {type: bedrock, region: '${CANARY_UNSET}'}}",
            "c.yaml:1: instances.b.region: ${CANARY_UNSET} ",
        ),
    ],
)
def test_a_bad_configuration(refused, text, said):
    Path("c.yaml").write_text(text)
    assert refused("--config", "c.yaml").startswith(said)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("nonsense", "[0]: found the value of ${AUTH_MODE}, wanted 'api_key', 'basic', "),
        ("api_key,API_KEY", "[1]: found the value of ${AUTH_MODE}, wanted "),
        ("none", "[0]: found the value of ${AUTH_MODE}, wanted "),
        ("api_key,totp", "[1]: the second factor belongs to a key; write 'api_key', and `require_2fa: true` "),
        ("jwt", "[0]: tokens of an OpenID provider are the method 'oidc'\n"),
        (",", ": found an empty list"),
    ],
)
def test_a_method_of_authentication_that_is_none(refused, monkeypatch, mode, said):
    """2.9 row 2: an unknown AUTH_MODE ends the process, and never runs without authentication."""
    monkeypatch.setenv("AUTH_MODE", mode)
    assert refused().startswith(f"environment variable AUTH_MODE: auth.methods{said}")


def test_authentication_is_not_switched_off_for_others(refused):
    Path("c.yaml").write_text("auth: {enabled: false}")
    assert "authentication can only be off where server.host is a loopback" in refused("--config=c.yaml", "--host=::")


# ---- the page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers=2"], "it shows the flows of one process"),
        (["--host=0.0.0.0"], "server.host (0.0.0.0) lets other machines in"),
        (["--host=::"], "lets other machines in"),
        (["--web-port=0"], "--web-port"),
        (["--web-port=70000"], "--web-port"),
    ],
)
def test_a_page_is_for_whoever_sends(refused, options, said):
    """A9: it stands on loopback, beside a gateway that takes requests from there alone."""
    assert said in " ".join(refused("--web", *options).replace("│", " ").split())


def test_a_page_is_off_in_a_pod(refused, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert "--web-in-pod" in refused("--web")


@pytest.mark.parametrize("pod", [(), ("--web-in-pod",)])
def test_a_page_is_handed_to_the_server(refused, monkeypatch, pod):
    given: list[object] = []
    monkeypatch.setattr(sys.modules["addons.launch.serve"], "serve", lambda *words, **more: given.extend(words))
    monkeypatch.setattr(os, "umask", lambda mask: 0o022)
    web = types.ModuleType("addons.launch.web")
    monkeypatch.setattr(web, "Web", lambda settings, port: ("page", settings.server.port, port), raising=False)
    monkeypatch.setitem(sys.modules, "addons.launch.web", web)
    if pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert cli.main(["serve", "--web", "--port=1", "--web-port=2", *pod]) == 0
    assert given[3:] == [("page", 1, 2)]
    given.clear()
    assert cli.main(["serve", "--port=1"]) == 0
    assert given[3:] == [None]
