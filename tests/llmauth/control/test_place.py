"""A socket's address fits, however long the path of the state folder is."""

from __future__ import annotations

import os
import socket

from llmauth.control.place import folder_of, short


def test_the_folder_is_below_the_state(tmp_path):
    assert folder_of(tmp_path) == tmp_path / "control"


def test_a_short_path_stays_as_it_is(tmp_path):
    with short(tmp_path, "1.sock") as path:
        assert path == str(tmp_path / "1.sock") or path.startswith("/proc/self/fd/")


def test_a_long_path_is_reached_all_the_same(tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as listener, short(deep, "1.sock") as path:
        assert len(path) < 100
        listener.bind(path)
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client, short(deep, "1.sock") as again:
            client.connect(again)
    assert (deep / "1.sock").is_socket()
    assert len(os.listdir("/proc/self/fd")) == before
