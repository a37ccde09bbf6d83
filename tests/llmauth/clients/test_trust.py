"""The files of a run: ours beside every root that was trusted before, readable by nobody else."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import certifi
import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from llmauth.ca import Authority
from llmauth.clients.roots import blocks_of
from llmauth.clients.trust import JAVA_PASSWORD, java_store, write_trust
from llmauth.demo.certificates import Authority as Corporate


def test_ours_is_added_and_nothing_is_replaced(tmp_path: Path, authority: Authority) -> None:
    corporate, tls = Corporate.create().pem.decode(), Corporate.create().pem.decode()
    (tmp_path / "corp.pem").write_text(corporate)
    folder = tmp_path / "run"
    folder.mkdir()
    environ = {"SSL_CERT_FILE": f"{tmp_path}/corp.pem"}
    files = write_trust(folder, authority.certificate_pem(), environ, more=[tls])
    ours = set(blocks_of(authority.certificate_pem()))
    everything = set(blocks_of(files.bundle.read_text()))
    assert ours | set(blocks_of(corporate)) | set(blocks_of(tls)) | set(blocks_of(certifi.contents())) <= everything
    assert set(blocks_of(files.extra.read_text())) == ours | set(blocks_of(corporate)) | set(blocks_of(tls))
    assert len(ssl.create_default_context(cafile=str(files.bundle)).get_ca_certs()) >= 100
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_java_reads_its_store(tmp_path: Path, authority: Authority) -> None:
    """Java takes an entry for trusted by one attribute alone, which its keytool writes and others leave out."""
    written = tmp_path / "store.p12"
    written.write_bytes(java_store(blocks_of(authority.certificate_pem())))
    store = load_pkcs12(written.read_bytes(), JAVA_PASSWORD.encode())
    assert [each.certificate for each in store.additional_certs] == [authority.certificate]
    command = ["openssl", "pkcs12", "-in", str(written), "-passin", f"pass:{JAVA_PASSWORD}", "-nokeys"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert "2.16.840.1.113894.746875.1.1" in done.stdout


def test_wget_keeps_its_own_settings_but_for_what_leads_around(tmp_path: Path, authority: Authority) -> None:
    own = "tries = 3\nhttps_proxy = http://old:3128\nCA-Certificate=/old.pem\n"
    (tmp_path / ".wgetrc").write_text(own)
    folder = tmp_path / "run"
    folder.mkdir()
    files = write_trust(folder, authority.certificate_pem(), {"HOME": str(tmp_path)})
    assert files.wgetrc.read_text() == f"tries = 3\nca_certificate = {files.bundle}\n"


def test_googles_placeholder_opens_nothing(tmp_path: Path, authority: Authority) -> None:
    written = json.loads(write_trust(tmp_path, authority.certificate_pem(), {}).google.read_text())
    assert (written["type"], written["refresh_token"]) == ("authorized_user", "placeholder")


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no certificate in PEM"):
        write_trust(tmp_path, "nonsense", {})
