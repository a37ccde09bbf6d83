"""How a machine is read: small files, whatever stands in their place, and never for long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.platform import SimulatedMachine, ThisMachine


def test_a_file_is_read_and_stripped(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_text("Amazon EC2\n")
    assert ThisMachine({}).read(str(tmp_path / "sys_vendor")) == "Amazon EC2"
    assert ThisMachine({}, tmp_path).read("/sys_vendor") == "Amazon EC2"


def test_an_empty_file_is_not_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "tag").write_text("\n")
    assert ThisMachine({}, tmp_path).read("/tag") == ""
    assert ThisMachine({}, tmp_path).read("/other") is None


def test_a_path_may_be_relative_as_it_is_for_the_vendors_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wif.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert ThisMachine({}).read("wif.json") == "{}"


@pytest.mark.parametrize("path", ["", "/", "a\0b", "/nowhere/at/all", "\udcff", "x" * 10_000])
def test_what_is_no_file_is_none(path: str) -> None:
    assert ThisMachine({}).read(path) is None


def test_a_file_that_may_not_be_read_is_none(tmp_path: Path) -> None:
    file = tmp_path / "product_uuid"
    file.write_text("x")
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("whoever runs this may read everything")
    assert ThisMachine({}).read(str(file)) is None


def test_a_pipe_is_neither_waited_for_nor_emptied(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert ThisMachine({}).read(str(pipe)) is None
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.write(writer, b"for somebody else")
    assert ThisMachine({}).read(str(pipe)) is None
    assert os.read(reader, 100) == b"for somebody else"
    os.close(reader)
    os.close(writer)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path, tmp_path / "file", tmp_path / "missing"):
        for _ in range(20):
            ThisMachine({}).read(str(path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_more_is_read_than_a_small_file_has(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    text = ThisMachine({}).read(str(tmp_path / "large"))
    assert text is not None
    assert len(text) == 64 * 1024


def test_what_is_no_text_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"a\xffb")
    assert ThisMachine({}).read(str(tmp_path / "bytes")) == "a\ufffdb"


def test_a_simulated_machine_reads_as_a_real_one() -> None:
    machine = SimulatedMachine({"A": "b"}, {"/etc/hosts": " x\n"})
    assert machine.read("/etc/hosts") == "x"
    assert machine.read("/etc/passwd") is None
    assert (machine.simulated, ThisMachine({}).simulated) == (True, False)
