"""A port is free, ours, or somebody's: that one is named, where /proc tells."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from llmauth.doctor.patient import Running
from llmauth.doctor.ports import examine
from tests.fixtures.serving import free_port
from tests.llmauth.doctor.conftest import Make


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_is_said_to_be_free(patient: Make) -> None:
    port = free_port()
    (found,) = examine(patient(server={"port": port}))
    assert (found.verdict, found.what) == ("ok", f"port {port} free")


def test_who_has_taken_it_is_named(patient: Make, taken: int) -> None:
    (found,) = examine(patient(server={"port": taken}))
    assert found.verdict == "fail"
    assert f"(process {os.getpid()})" in found.what
    assert f"server: {{port: {taken + 1}}}" in (found.fix or "")


def test_a_port_of_a_running_proxy_is_ours(patient: Make, taken: int) -> None:
    running = Running(process=os.getpid(), host="127.0.0.1", port=taken, tls_port=None, ca="")
    (found,) = examine(patient(server={"port": taken}, running=(running,)))
    assert found.what == f"port {taken} is ours (process {os.getpid()})"


def test_another_program_is_not_taken_for_us_because_a_proxy_runs(patient: Make, taken: int) -> None:
    running = Running(process=1, host="127.0.0.1", port=taken + 1, tls_port=None, ca="")
    (found,) = examine(patient(server={"port": taken}, running=(running,)))
    assert found.verdict == "fail"


def test_an_address_of_another_machine_is_told(patient: Make) -> None:
    (found,) = examine(patient(server={"port": 8080, "host": "192.0.2.7"}))
    assert (found.verdict, found.fix) == ("fail", "server: {host: 127.0.0.1}")
