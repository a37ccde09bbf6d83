"""Files and mounted secrets, rotated as kubelet does it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from llmauth.credentials.file import MAX_BYTES, FileOptions, FileStrategy
from llmauth.secrets import ApiKey, AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.fixtures.kubernetes import mounted, publish, written


def strategy(standing, path: Path, provider="openai") -> FileStrategy:
    return FileStrategy(FileOptions(path=path), standing(provider))


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return mounted(tmp_path / "mount")


def test_a_file(standing, tmp_path) -> None:
    path = written(tmp_path / "key", "sk-1\n")
    loaded = strategy(standing, path).load()
    assert loaded.credential == ApiKey(value=Secret("sk-1"))
    assert loaded.source == str(path)
    assert loaded.refresh_after is not None
    assert loaded.refresh_after < 5  # a changed file counts within 5 s


def test_a_changed_file_is_seen_by_the_next_load(standing, tmp_path) -> None:
    path = written(tmp_path / "key", "sk-1")
    one = strategy(standing, path)
    one.load()
    path.write_text("sk-2")
    assert one.load().credential == ApiKey(value=Secret("sk-2"))


def test_an_interval_of_ones_own(standing, tmp_path) -> None:
    options = FileOptions.model_validate({"path": written(tmp_path / "key", "sk-1"), "refresh_interval": "90m"})
    assert FileStrategy(options, standing("openai")).load().refresh_after == 5400


def test_a_plain_folder_of_fields(standing, tmp_path) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "AKID\n", "aws_secret_access_key": "s\n", "README": "\x00"}.items():
        written(tmp_path / name, value)
    found = strategy(standing, tmp_path, "bedrock").load().credential
    assert found == AwsKeys(access_key_id="AKID", secret_access_key=Secret("s"))


def test_a_mounted_secret_follows_its_rotation(standing, mount) -> None:
    publish(mount, 1, {"api_key": "sk-old"})
    folder, single = strategy(standing, mount), strategy(standing, mount / "api_key")
    assert folder.load().credential == single.load().credential == ApiKey(value=Secret("sk-old"))
    publish(mount, 2, {"api_key": "sk-new"})
    assert folder.load().credential == single.load().credential == ApiKey(value=Secret("sk-new"))


def test_a_set_that_is_being_cleared_away_is_read_again(standing, mount, monkeypatch) -> None:
    """Kubelet deletes the old folder file by file: a reader that is late may find a part of it."""
    publish(mount, 1, {"access_key_id": "id-1", "secret_access_key": "secret-1", "session_token": "token-1"})
    list_folder, seen = os.listdir, []

    def late(folder: Path) -> list[str]:
        seen.append(folder.name)
        names = list_folder(folder)
        if len(seen) == 1:
            publish(mount, 2, {"access_key_id": "id-2", "secret_access_key": "secret-2", "session_token": "token-2"})
            for name in ("access_key_id", "secret_access_key"):
                folder.mkdir(exist_ok=True)
                written(folder / name, "left over")
            return ["access_key_id", "secret_access_key"]
        return names

    monkeypatch.setattr(os, "listdir", late)
    found = strategy(standing, mount, "bedrock").load().credential
    assert isinstance(found, AwsKeys)
    assert (found.access_key_id, found.session_token) == ("id-2", Secret("token-2"))
    assert len(seen) == 2


def test_a_set_is_never_mixed_from_two_publications(standing, mount) -> None:
    publish(mount, 0, {"access_key_id": "id-0", "secret_access_key": "secret-0"})
    one, stop = strategy(standing, mount, "bedrock"), threading.Event()

    def rotate() -> None:
        version = 1
        while not stop.is_set():
            publish(mount, version, {"access_key_id": f"id-{version}", "secret_access_key": f"secret-{version}"})
            version += 1
            stop.wait(0.002)

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        pairs = [one.load().credential for _ in range(300)]
    finally:
        stop.set()
        rotating.join()
    versions = set()
    for pair in pairs:
        assert isinstance(pair, AwsKeys)
        assert pair.access_key_id.removeprefix("id") == pair.secret_access_key.reveal().removeprefix("secret")
        versions.add(pair.access_key_id)
    assert len(versions) > 1, "nothing was rotated while reading"


def test_one_file_of_a_mount_is_there_while_it_is_rotated(standing, mount, monkeypatch) -> None:
    """Kubelet may delete the old folder between the two links that lead to a file."""
    publish(mount, 1, {"api_key": "sk-old"})
    one, open_file, seen = strategy(standing, mount / "api_key"), os.open, []

    def late(path: str | Path, *rest: int, **more: int) -> int:
        seen.append(path)
        if len(seen) == 1:
            publish(mount, 2, {"api_key": "sk-new"})
            raise FileNotFoundError(2, "it went meanwhile")
        return open_file(path, *rest, **more)

    monkeypatch.setattr(os, "open", late)
    assert one.load().credential == ApiKey(value=Secret("sk-new"))


def test_a_mounted_secret_may_be_readable_by_all(standing, mount, caplog) -> None:
    publish(mount, 1, {"api_key": "sk-old"})
    strategy(standing, mount / "api_key").load()
    assert not caplog.records


def test_a_file_readable_by_all_is_used_and_mentioned_once(standing, tmp_path, caplog) -> None:
    one = strategy(standing, written(tmp_path / "key", "sk-1", 0o644))
    one.load()
    one.load()
    assert len(caplog.records) == 1
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_all_may_write_is_refused(standing, tmp_path, mode) -> None:
    with pytest.raises(SourceFailed, match="chmod o-w"):
        strategy(standing, written(tmp_path / "key", "sk-1", mode)).load()


def test_a_file_that_all_may_replace_is_refused(standing, tmp_path) -> None:
    path = written(tmp_path / "key", "sk-1")
    tmp_path.chmod(0o777)
    with pytest.raises(SourceFailed, match="replaced"):
        strategy(standing, path).load()


def test_an_absent_file_is_unavailable(standing, tmp_path) -> None:
    with pytest.raises(SourceUnavailable, match="does not exist"):
        strategy(standing, tmp_path / "absent").load()


def test_a_link_to_itself_is_a_failure(standing, tmp_path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceFailed, match="ELOOP"):
        strategy(standing, tmp_path / "loop").load()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"x" * (MAX_BYTES + 1), "larger than"), (b"\xff\xfe", "no UTF-8"), (b"", "it is empty")],
)
def test_content_that_is_no_key(standing, tmp_path, content, reason) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SourceFailed, match=reason):
        strategy(standing, path).load()


def test_a_pipe_does_not_hang(standing, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SourceFailed, match="no regular file"):
        strategy(standing, tmp_path / "pipe").load()


def test_a_socket_is_no_file(standing, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(SourceFailed, match="cannot be read: ENXIO"):
            strategy(standing, tmp_path / "s").load()


def test_a_folder_without_any_field(standing, tmp_path) -> None:
    with pytest.raises(SourceFailed, match="no field of a name"):
        strategy(standing, tmp_path).load()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors as Linux shows them")
def test_a_folder_in_the_place_of_a_file_costs_no_descriptor(standing, tmp_path) -> None:
    (tmp_path / "api_key").mkdir()
    one, before = strategy(standing, tmp_path), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(SourceFailed):
            one.load()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("interval", [float("inf"), float("nan"), 1e300, 0, -1, "1h30m", True])
def test_an_interval_that_is_none(interval) -> None:
    with pytest.raises(ValueError, match="refresh_interval"):
        FileOptions.model_validate({"path": "/x", "refresh_interval": interval})
