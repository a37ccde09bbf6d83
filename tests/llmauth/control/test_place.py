"""A socket's address fits, however long the path of the state folder is."""

from __future__ import annotations

import os
import socket

from llmauth.control.place import folder_of, short, sockets, sweep


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


def test_sockets_stand_in_the_order_of_their_processes(tmp_path):
    for name in ("100-0a.sock", "20-0b.sock", "20-0a.sock", "notes.sock", "7.sock", "8-0a.txt"):
        (tmp_path / name).touch()
    assert [(number, file.name) for number, file in sockets(tmp_path)] == [
        (20, "20-0a.sock"),
        (20, "20-0b.sock"),
        (100, "100-0a.sock"),
    ]
    assert sockets(tmp_path / "absent") == []


def test_what_dead_processes_left_is_swept_and_what_lives_is_not(tmp_path):
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as dead:
        for each, name in ((alive, "1-0a.sock"), (dead, "2-0a.sock")):
            with short(tmp_path, name) as path:
                each.bind(path)
        alive.listen()
        dead.close()
        (tmp_path / "notes.sock").write_text("not ours")
        sweep(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1-0a.sock", "notes.sock"]
