"""`llmauth secret`: into the keyring, by nobody's argument list, tried for free, and out again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.keyrings import none_here
from tests.llmauth.cli.onboarding import Person
from tests.llmauth.cli.onboarding import person as person
from tests.llmauth.credentials.test_keyring_service import MISSING, Desktop
from tests.llmauth.credentials.test_keyring_service import desktop as desktop
from tests.sources import ROOT

KEY = "sk-canary-0123456789"


@pytest.fixture(scope="module")
def emulators() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=2) as running:
        yield running


def configured(person: Person, emulators: Emulators | None = None, **instances: object) -> None:
    """The configuration of `init`, and where the emulated providers are."""
    person.run("init")
    if emulators is not None:
        upstream = {"ca_file": str(emulators.ca_file), "resolve": emulators.resolve}
        person.config.write_text(person.config.read_text() + f"\nupstream: {json.dumps(upstream)}\n")


def test_as_the_page_shows_it(person: Person, emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(person, emulators)
    asked: list[str] = []

    def typed(text: str) -> str:
        asked.append(text)
        return emulators.credentials.openai_key

    monkeypatch.setattr("getpass.getpass", typed)
    code, out, err = person.run("secret", "set", "openai", typed="")
    assert (code, err) == (0, "")
    assert asked == ["Value (hidden): "]
    assert out.splitlines()[0].endswith(
        "MemoryKeyring as llmauth/openai. Test call: GET /v1/models → 200 (no tokens used)"
    )
    assert "No proxy runs" in out
    assert person.ring.entries == {("llmauth", "openai"): emulators.credentials.openai_key}
    assert emulators.credentials.openai_key not in out


def test_a_wrong_key_is_told_as_that(person: Person, emulators: Emulators) -> None:
    configured(person, emulators)
    code, out, err = person.run("secret", "set", "anthropic", given=KEY + "\n")
    assert code == 1
    assert "Test call: GET /v1/models → 401" in out
    assert "The provider does not take this value" in err
    assert KEY not in out + err


def test_one_line_of_standard_input(person: Person) -> None:
    configured(person)
    code, out, err = person.run("secret", "set", "openai", "--no-test", "--json", given=f"{KEY}\n")
    assert (code, err) == (0, "")
    assert json.loads(out)["entry"] == "llmauth/openai"
    assert json.loads(out)["test"] is None
    assert person.ring.entries == {("llmauth", "openai"): KEY}
    assert KEY not in "".join(path.read_text() for path in person.home.rglob("*") if path.is_file())


def test_it_is_no_argument(person: Person) -> None:
    configured(person)
    assert person.run("secret", "set", "openai", KEY)[0] == 2
    assert person.ring.entries == {}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "No value was given"),
        ("a\nb\n", "several lines"),
        ("sk with blanks", "cannot be used"),
        ("your-key-here", "cannot be used"),
        ("x" * 70_000, "longer than 64 KiB"),
    ],
)
def test_what_is_no_key_changes_nothing(person: Person, given: str, sentence: str) -> None:
    configured(person)
    code, out, err = person.run("secret", "set", "openai", given=given)
    assert (code, out) == (1, "")
    assert sentence in err
    assert person.ring.entries == {}


def test_an_instance_that_does_not_look_there(person: Person) -> None:
    configured(person)
    code, _, err = person.run("secret", "set", "bedrock_us1", given=KEY)
    assert (code, "  - {type: keyring}" in err) == (2, True)
    code, _, err = person.run("secret", "set", "opnai", given=KEY)
    assert (code, "there are: openai, anthropic, bedrock_us1" in err) == (2, True)


def test_the_entry_is_the_one_that_the_strategy_names(person: Person, tmp_path: object) -> None:
    person.config.parent.mkdir(parents=True)
    strategies = [{"type": "keyring", "service": "work", "username": "me"}]
    person.config.write_text(
        json.dumps({"instances": {"a": {"type": "openai", "authentication": {"strategies": strategies}}}})
    )
    assert person.run("secret", "set", "a", "--no-test", given=KEY)[0] == 0
    assert person.ring.entries == {("work", "me"): KEY}


def test_without_a_keyring_other_places_are_named(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(person)
    with none_here(monkeypatch):
        code, out, err = person.run("secret", "set", "openai", given=KEY)
    assert (code, out) == (1, "")
    assert "no keyring on this machine" in err
    assert "a file of mode 0600" in err
    assert "{type: environment}" in err


def test_a_locked_keyring(person: Person) -> None:
    configured(person)
    person.ring.locked = True
    for words in (("set", "openai", "--no-test"), ("list",), ("remove", "openai")):
        code, out, err = person.run("secret", *words, given=KEY)
        assert (code, "KeyringLocked. Unlock it and try again" in err) == (1, True), words
        assert "canary" not in out + err


def test_listed_and_removed(person: Person) -> None:
    configured(person)
    person.run("secret", "set", "openai", "--no-test", given=KEY)
    code, out, _ = person.run("secret", "list")
    assert (
        out
        == "openai   llmauth/openai   stored\nanthropic   llmauth/anthropic   missing: llmauth secret set anthropic\n"
    )
    told = json.loads(person.run("secret", "list", "--json")[1])
    assert [one["stored"] for one in told] == [True, False]
    assert person.run("secret", "remove", "openai")[0] == 0
    assert person.ring.entries == {}
    code, _, err = person.run("secret", "remove", "openai")
    assert (code, "no keyring entry llmauth/openai" in err) == (1, True)


IN_ONE_PROCESS = """
import io, sys
from llmauth.cli import main
codes = [main(["init"])]
sys.stdin = io.StringIO(sys.argv[1])
codes.append(main(["secret", "set", "openai", "--no-test"]))
codes += [main(["secret", "list"]), main(["uninstall", "--yes"])]
print(codes)
"""


@pytest.mark.skipif(bool(MISSING) or sys.platform != "linux", reason="needs a real keyring service")
def test_in_a_real_secret_service(desktop: Desktop) -> None:
    desktop.start_keyring()
    desktop.environ["PYTHONPATH"] = str(ROOT)
    told = desktop.run(sys.executable, "-c", IN_ONE_PROCESS, KEY)
    assert "Next: llmauth secret set openai\n" in told
    assert "Stored in Secret Service as llmauth/openai.\n" in told
    assert "openai   llmauth/openai   stored\n" in told
    assert "keyring entry    llmauth/openai\n" in told
    assert told.endswith("[0, 0, 0, 0]\n")
    assert KEY not in told
    left = desktop.run(sys.executable, "-c", "import keyring; print(keyring.get_password('llmauth', 'openai'))")
    assert left == "None\n"
