"""What a proxy of one command is started with; that it lives and goes with it, test_run.py shows."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from llmauth.cli.own import OwnProxy, _surroundings, outside_proxy, shown
from llmauth.cli.proxy import ProxyFailed
from llmauth.control.client import ask_all


@pytest.mark.parametrize(
    ("variables", "taken"),
    [
        ({"HTTPS_PROXY": "http://u:p@proxy.corp:3128"}, "http://u:p@proxy.corp:3128"),
        ({"https_proxy": "http://proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "http://me:llmauth_abc_def@127.0.0.1:8080"}, None),
        ({"HTTPS_PROXY": "socks5://proxy.corp"}, None),
        ({}, None),
    ],
)
def test_the_way_outside_is_the_companys_and_never_ourselves(variables: dict[str, str], taken: str | None) -> None:
    assert outside_proxy(variables) == taken
    assert _surroundings(variables).get("LLMAUTH_OUTSIDE_PROXY") == taken


def test_it_is_told_whose_it_is_and_keeps_its_users_credentials() -> None:
    child = _surroundings({"OPENAI_API_KEY": "sk-real", "PYTHONPATH": "/mine"})
    assert (child["LLMAUTH_RUNNER"], child["OPENAI_API_KEY"]) == (str(os.getpid()), "sk-real")
    assert child["PYTHONPATH"].endswith(":/mine")


def test_an_address_is_shown_without_its_user() -> None:
    assert shown("http://u:p@proxy.corp:3128/") == "proxy.corp:3128"


@pytest.mark.parametrize("inherited", ["", ".:", "src:../lib", ":/mine:"])
def test_no_python_path_leads_to_the_current_folder(inherited: str) -> None:
    entries = _surroundings({"PYTHONPATH": inherited})["PYTHONPATH"].split(os.pathsep)
    assert all(os.path.isabs(entry) for entry in entries)
    assert entries[1:] == (["/mine"] if "/mine" in inherited else [])


def test_what_lies_in_the_current_folder_does_not_run_beside_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that one has cloned may hold a `json.py`."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("secrets", "json", "queue", "sitecustomize"):
        (project / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__)\n")
    (project / "c.yaml").write_text("instances: {openai: {type: openai}}\n")
    monkeypatch.chdir(project)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LLMAUTH_HOME": str(tmp_path / "home")}
    environ |= {"PYTHONPATH": ":.", "OPENAI_API_KEY": "sk-placeholder"}
    with OwnProxy([Path("c.yaml")], environ) as own:
        (told,) = ask_all(tmp_path / "home", {"ask": "served"})
        assert told["port"] == own._port
    assert not (tmp_path / "ran").exists()


def test_whoever_took_its_port_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may listen on the port before it does; then it says so, and nothing is sent there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "class Taken:\n"
        "    def __init__(self, *_, **__): pass\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): pass\n"
        f"    def getsockname(self): return ('127.0.0.1', int(open({str(tmp_path / 'port')!r}).read()))\n"
        "socket.create_server = Taken\n"
    )
    (tmp_path / "c.yaml").write_text("instances: {openai: {type: openai}}\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LLMAUTH_HOME": str(tmp_path / "home")}
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        (tmp_path / "port").write_text(str(port))
        squatter.settimeout(0.1)
        with (
            pytest.raises(ProxyFailed, match=f"did not start.*{port}"),
            OwnProxy([tmp_path / "c.yaml"], {**environ, "PYTHONPATH": str(tmp_path)}),
        ):
            pass
        with pytest.raises(TimeoutError):
            squatter.accept()
