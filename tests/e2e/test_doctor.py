"""`llmauth doctor` beside a proxy that runs: real clients through the real door, and nothing paid, kept or shown."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from llmauth.ca import Authority
from llmauth.cli import main
from llmauth.clients import joined
from llmauth.clients.introduction import fingerprint_of
from llmauth.clients.joined import Joined
from llmauth.config.settings import ca_domains, read_settings
from llmauth.control.client import ask_one
from llmauth.control.place import folder_of, sockets
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.secrets import Secret
from llmauth.storage.stores import open_keys
from tests.fixtures.keyrings import none_here
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving, provider_environment, start
from tests.llmauth.demo.clients import interpreter

OPENAI = "api.openai.com"
CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
Doctor = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def own_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """One whose AWS has neither STS nor IAM, so that nobody asks the real ones."""
    nowhere = dict.fromkeys(("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM"), "http://127.0.0.1:1")
    environ = {**provider_environment(shared_emulators), **nowhere}
    serving = start(tmp_path_factory.mktemp("doctor"), shared_emulators, environ=environ)
    yield serving
    serving.stop()


@pytest.fixture
def gateway(own_gateway: Serving, emulators: Emulators) -> Serving:
    return own_gateway


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with none_here(monkeypatch):
        yield


@pytest.fixture
def doctor(
    gateway: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Doctor:
    """Asks as an operator does on the machine of the gateway, whose PATH has these programs alone."""

    def ask(*words: str, programs: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> Any:
        path = tmp_path / "bin"
        path.mkdir(exist_ok=True)
        for name in programs:
            target = str(interpreter()) if name == "python" else shutil.which(name)
            if target is None:
                pytest.skip(f"{name} is not on this machine")
            # Not a link: Python finds its libraries by the place that it was called by.
            (path / name).write_text(f'#!/bin/sh\nexec {target} "$@"\n')
            (path / name).chmod(0o755)
        for name in os.environ:
            monkeypatch.delenv(name)
        for name, value in {**gateway.environ, **(environ or {}), "PATH": str(path), "HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        code = main(["doctor", "--json", *words])
        return code, json.loads(capsys.readouterr().out)["findings"]

    return ask


def said(findings: list[dict[str, Any]], verdict: str) -> list[str]:
    return [one["what"] for one in findings if one["verdict"] == verdict]


def test_a_proxy_that_is_well_is_found_well(doctor: Doctor, gateway: Serving, emulators: Emulators) -> None:
    code, found = doctor("--skip", "clients", "--skip", "shell", "--skip", "programs")
    assert (code, said(found, "fail"), said(found, "warn")) == (0, [], [])
    well = said(found, "ok")
    for words in ("proxy answers", "proxy ready", "a key is let in", "openai: GET /v1/models → 200"):
        assert words in well
    assert any(one.startswith(f"port {gateway.port} is ours (process ") for one in well)
    assert any(one.startswith("bedrock:InvokeModel") for one in well)
    # A model was asked to run nothing: what was posted was refused as invalid.
    assert {one.status for one in emulators.requests() if one.method == b"POST"} <= {400}


def test_real_clients_go_through_the_door_and_no_provider_hears_of_it(
    doctor: Doctor, gateway: Serving, emulators: Emulators
) -> None:
    code, found = doctor("--only", "clients", programs=("python", "curl", "git", "wget"))
    assert (code, said(found, "fail")) == (0, [])
    assert {"python/openai", "python/anthropic", "python/httpx", "boto3", "curl", "git", "wget"} <= set(
        said(found, "ok")
    )
    assert emulators.connections == ()


def test_nodes_fetch_is_told_from_one_that_knows_proxies(doctor: Doctor) -> None:
    code, found = doctor("--only", "clients", programs=("node",))
    (node,) = [one for one in found if one["what"].startswith("node")]
    assert code == 0
    assert node["verdict"] in ("ok", "warn")  # by its version; under `llmauth run` both work
    if node["verdict"] == "warn":
        assert node["fix"] == "use Node ≥ 22.21 (llmauth run sets NODE_USE_ENV_PROXY=1)"


def test_a_client_whose_own_settings_break_it_is_named_with_the_remedy(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text(f"cacert = {tmp_path / 'empty.pem'}\n")
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / ".gitconfig").write_text("[http]\n\tproxyAuthMethod = negotiate\n")
    code, found = doctor("--only", "clients", programs=("curl",))
    assert (code, said(found, "fail")) == (1, ["curl: does not trust the CA"])
    (tmp_path / ".curlrc").write_text('noproxy = "*"\nresolve = "api.openai.com:443:127.0.0.1"\n')
    code, found = doctor("--only", "clients")
    assert (code, said(found, "fail")) == (1, ["curl: ignores HTTPS_PROXY"])


def test_what_was_lent_is_taken_back_and_nothing_secret_is_told(
    doctor: Doctor, gateway: Serving, emulators: Emulators
) -> None:
    _, found = doctor(programs=("curl",))
    text = json.dumps(found)
    for secret in (*provider_environment(emulators).values(), gateway.key()):
        assert not secret or secret not in text
    assert "llmauth_" not in text.replace("llmauth_config", "")
    store = open_keys(gateway.settings().storage.url)
    try:
        left = [one for one in store.list(with_sessions=True) if one.user == "llmauth-doctor" and one.revoked is None]
    finally:
        store.close()
    assert left == []


def test_what_is_lent_for_a_check_opens_nothing_else(gateway: Serving, emulators: Emulators) -> None:
    """Whoever got hold of it could see our page for two minutes, and no model, no instance and no other host."""
    folder = folder_of(gateway.home)
    ((number, file),) = sockets(folder)
    lent = ask_one(number, file, {"ask": "lend", "user": "llmauth-doctor", "seconds": 60, "shown_at": [OPENAI]})
    assert lent is not None
    key = ("X-API-Key", lent["token"])
    with tunnel(gateway.port, OPENAI, lent["token"], gateway.ca_file) as wire:
        page = wire.request("GET", "/.well-known/llmauth", [("Host", OPENAI)])
        models = wire.request("GET", "/v1/models", [("Host", OPENAI)])
    with Wire(gateway.port) as wire:
        other = wire.connect("api.anthropic.com:443", lent["token"])
    statuses = []
    for path in ("/transparent/openai/v1/models", "/v1/chat/completions", "/anthropic/anthropic/v1/messages"):
        with Wire(gateway.port) as wire:
            method = "GET" if path.endswith("models") else "POST"
            statuses.append(
                wire.request(method, path, [("Host", "gateway"), key], b"" if method == "GET" else CHAT).status
            )
    ask_one(number, file, {"ask": "take_back", "id": lent["id"], "user": "llmauth-doctor"})
    with Wire(gateway.port) as wire:
        afterwards = wire.request("GET", "/.well-known/llmauth", [("Host", "gateway"), key])
    assert (page.status, models.status, other.status, afterwards.status) == (200, 403, 403, 401)
    assert statuses == [403, 403, 403]
    assert emulators.connections == ()


def test_a_proxy_that_was_joined_is_looked_at_from_the_callers_machine(
    gateway: Serving, doctor: Doctor, emulators: Emulators, tmp_path: Path, no_keyring: None
) -> None:
    environ = {
        "HOME": str(tmp_path),
        "LLMAUTH_HOME": str(tmp_path / "elsewhere"),
        "XDG_CONFIG_HOME": str(tmp_path / "c"),
    }
    pem = gateway.ca_file.read_text()
    right = fingerprint_of(x509.load_pem_x509_certificate(pem.encode()))
    profile = Joined(url=gateway.url, ca_pem=pem, fingerprint=right, user="alice", expires_at=time.time() + 7200)
    joined.write(profile, Secret(gateway.key()), environ)
    code, found = doctor("--only", "joined", "--only", "proxy", programs=("curl",), environ=environ)
    assert (code, said(found, "fail")) == (0, [])
    authority = f"127.0.0.1:{gateway.port}"
    told = said(found, "ok")
    assert {f"{authority} answers", "curl"} <= set(told)
    assert any(one.startswith(f"alice at {authority}, session ends in 1 h 59 min") for one in told)
    joined.write(replace(profile, fingerprint="00:11"), Secret("llmauth_aaaaaaaa_bbb"), environ)
    code, found = doctor("--only", "joined", environ=environ)
    assert code == 1
    assert [one.split(" ")[1:3] for one in said(found, "fail")] == [["signs", "with"], ["does", "not"]]
    assert emulators.connections == ()


@pytest.mark.soak
def test_without_a_proxy_one_is_started_for_the_clients(
    gateway: Serving, doctor: Doctor, emulators: Emulators, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    made = read_settings([gateway.config], {**gateway.environ, "LLMAUTH_HOME": str(home)})
    Authority.load_or_create(made.ca.folder, ca_domains(made), create=True)
    code, found = doctor("--only", "clients", programs=("curl",), environ={"LLMAUTH_HOME": str(home)})
    assert (code, said(found, "ok")) == (0, ["curl"])
    assert list((home / "control").glob("*.sock")) == []


def test_a_denied_action_is_named_as_in_the_transcript(doctor: Doctor, emulators: Emulators) -> None:
    user = "arn:aws:sts::123456789012:assumed-role/bedrock-proxy/pod"
    action = "bedrock:InvokeModelWithResponseStream"
    body = json.dumps({"message": f"User: {user} is not authorized to perform: {action}"}).encode()
    denial = Behaviour(status=403, error="AccessDeniedException", body=body)
    path = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with-response-stream"
    emulators.behave("bedrock-runtime.eu-west-1.amazonaws.com", denial, path=path)
    code, found = doctor("--only", "bedrock")
    (denied,) = [one for one in found if one["verdict"] == "fail"]
    assert code == 1
    assert denied["what"] == f"{action} (bedrock_eu1) denied → streaming will fail"
    assert denied["fix"] == "Add it to policy bedrock-proxy."


@pytest.mark.soak
def test_java_and_openssl_are_tried_too(doctor: Doctor) -> None:
    code, found = doctor("--only", "clients", programs=("java", "openssl"))
    assert (code, set(said(found, "ok"))) == (0, {"java", "openssl"})
