"""Roots that the user's programs trust already are found wherever the user has named them."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from llmauth.clients.roots import blocks_of, named_by, trusted_already
from llmauth.demo.certificates import Authority


@pytest.fixture
def corporate() -> str:
    return Authority.create().pem.decode()


def test_a_variable_a_folder_and_files_of_the_home(tmp_path: Path, corporate: str) -> None:
    others = [Authority.create().pem.decode() for _ in range(3)]
    (tmp_path / "corp.pem").write_text(corporate.replace("\n", "\r\n"))
    (tmp_path / "hashed").mkdir()
    (tmp_path / "hashed" / "1a2b.0").write_text(others[0])
    (tmp_path / "of git.pem").write_text(others[1])
    (tmp_path / "npm.pem").write_text(others[2])
    (tmp_path / ".gitconfig").write_text(f"[http]\n\tsslCAInfo = {tmp_path}/npm.pem\n")
    environ = {
        "HOME": str(tmp_path),
        "REQUESTS_CA_BUNDLE": f"{tmp_path}/corp.pem",
        "SSL_CERT_DIR": f"{tmp_path}/hashed:{tmp_path}/missing",
    }
    found = named_by(environ, ["REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"])
    assert set(found.blocks) == {*blocks_of(corporate), *blocks_of(others[0]), *blocks_of(others[2])}
    assert found.unread == (tmp_path / "missing",)


def test_public_roots_are_there_and_each_once(tmp_path: Path) -> None:
    environ = {"SSL_CERT_FILE": certifi.where()}
    found = trusted_already(environ, ["SSL_CERT_FILE"])
    assert set(blocks_of(certifi.contents())) <= set(found.blocks)
    assert len(found.blocks) == len(set(found.blocks))
    assert not found.unread


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("-----BEGIN CERTIFICATE-----\n!!\n")
    assert named_by({"PIP_CERT": f"{tmp_path}/no.pem"}, ["PIP_CERT"]).unread == (tmp_path / "no.pem",)
