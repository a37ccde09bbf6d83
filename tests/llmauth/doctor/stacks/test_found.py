"""What is on a machine is found by its PATH; each stack asks the page in its own way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llmauth.doctor.stacks.found import stacks_here
from llmauth.doctor.stacks.stack import Place


def machine(folder: Path, **programs: str) -> dict[str, str]:
    for name, said in programs.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\necho '{said}'\n")
        file.chmod(0o755)
    return {"PATH": str(folder)}


def test_an_empty_path_has_none(tmp_path: Path) -> None:
    found, missing = stacks_here({"PATH": str(tmp_path)})
    assert (found, "node" in missing, "python" in missing) == ([], True, True)


@pytest.mark.parametrize(
    ("version", "older"),
    [("v20.20.2", True), ("v22.20.0", True), ("v22.21.0", False), ("v23.11.1", True), ("v24.1.0", False)],
)
def test_nodes_fetch_knows_proxies_from_a_version_on(tmp_path: Path, version: str, older: bool) -> None:
    ((node,), _) = stacks_here(machine(tmp_path, node=version))
    assert node.name == f"node {version[1:3]}"
    assert (node.older is not None) is older
    if older:
        assert node.older_fix == "use Node ≥ 22.21 (llmauth run sets NODE_USE_ENV_PROXY=1)"


def test_the_libraries_of_the_python_on_the_path_are_asked_for(tmp_path: Path) -> None:
    found, missing = stacks_here(machine(tmp_path, python='["openai", "requests", "boto3"]'))
    assert "python" not in missing
    assert [one.name for one in found] == ["python/openai", "python/requests", "boto3"]
    assert [one.trust for one in found] == ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"]
    place = Place(url="https://h.test/.well-known/llmauth", host="h.test", proxy_port=1, folder=tmp_path, environ={})
    assert "base_url='https://h.test/.well-known'" in found[0].program(place).command[2]


def test_a_python_runs_nothing_of_the_current_folder_and_sees_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nenv > {tmp_path}/seen\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    keys = {"OPENAI_API_KEY": "canary-1", "AWS_SECRET_ACCESS_KEY": "canary-2", "HTTPS_PROXY": "http://u:canary-3@p:1"}
    environ = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "PYTHONPATH": ":.", **keys}
    assert any("python" in one.name or one.name == "boto3" for one in stacks_here(environ)[0])
    assert not (tmp_path / "ran").exists()
    assert "canary" not in (tmp_path / "seen").read_text()


def test_a_python_without_any_is_tried_with_its_own(tmp_path: Path) -> None:
    assert [one.name for one in stacks_here(machine(tmp_path, python="[]"))[0]] == ["python/urllib"]


def test_a_program_that_says_nonsense_is_left_out(tmp_path: Path) -> None:
    found, missing = stacks_here(machine(tmp_path, python="Segmentation fault"))
    assert (found, "python" in missing) == ([], True)


def test_no_command_line_holds_a_credential(tmp_path: Path) -> None:
    environ = machine(tmp_path, curl="", wget="", git="", openssl="", java="", go="")
    place = Place(
        url="https://h.test/.well-known/llmauth",
        host="h.test",
        proxy_port=1,
        folder=tmp_path,
        environ={"LLMAUTH_KEY": "canary-7f3a", "HTTPS_PROXY": "http://x:canary-7f3a@127.0.0.1:1"},
    )
    for stack in stacks_here(environ)[0]:
        program = stack.program(place)
        assert "canary" not in " ".join(program.command) + program.stdin
