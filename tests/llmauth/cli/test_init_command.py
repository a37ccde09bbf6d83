"""`llmauth init`: a valid configuration, private, over nobody's work; the authority; and what comes next."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from llmauth.ca import Authority
from llmauth.installation.profiles import MARK, PROFILES
from tests.fixtures.keyrings import none_here
from tests.llmauth.cli.onboarding import Person
from tests.llmauth.cli.onboarding import person as person


def test_a_laptop_as_the_page_shows_it(person: Person) -> None:
    code, out, err = person.run("init")
    assert (code, err) == (0, "")
    first, second, third, *_, last = out.splitlines()
    assert first == (
        "Wrote ~/.config/llmauth/config.yaml (providers: openai, anthropic, bedrock)   "
        "Profile: laptop, listen 127.0.0.1:8080"
    )
    authority = Authority.load_or_create(person.state / "ca", (), create=False)
    assert second.startswith('Created CA "llmauth CA ')
    assert " valid 365 d, limited to: api.openai.com, api.anthropic.com, amazonaws.com and " in second
    assert "file ~/.local/state/llmauth/ca/ca.pem (public)" in third
    assert third.endswith(f"SHA-256 {authority.fingerprint()}")
    assert last == "Next: llmauth secret set openai"
    assert person.config.stat().st_mode & 0o777 == 0o600
    assert (person.state / "ca" / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    assert person.state.stat().st_mode & 0o777 == 0o700
    code, out, err = person.run("config", "check")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_passes_the_check(person: Person, profile: str) -> None:
    assert person.run("init", "--profile", profile)[0] == 0
    code, out, _ = person.run("config", "check")
    assert (code, "all is well" in out) == (0, True)
    assert (person.state / "ca").exists() is (profile != "pod")


def test_a_file_that_is_there_stays(person: Person) -> None:
    person.config.parent.mkdir(parents=True)
    person.config.write_text("instances: {}\n")
    code, out, err = person.run("init")
    assert (code, out) == (1, "")
    assert "stays as it is; --force writes it anew" in err
    assert person.config.read_text() == "instances: {}\n"
    assert person.files() == {".config", ".config/llmauth", ".config/llmauth/config.yaml"}, "nothing else is made"
    assert person.run("init", "--force")[0] == 0
    assert person.config.read_text().startswith(MARK)
    fingerprint = json.loads(person.run("init", "--force", "--json")[1])["ca"]["sha256"]
    assert f"SHA-256 {fingerprint}" in person.run("init", "--force")[1], "the authority is made once"


def test_what_the_machine_has_is_found_and_said(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    (person.home / ".aws").mkdir()
    (person.home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = canary\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/etc/google.json")
    code, out, err = person.run("init")
    assert (code, err) == (0, "")
    assert "Found for openai: OPENAI_API_KEY" in out
    assert "Found for bedrock: ~/.aws/credentials" in out
    assert "Left as comments, since each needs a value of yours: vertex" in out
    assert out.endswith("Next: llmauth secret set anthropic\n")
    assert "canary" not in out + person.config.read_text()


def test_for_scripts(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "mine.yaml"
    words = ("--config", str(file), "--providers", "watsonx,openai", "--port", "9999", "--json")
    told = json.loads(person.run("init", *words)[1])
    assert (told["config"], told["providers"], told["listen"]) == (str(file), ["openai", "ibm"], "127.0.0.1:9999")
    assert told["ca"]["domains"]
    assert told["next"] == "llmauth secret set openai"
    assert "--config" in person.run("init", *words[:-1], "--force")[1], "`serve` does not read it by itself"


def test_without_a_keyring_it_says_so(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    with none_here(monkeypatch):
        assert "no keyring here" in person.run("init")[1]


def test_a_pod_is_given_its_authority(person: Person) -> None:
    code, out, _ = person.run("init", "--profile", "pod", "--providers", "bedrock")
    assert code == 0
    assert "Secret bedrock-proxy-ca, at /etc/llmauth/ca" in out
    words = shlex.split(out.splitlines()[-1].removeprefix("Next: "))
    assert words[:6] == ["kubectl", "-n", "bedrock-system", "create", "configmap", "bedrock-proxy-config"]
    assert f"--from-file=gateway.yaml={person.config}" in words


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--profile", "moon"), "there are laptop, server, pod"),
        (("--providers", "openai,moon"), "'moon' is none"),
        (("--providers", ","), "none is named"),
        (("--host", "x y"), "not a host name"),
        (("--tls-cert", "x"), "given together"),
        (("--port", "0"), "--port"),
    ],
)
def test_wrong_use_writes_nothing(person: Person, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = person.run("init", *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert not any(name.endswith((".yaml", ".pem")) for name in person.files())


def test_an_open_state_folder_is_refused(person: Person) -> None:
    person.state.mkdir(parents=True)
    os.chmod(person.state, 0o755)
    code, _, err = person.run("init")
    assert (code, "open to other users" in err) == (1, True)
