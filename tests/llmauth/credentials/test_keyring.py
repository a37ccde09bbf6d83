"""The keyring: an in-memory backend, and the backends that are refused."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import shlex
import sys
import types

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from llmauth.credentials.keyring import REFRESH_AFTER, KeyringOptions, KeyringStrategy
from llmauth.secrets import ApiKey, Secret
from llmauth.sources import SourceFailed, SourceUnavailable


class MemoryKeyring(KeyringBackend):
    priority = -1  # never chosen unless it is set

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def put_in_place():
    before = keyring.core._keyring_backend
    yield keyring.set_keyring
    keyring.core._keyring_backend = before


@pytest.fixture
def memory(put_in_place) -> MemoryKeyring:
    backend = MemoryKeyring()
    put_in_place(backend)
    return backend


def strategy(standing, **options) -> KeyringStrategy:
    return KeyringStrategy(KeyringOptions(**options), standing("openai", instance="openai_main"))


def test_the_entry_of_the_instance(standing, memory) -> None:
    keyring.set_password("llmauth", "openai_main", "sk-1")
    loaded = strategy(standing).load()
    assert loaded.credential == ApiKey(value=Secret("sk-1"))
    assert loaded.source == "keyring entry llmauth/openai_main"
    assert loaded.refresh_after == REFRESH_AFTER


def test_an_entry_by_name(standing, memory) -> None:
    keyring.set_password("work", "me", "sk-2")
    assert strategy(standing, service="work", username="me").load().credential == ApiKey(value=Secret("sk-2"))


def test_no_entry_is_unavailable_and_says_how_to_make_one(standing, memory) -> None:
    with pytest.raises(SourceUnavailable, match="`llmauth secret set openai_main` makes one"):
        strategy(standing).load()
    with pytest.raises(
        SourceUnavailable, match="no keyring entry my work/me; `llmauth secret set openai_main` makes one"
    ):
        strategy(standing, service="my work", username="me").load()


def test_the_command_that_is_named_does_make_one(standing, memory, monkeypatch, tmp_path) -> None:
    instance = {"type": "openai", "authentication": {"strategies": [{"type": "keyring"}]}}
    (tmp_path / "gateway.yaml").write_text(json.dumps({"instances": {"openai_main": instance}}))
    monkeypatch.setenv("LLMAUTH_CONFIG", str(tmp_path / "gateway.yaml"))
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "state"))
    with pytest.raises(SourceUnavailable) as caught:
        strategy(standing).load()
    program, *arguments = shlex.split(caught.value.reason.split("`")[1])
    (command,) = importlib.metadata.entry_points(group="console_scripts", name=program)
    monkeypatch.setattr(getpass, "getpass", lambda _: "sk-typed")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert command.load()([*arguments, "--no-test"]) == 0
    assert strategy(standing).load().credential == ApiKey(value=Secret("sk-typed"))


def test_a_locked_keyring_is_a_failure_without_its_text(standing, memory, monkeypatch) -> None:
    def locked(*_: object) -> None:
        raise KeyringLocked("canary-7f3a")

    monkeypatch.setattr(memory, "get_password", locked)
    with pytest.raises(SourceFailed, match="KeyringLocked") as caught:
        strategy(standing).load()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
def test_no_keyring_names_two_remedies(standing, put_in_place, backend, monkeypatch) -> None:
    # Named, or a desktop's own would be found when it is looked for again.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{backend.__module__}.Keyring")
    put_in_place(backend())
    with pytest.raises(SourceUnavailable, match=r"no keyring.*start the desktop's keyring.*environment or file"):
        strategy(standing).load()


def clear_text_keyring() -> KeyringBackend:
    kind = type("PlaintextKeyring", (MemoryKeyring,), {"__module__": "keyrings.alt.file"})
    return kind()


def test_a_clear_text_keyring_is_refused(standing, put_in_place) -> None:
    backend = clear_text_keyring()
    backend.set_password("llmauth", "openai_main", "sk-1")
    put_in_place(backend)
    with pytest.raises(SourceFailed, match=r"keyrings\.alt\.file\.PlaintextKeyring, does not protect"):
        strategy(standing).load()


def test_of_a_chain_only_the_trusted_are_asked(standing, put_in_place) -> None:
    class Chain(MemoryKeyring):
        backends = (clear_text_keyring(), MemoryKeyring())

    Chain.backends[0].set_password("llmauth", "openai_main", "sk-clear")
    put_in_place(Chain())
    with pytest.raises(SourceUnavailable, match="there is no keyring entry"):
        strategy(standing).load()
    Chain.backends[1].set_password("llmauth", "openai_main", "sk-kept")
    assert strategy(standing).load().credential == ApiKey(value=Secret("sk-kept"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("no_such_module.Keyring", "ModuleNotFoundError"),
        ("keyring.backends.fail.NoSuchClass", "AttributeError"),
        ("keyring.backends.Windows.WinVaultKeyring", "RuntimeError"),
        ("", "ValueError"),
    ],
)
def test_a_backend_that_cannot_be_loaded(standing, put_in_place, monkeypatch, name, kind) -> None:
    if sys.platform == "win32" and "Windows" in name:
        pytest.skip("Windows has this one.")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    with pytest.raises(SourceFailed, match=f"PYTHON_KEYRING_BACKEND.*{kind}.*environment or file"):
        strategy(standing).load()


@pytest.mark.parametrize("error", [FileNotFoundError("canary-7f3a"), UnicodeDecodeError("utf-8", b"canary", 0, 1, "x")])
def test_whatever_a_backend_raises_is_told_by_its_class(standing, memory, monkeypatch, error) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(memory, "get_password", broken)
    with pytest.raises(SourceFailed, match=f"MemoryKeyring refused: {type(error).__name__}$") as caught:
        strategy(standing).load()
    assert "canary" not in str(caught.value)


def test_a_pod_has_no_keyring_and_none_is_looked_for(standing, put_in_place, monkeypatch) -> None:
    monkeypatch.setattr(keyring, "get_keyring", lambda: pytest.fail("it was looked for"))
    pod = standing("openai", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    one = KeyringStrategy(KeyringOptions(), pod)
    with pytest.raises(SourceUnavailable, match="no desktop, and so no keyring, on kubernetes") as caught:
        one.load()
    assert one.unavailable() == caught.value.reason


def test_a_backend_that_was_chosen_works_in_a_pod(standing, memory) -> None:
    keyring.set_password("llmauth", "one", "sk-1")
    pod = standing("openai", {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "PYTHON_KEYRING_BACKEND": "mine.Keyring"})
    assert KeyringStrategy(KeyringOptions(), pod).load().credential == ApiKey(value=Secret("sk-1"))


def test_the_library_is_not_imported_before_it_is_needed() -> None:
    module = sys.modules["llmauth.credentials.keyring"]
    assert not any(
        isinstance(value, types.ModuleType) and value.__name__ == "keyring" for value in vars(module).values()
    )
