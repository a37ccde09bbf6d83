"""`llmauth uninstall`: all that is ours, and nothing else."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.control.place import short
from llmauth.installation.shell_lines import LINES
from llmauth.secrets import Secret
from tests.llmauth.cli.onboarding import Person
from tests.llmauth.cli.onboarding import person as person

KEY = "sk-canary-0123456789"


def lived_in(person: Person) -> None:
    """A machine on which everything was used once."""
    person.run("init")
    person.run("secret", "set", "openai", "--no-test", given=KEY)
    person.run("keys", "create", "me")
    profile = Joined(url="http://127.0.0.1:9", ca_pem="-", fingerprint="4F", user="alice")
    joined.write(profile, Secret("llmauth_s"), os.environ)
    (person.home / ".bashrc").write_text(f"alias x=y\n{LINES['bash']}\n")


def test_nothing_is_left(person: Person) -> None:
    (person.home / ".bashrc").write_text("alias x=y\n")
    before = person.files()
    lived_in(person)
    assert person.config.with_name("prices.yaml").exists()
    person.ring.entries["llmauth", "anthropic"] = KEY  # by `keyring set`, of which we know by the configuration
    person.ring.entries["other", "openai"] = KEY
    code, out, err = person.run("uninstall", "--yes")
    assert (code, err) == (0, "")
    assert person.files() - before == {".config", ".local", ".local/state"}
    assert (person.home / ".bashrc").read_text() == "alias x=y\n"
    assert person.ring.entries == {("other", "openai"): KEY}
    assert "keyring entry    llmauth/openai" in out
    assert "No trust store of this machine was ever touched" in out
    assert "pipx uninstall llm-proxy-auth" in out
    code, out, _ = person.run("uninstall", "--yes")
    assert (code, "Nothing of llmauth is on this machine" in out) == (0, True)


@pytest.mark.parametrize(("words", "typed"), [((), None), ((), "n\n"), ((), "\n"), (("--dry-run", "--yes"), None)])
def test_nothing_goes_that_nobody_confirmed(person: Person, words: tuple[str, ...], typed: str | None) -> None:
    lived_in(person)
    before, entries = person.files(), dict(person.ring.entries)
    code, out, _ = person.run("uninstall", *words, typed=typed)
    assert code == (0 if words else 1)
    assert "configuration    " in out
    assert (person.files(), person.ring.entries) == (before, entries)


def test_a_person_confirms(person: Person) -> None:
    lived_in(person)
    assert person.run("uninstall", typed="y\n")[0] == 0
    assert not person.state.exists()


def test_what_is_not_ours_stays_and_is_named(person: Person, tmp_path: Path) -> None:
    lived_in(person)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "precious").write_text("theirs")
    (person.state / "notes.txt").write_text("mine")
    (person.config.parent / "gateway.yaml").write_text("instances: {}\n")
    (person.state / "web-token").symlink_to(theirs / "precious")
    (person.home / ".zshrc").symlink_to(theirs / "zshrc")
    (theirs / "zshrc").write_text(LINES["zsh"] + "\n")
    code, out, err = person.run("uninstall", "--yes")
    assert (code, err) == (0, "")
    assert "stays            ~/.local/state/llmauth/notes.txt" in out
    assert "stays            ~/.zshrc: a link" in out
    assert (person.state / "notes.txt").read_text() == "mine"
    assert (theirs / "precious").read_text() == "theirs"
    assert (theirs / "zshrc").read_text() == LINES["zsh"] + "\n"
    assert (person.config.parent / "gateway.yaml").exists()
    assert not person.config.exists()
    assert sorted(path.name for path in person.state.iterdir()) == ["notes.txt", "web-token"]


def test_a_configuration_that_a_person_wrote_stays(person: Person) -> None:
    person.config.parent.mkdir(parents=True)
    person.config.write_text(
        "storage: {url: 'postgresql://u:canary@db/keys?sslmode=verify-full'}\nca: {folder: /etc/ca}\n"
    )
    (person.state / "ca").mkdir(parents=True)
    (person.state / "ca" / "ca.pem").write_text("x")
    code, out, _ = person.run("uninstall", "--yes", "--json")
    told = json.loads(out)
    assert (code, told["configurations"], told["removed"]) == (0, [], True)
    assert person.config.exists()
    assert any("did not write" in one for one in told["stays"])
    assert any("/etc/ca" in one for one in told["stays"])
    assert "canary" not in out


def test_the_audit_record_may_stay(person: Person) -> None:
    lived_in(person)
    for name in ("audit/x-1.jsonl", "heads/x-1.head", "audit.key"):
        (person.state / name).parent.mkdir(exist_ok=True)
        (person.state / name).write_text("x")
    assert person.run("uninstall", "--yes", "--keep-audit")[0] == 0
    left = {str(path.relative_to(person.state)) for path in person.state.rglob("*") if path.is_file()}
    assert left >= {"audit/x-1.jsonl", "heads/x-1.head", "audit.key"}
    assert {name.partition("/")[0] for name in left} == {"audit", "heads", "audit.key"}


def test_an_entry_that_cannot_be_taken_is_said_and_remembered(person: Person) -> None:
    lived_in(person)
    person.ring.locked = True
    code, _, err = person.run("uninstall", "--yes")
    assert (code, "keyring entry llmauth/openai" in err) == (1, True)
    person.ring.locked = False
    assert person.run("uninstall", "--yes")[0] == 0
    assert ("llmauth", "openai") not in person.ring.entries


def test_a_running_proxy_keeps_everything(person: Person) -> None:
    lived_in(person)
    folder = person.state / "control"
    folder.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server, short(folder, f"{os.getpid()}-ab12.sock") as path:
        server.bind(path)
        server.listen()
        before = person.files()
        code, _, err = person.run("uninstall", "--yes")
        assert (code, f"process {os.getpid()}" in err) == (1, True)
        assert person.files() == before
    assert person.run("uninstall", "--yes")[0] == 0
