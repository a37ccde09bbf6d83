"""The parent's side of a change: asked of every worker, and followed by all or by none."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from addons.launch.workers import reloading as module
from addons.launch.workers.child import Child
from addons.launch.workers.reloading import Reloading
from llmauth.config.settings import Settings, read_settings

READY: dict[str, Any] = {"ok": True, "changed": ["limits.url_bytes"], "restart": [], "warnings": []}
NOT: dict[str, Any] = {"ok": False, "why": "Error: no.", "problems": []}


class Worker(SimpleNamespace):
    """A child, and what it was told."""

    def __init__(self, number: int) -> None:
        super().__init__(number=number, pid=100 + number, is_ready=True, said=[])

    def say(self, **message: Any) -> None:
        self.said.append(message)

    def words(self) -> list[str]:
        return [message["say"] for message in self.said]


class House:
    """Two workers, a configuration, and whoever asked."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "c.yaml"
        self.environ = {"LLMAUTH_HOME": str(folder / "home")}
        self.write("instances: {openai: {type: openai}}\n")
        self.workers = [Worker(1), Worker(2)]
        self.reloading = Reloading(self.read(), self.read)
        self.told: list[dict[str, Any]] = []

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def read(self) -> Settings:
        return read_settings([self.file], self.environ)

    def want(self) -> None:
        self.write("limits: {url_bytes: 1KiB}\n")
        self.reloading.want("a test", self.told.append)
        self.go_on()

    def go_on(self) -> None:
        self.reloading.go_on(cast(list[Child], self.workers))

    def hear(self, worker: Worker, answer: dict[str, Any]) -> None:
        number = next(message["number"] for message in worker.said if message["say"] == "prepare")
        self.reloading.heard(cast(Child, worker), {"say": "prepared", "number": number, "answer": answer})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_all_follow_when_all_could(house: House) -> None:
    house.want()
    first, second = house.workers
    house.hear(first, READY)
    assert (house.reloading.is_under_way, house.told) == (True, [])
    house.hear(second, READY)
    assert first.words() == ["prepare", "commit", "reloaded"]
    assert second.words() == ["prepare", "commit"]
    assert house.reloading.settings.limits.url_bytes == 1024
    assert [(one["ok"], one["processes"]) for one in house.told] == [(True, [101, 102])]


def test_none_follows_what_one_could_not(house: House) -> None:
    house.want()
    first, second = house.workers
    house.hear(second, NOT)
    assert first.words() == ["prepare", "abandon", "reloaded"]
    assert second.words() == ["prepare", "abandon"]
    assert house.reloading.settings.limits.url_bytes != 1024
    house.hear(first, READY)  # too late, and of a change that is over
    assert [one["ok"] for one in house.told] == [False]


def test_a_bad_file_is_asked_of_nobody(house: House) -> None:
    house.write("limits: [")
    house.reloading.want("a test", house.told.append)
    house.go_on()
    assert [one.words() for one in house.workers] == [["reloaded"], []]
    assert f"{house.file}:1" in house.told[0]["why"]


def test_one_that_is_not_ready_yet_is_waited_for(house: House) -> None:
    house.workers[1].is_ready = False
    house.want()
    assert not house.reloading.is_under_way
    house.workers[1].is_ready = True
    house.go_on()
    assert house.reloading.is_under_way


def test_one_that_dies_meanwhile_keeps_nobody_waiting(house: House) -> None:
    house.want()
    first, second = house.workers
    house.hear(first, READY)
    house.reloading.ended(cast(Child, second))
    assert [one["ok"] for one in house.told] == [True]


def test_one_that_never_answers_ends_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.want()
    house.hear(house.workers[0], READY)
    ends = house.reloading._ends
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: ends + 1))
    house.go_on()
    assert house.workers[0].words() == ["prepare", "abandon", "reloaded"]
    assert [one["ok"] for one in house.told] == [False]


def test_files_are_looked_at(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    house.write("limits: {url_bytes: 1KiB}\n")
    look: Callable[[], None] = house.go_on
    for _ in range(2):
        now[0] += 2
        look()
    assert [one.words() for one in house.workers] == [["prepare"]] * 2
