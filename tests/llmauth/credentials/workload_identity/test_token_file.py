"""The file of a token: read whole, cleaned of its line break, and refused where it holds none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.credentials.workload_identity.token_file import token_of
from llmauth.sources import SourceFailed


def test_a_token_and_its_successor(tmp_path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    assert token_of(str(file), "VARIABLE") == "one"
    (tmp_path / "next").write_text("two")
    os.replace(tmp_path / "next", file)
    assert token_of(str(file), "VARIABLE") == "two"


@pytest.mark.parametrize("content", [b"", b"\n", b"canary\x00", b"canary\ncanary", "canary\u00e4".encode()])
def test_what_is_no_token(tmp_path, content) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SourceFailed, match="the file that VARIABLE names") as caught:
        token_of(str(file), "VARIABLE")
    assert "canary" not in caught.value.reason


def test_a_folder_or_nothing(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceFailed, match=r"cannot be read: (IsADirectoryError|FileNotFoundError)"):
            token_of(str(path), "VARIABLE")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors as Linux shows them")
def test_a_folder_costs_no_descriptor(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(SourceFailed, match="IsADirectoryError"):
            token_of(str(tmp_path), "AWS_WEB_IDENTITY_TOKEN_FILE")
    assert len(os.listdir("/proc/self/fd")) == before
