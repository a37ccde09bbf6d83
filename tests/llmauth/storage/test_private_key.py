"""Keys of our own in files; how they are made and refused is told by the tests of the placeholder tokens' key."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.storage.home import StateUnsafe, StateUnusable
from llmauth.storage.private_key import PrivateKeyFile

KEY = PrivateKeyFile(name="x.key", purpose="key of x", danger="who could do y", remedy="Put it back.")


def test_loading_alone_makes_none(tmp_path: Path) -> None:
    assert KEY.load(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    made = KEY.load_or_create(tmp_path)
    assert KEY.load(tmp_path) == made


def test_sentences_say_which_key_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.key").write_bytes(b"short")
    (tmp_path / "x.key").chmod(0o600)
    with pytest.raises(StateUnusable, match=r"so it is no key of x\. Put it back\."):
        KEY.load(tmp_path)
    (tmp_path / "x.key").chmod(0o644)
    with pytest.raises(StateUnsafe, match=r"who could do y\. Put it back\."):
        KEY.load(tmp_path)


def test_a_folder_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.key").mkdir()
    with pytest.raises(StateUnusable, match=r"The key of x .* cannot be used"):
        KEY.load(tmp_path)
