"""The CA's files: private, made once by whoever comes first, read with care, replaced and never lost."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth.ca import Authority, CaError, files
from llmauth.ca.certificates import key_pem
from llmauth.ca.constraints import constraints
from llmauth.ca.making import _authority, new_authority
from llmauth.clock import ManualClock
from tests.llmauth.ca.samples import DOMAINS


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_and_folders_are_private(authority, folder):
    """R4."""
    assert [mode(folder.parent), mode(folder), mode(folder / "ca-key.pem")] == [0o700, 0o700, 0o600]
    assert sorted(os.listdir(folder)) == ["ca-key.pem", "ca.pem"]


def test_the_file_for_distribution_holds_no_key(authority, folder):
    assert "PRIVATE" not in (folder / "ca.pem").read_text()
    assert "PRIVATE" not in authority.bundle()
    assert (folder / "ca.pem").read_text() == authority.certificate_pem()


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000])
def test_whatever_the_umask_the_key_is_private_and_the_certificate_is_not(folder, umask):
    """R4, and `serve` has a narrower umask than `ca export`."""
    before = os.umask(umask)
    try:
        Authority.load_or_create(folder, DOMAINS, create=True)
        first = mode(folder / "ca-key.pem"), mode(folder / "ca.pem")
        Authority.rotate(folder, DOMAINS)
    finally:
        os.umask(before)
    assert first == (mode(folder / "ca-key.pem"), mode(folder / "ca.pem")) == (0o600, 0o644)


def test_it_is_made_once(authority, folder):
    assert Authority.load_or_create(folder, ["other.example"], create=True).fingerprint() == authority.fingerprint()


def test_the_second_to_make_one_keeps_the_firsts(folder):
    files.create(folder, b"first")
    files.create(folder, b"second")
    assert (folder / "ca-key.pem").read_bytes() == b"first"
    assert os.listdir(folder) == ["ca-key.pem"]


def test_several_that_start_at_once_end_with_one(folder):
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    barrier = threading.Barrier(8)

    def start(_: int) -> str:
        barrier.wait()
        return Authority.load_or_create(folder, DOMAINS, create=True).fingerprint()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert sorted(os.listdir(folder)) == ["ca-key.pem", "ca.pem"]


def test_several_processes_that_start_at_once_end_with_one(folder):
    code = (
        "import sys; from pathlib import Path; from llmauth.ca import Authority\n"
        "sys.stdin.read(1)\n"
        f"print(Authority.load_or_create(Path({str(folder)!r}), {DOMAINS!r}, create=True).fingerprint())"
    )
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    assert len({process.communicate()[0] for process in started}) == 1
    assert all(process.returncode == 0 for process in started)


@pytest.mark.parametrize("wide", [0o640, 0o604, 0o660, 0o644])
def test_a_key_open_to_others_is_refused(authority, folder, wide):
    """R4."""
    (folder / "ca-key.pem").chmod(wide)
    with pytest.raises(CaError, match="chmod 600"):
        Authority.load_or_create(folder, DOMAINS, create=True)


def test_a_folder_open_to_others_is_refused(folder):
    """R4."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with pytest.raises(CaError, match="chmod 700"):
        Authority.load_or_create(folder, DOMAINS, create=True)


def test_a_mounted_secret_is_readable_by_the_group_that_kubernetes_gives_it(authority, folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.stat(folder).st_uid + 1)
    (folder / "ca-key.pem").chmod(0o440)
    assert Authority.load_or_create(folder, DOMAINS, create=False).fingerprint() == authority.fingerprint()
    (folder / "ca-key.pem").chmod(0o444)
    with pytest.raises(CaError, match="open to other users"):
        Authority.load_or_create(folder, DOMAINS, create=False)


def test_a_read_only_folder_is_enough(authority, folder):
    (folder / "ca.pem").unlink()
    (folder / "ca.pem").mkdir()  # cannot be replaced by a file, by root either
    assert Authority.load_or_create(folder, DOMAINS, create=False).fingerprint() == authority.fingerprint()
    assert sorted(os.listdir(folder)) == ["ca-key.pem", "ca.pem"]


def test_what_is_no_authority_of_ours_is_refused(authority, folder):
    file = folder / "ca-key.pem"
    whole = file.read_bytes()
    key, _, certificate = whole.partition(b"-----BEGIN CERTIFICATE")
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (b"", b"canary", key, b"-----BEGIN CERTIFICATE" + certificate, other + certificate, other + whole):
        file.write_bytes(content)
        with pytest.raises(CaError) as caught:
            Authority.load_or_create(folder, DOMAINS, create=True)
        assert "canary" not in str(caught.value)


def test_rotation_keeps_the_old_files_aside(authority, folder):
    old = authority.certificate_pem()
    new = Authority.rotate(folder, [*DOMAINS, "new.example"], clock=ManualClock())
    assert new.fingerprint() != authority.fingerprint()
    assert new.covers("new.example")
    assert (folder / "ca.pem").read_text() == new.certificate_pem()
    assert (folder / "ca.20270115T080000Z.pem").read_text() == old
    assert old in (folder / "ca-key.20270115T080000Z.pem").read_text()
    assert mode(folder / "ca-key.20270115T080000Z.pem") == 0o600
    assert len(os.listdir(folder)) == 4


def test_a_second_change_in_the_same_second_keeps_the_first_file_aside(folder):
    moment = datetime(2027, 1, 15, 8, tzinfo=UTC)
    for content in (b"one", b"two", b"three"):
        files.replace(folder, content, moment)
    assert (folder / "ca-key.pem").read_bytes() == b"three"
    assert (folder / "ca-key.20270115T080000Z.pem").read_bytes() == b"one"


def test_what_the_disk_refuses_is_one_sentence(tmp_path, authority, folder, monkeypatch):
    (tmp_path / "file").touch(0o600)
    with pytest.raises(CaError, match="cannot be used: Not a directory"):
        Authority.load_or_create(tmp_path / "file", DOMAINS, create=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CaError, match="cannot be replaced: No space left on device"):
        Authority.rotate(folder, DOMAINS)
    monkeypatch.undo()
    assert Authority.load_or_create(folder, DOMAINS, create=False).fingerprint() == authority.fingerprint()
    assert not [name for name in os.listdir(folder) if name.startswith(".")], "a key that nobody uses stayed behind"


def test_one_that_signs_for_itself_goes_on(authority, folder):
    """As all were made before there was a root of its own."""
    file = folder / "ca-key.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    old = _authority(name, name, key.public_key(), time.time(), 0, constraints(DOMAINS)).sign(key, hashes.SHA256())
    file.write_bytes(key_pem(key) + old.public_bytes(serialization.Encoding.PEM))
    again = Authority.load_or_create(folder, DOMAINS, create=False)
    assert again.certificate == old
    assert again.leaf("api.openai.com").chain == ()


def test_certificates_that_do_not_belong_together_are_refused(authority, folder):
    content = (folder / "ca-key.pem").read_bytes()
    other = new_authority(DOMAINS, time.time())
    root = x509.load_pem_x509_certificates(other)[-1].public_bytes(serialization.Encoding.PEM)
    head = content[: content.rindex(b"-----BEGIN CERTIFICATE")]
    (folder / "ca-key.pem").write_bytes(head + root)
    with pytest.raises(CaError, match="none signed the one before it"):
        Authority.load_or_create(folder, DOMAINS, create=False)
