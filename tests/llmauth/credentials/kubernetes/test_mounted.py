"""Mounted secrets: where they are looked for, and what is read of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.credentials.kubernetes import mounted
from llmauth.platform import SimulatedMachine, ThisMachine
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.fixtures.kubernetes import mounted as empty_mount
from tests.fixtures.kubernetes import publish, written


def test_the_first_of_two_folders_counts(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(mounted, "FOLDERS", (tmp_path / "a", tmp_path / "b"))
    machine = ThisMachine({})
    assert mounted.place_of("keys", None, machine) is None
    empty_mount(tmp_path / "b/keys")
    assert mounted.place_of("keys", None, machine) == tmp_path / "b/keys"
    empty_mount(tmp_path / "a/keys")
    assert mounted.place_of("keys", None, machine) == tmp_path / "a/keys"
    assert mounted.place_of("others", None, machine) is None


def test_the_folders_are_those_that_the_page_names() -> None:
    assert [str(folder) for folder in mounted.FOLDERS] == ["/etc/llmauth/secrets", "/var/run/secrets/llmauth"]


def test_a_place_that_is_given_must_be_there(tmp_path) -> None:
    assert mounted.place_of("keys", tmp_path, ThisMachine({})) == tmp_path
    with pytest.raises(SourceUnavailable, match="no secret is mounted there"):
        mounted.place_of("keys", tmp_path / "absent", ThisMachine({}))


def test_a_simulated_machine_has_its_own_mounts() -> None:
    machine = SimulatedMachine({}, {"/etc/llmauth/secrets/keys": ""})
    assert mounted.place_of("keys", None, machine) == Path("/etc/llmauth/secrets/keys")
    assert mounted.place_of("others", None, machine) is None


def test_all_fields_or_one(tmp_path) -> None:
    mount = empty_mount(tmp_path / "keys")
    publish(mount, 1, {"api_key": "sk-1", "other": "sk-2"})
    assert mounted.read(mount, None, "openai") == {"api_key": Secret("sk-1")}
    assert mounted.read(mount, "other", "openai") == "sk-2"
    with pytest.raises(SourceFailed, match="`key` gives, absent"):
        mounted.read(mount, "absent", "openai")


def test_one_file_alone(tmp_path) -> None:
    file = written(tmp_path / "key", "sk-1")
    assert mounted.read(file, None, "openai") == "sk-1"
    with pytest.raises(SourceFailed, match="leave it out"):
        mounted.read(file, "key", "openai")


def test_a_folder_that_all_may_write_is_refused(tmp_path) -> None:
    folder = empty_mount(tmp_path / "keys")
    written(folder / "api_key", "sk-1", 0o666)
    with pytest.raises(SourceFailed, match="chmod o-w"):
        mounted.read(folder, None, "openai")
