"""Learned hosts: each once, in a file of the owner's, and never too many."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llmauth.addresses import HostPort
from llmauth.storage import learned
from llmauth.storage.learned import LearnedHosts

GIT = HostPort("github.com", 443)


def test_a_host_is_written_once(tmp_path: Path) -> None:
    hosts = LearnedHosts(tmp_path / "learned")
    assert [hosts.add(GIT), hosts.add(GIT), hosts.add(HostPort("example.org", 443))] == [True, False, True]
    assert (tmp_path / "learned").read_text() == "github.com:443\nexample.org:443\n"
    assert stat.S_IMODE((tmp_path / "learned").stat().st_mode) == 0o600


def test_another_start_knows_what_was_learned(tmp_path: Path) -> None:
    LearnedHosts(tmp_path / "learned").add(GIT)
    again = LearnedHosts(tmp_path / "learned")
    assert not again.add(GIT)
    assert again.read() == ("github.com:443",)


def test_two_processes_may_write_the_same_and_it_is_read_once(tmp_path: Path) -> None:
    one, other = LearnedHosts(tmp_path / "learned"), LearnedHosts(tmp_path / "learned")
    assert one.add(GIT)
    assert other.add(GIT)
    assert one.read() == ("github.com:443",)


def test_there_is_an_end_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "MOST", 3)
    hosts = LearnedHosts(tmp_path / "learned")
    added = [hosts.add(HostPort(f"h{number}.example", 443)) for number in range(5)]
    assert added == [True, True, True, False, False]
    assert len(hosts.read()) == 3


def test_nothing_is_written_through_a_link_or_into_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs\n")
    (tmp_path / "learned").symlink_to(tmp_path / "elsewhere")
    assert not LearnedHosts(tmp_path / "learned").add(GIT)
    assert (tmp_path / "elsewhere").read_text() == "theirs\n"
    hosts = LearnedHosts(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe")
    assert not hosts.add(GIT), "and without waiting for a reader"


def test_a_folder_that_cannot_be_written_to_costs_the_record_and_nothing_else(tmp_path: Path) -> None:
    hosts = LearnedHosts(tmp_path / "missing" / "learned")
    assert not hosts.add(GIT)
    assert hosts.read() == ()
