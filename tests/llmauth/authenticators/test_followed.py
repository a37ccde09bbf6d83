"""Files that are followed: a good new one counts, a bad one is told and changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from llmauth.authenticators import followed
from llmauth.authenticators.followed import Contents, FollowedFiles


class Seen:
    def __init__(self) -> None:
        self.last: Contents = {}

    def use(self, contents: Contents) -> None:
        if any(b"bad" in one for one in contents.values()):
            raise ValueError("a sentence")
        self.last = contents


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "a"
    made.write_bytes(b"one")
    return made


def test_a_change_is_used_and_a_bad_one_is_told_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen = Seen()
    files = FollowedFiles((file,), seen.use, name="x")
    files.start()
    files.look()
    assert caplog.records == []
    file.write_bytes(b"two")
    files.look()
    assert seen.last == {file: b"two"}
    for content in (b"bad", b"bad again"):
        file.write_bytes(content)
        files.look()
        files.look()
    file.unlink()
    files.look()
    assert seen.last == {file: b"two"}
    file.write_bytes(b"three")
    files.look()
    files.stop()
    assert seen.last == {file: b"three"}
    told = [(one.levelname, vars(one).get("why", "")) for one in caplog.records]
    assert told == [
        ("INFO", ""),
        ("ERROR", "a sentence"),
        ("ERROR", f"{file} cannot be read: No such file or directory"),
        ("INFO", ""),
    ]


def test_it_looks_by_itself(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed.FOLLOW_SECONDS <= 5
    monkeypatch.setattr(followed, "FOLLOW_SECONDS", 0.01)
    seen = Seen()
    files = FollowedFiles((file,), seen.use, name="x")
    files.start()
    file.write_bytes(b"two")
    for _ in range(500):
        if seen.last == {file: b"two"}:
            break
        files._stopping.wait(0.01)
    files.stop()
    assert seen.last == {file: b"two"}


def test_what_fails_otherwise_does_not_end_the_following(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(contents: Contents) -> None:
        if contents[file] != b"one":
            raise KeyError("canary")

    files = FollowedFiles((file,), fail, name="x")
    files.start()
    file.write_bytes(b"two")
    files.look()
    files.stop()
    assert "unexpected KeyError" in str(vars(caplog.records[-1])["why"])
    assert "canary" not in caplog.text


@pytest.mark.parametrize("content", [None, b"bad", b"x" * 5_000_000])
def test_the_first_must_be_good(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "a"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a sentence|cannot be read|more than"):
        FollowedFiles((file,), Seen().use, name="x").start()


def test_a_swapped_folder_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes changes what it mounted: the name leads elsewhere, the times may be old."""
    for name, content in (("v1", b"one"), ("v2", b"two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "users").write_bytes(content)
    link = tmp_path / "data"
    link.symlink_to("v1")
    seen = Seen()
    files = FollowedFiles((link / "users",), seen.use, name="x")
    files.start()
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(link)
    files.look()
    files.stop()
    assert list(seen.last.values()) == [b"two"]
