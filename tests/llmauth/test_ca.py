"""The certificate authority: made once, kept private, limited to names; its leaves as real clients judge them."""

import os
import shutil
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth import ca
from llmauth.ca import Authority, CaError, Leaf
from llmauth.clock import ManualClock, SystemClock

DOMAINS = ("api.openai.com", "amazonaws.com", "llm.internal")
DAY = 86_400


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "ca"


@pytest.fixture
def authority(folder):
    return Authority.load_or_create(folder, DOMAINS, create=True)


def pem(leaf: Leaf) -> bytes:
    key = leaf.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key + leaf.certificate.public_bytes(serialization.Encoding.PEM)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# ---- its files


def test_files_and_folders_are_private(authority, folder):
    """R4."""
    assert [mode(folder.parent), mode(folder), mode(folder / "ca-key.pem")] == [0o700, 0o700, 0o600]
    assert sorted(os.listdir(folder)) == ["ca-key.pem", "ca.pem"]


def test_the_file_for_distribution_holds_no_key(authority, folder):
    assert "PRIVATE" not in (folder / "ca.pem").read_text()
    assert "PRIVATE" not in authority.bundle()
    assert (folder / "ca.pem").read_text() == authority.certificate_pem()


def test_it_is_made_once(authority, folder):
    assert Authority.load_or_create(folder, ["other.example"], create=True).fingerprint() == authority.fingerprint()


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


def test_where_none_may_be_made_the_start_is_refused(folder):
    with pytest.raises(CaError, match=r"may not make its own.*ca-key\.pem"):
        Authority.load_or_create(folder, DOMAINS, create=False)
    assert not folder.exists()


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


def test_an_authority_without_constraints_is_refused(folder, monkeypatch):
    """R4: name constraints limit it."""
    monkeypatch.setattr(ca, "_constraints", lambda _: x509.NameConstraints(None, [x509.DNSName("x.example")]))
    with pytest.raises(CaError, match="not limited to names"):
        Authority.load_or_create(folder, DOMAINS, create=True)
    monkeypatch.undo()
    with pytest.raises(CaError, match="without permitted domains"):
        Authority.load_or_create(folder / "b", [], create=True)


# ---- what it is


def test_its_certificate(authority):
    certificate = authority.certificate
    find = certificate.extensions.get_extension_for_class
    basic, usage, names = find(x509.BasicConstraints), find(x509.KeyUsage), find(x509.NameConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    assert names.critical
    assert [name.value for name in names.value.permitted_subtrees or ()] == sorted(DOMAINS)
    assert [str(name.value) for name in names.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]
    assert list(find(x509.ExtendedKeyUsage).value) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    assert find(x509.SubjectKeyIdentifier)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert authority.fingerprint() == certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def test_which_names_it_covers(authority):
    for host in ("api.openai.com", "eu.api.openai.com", "bedrock-runtime.us-east-1.amazonaws.com", "llm.internal"):
        assert authority.covers(host)
    for host in ("openai.com", "xapi.openai.com", "example.com", "127.0.0.1", "::1", "127.1", "", "com"):
        assert not authority.covers(host)


def test_a_configured_host_outside_is_a_clear_error(authority):
    authority.require(["api.openai.com"])
    with pytest.raises(CaError, match=r"may not sign a\.example, b\.example: .*`llmauth ca rotate`"):
        authority.require(["b.example", "api.openai.com", "a.example"])


def test_the_bundle_is_the_public_roots_and_ours(authority):
    assert authority.bundle().startswith("# Issuer")
    assert authority.bundle().endswith(authority.certificate_pem())
    assert authority.bundle().count("BEGIN CERTIFICATE") == certifi.contents().count("BEGIN CERTIFICATE") + 1


# ---- leaves


def test_leaves_share_one_key_that_is_not_the_authoritys(authority):
    first, second = authority.leaf("api.openai.com"), authority.leaf("llm.internal")
    assert first.private_key is second.private_key
    assert first.certificate.public_key() != authority.certificate.public_key()
    assert first.certificate.public_key() == first.private_key.public_key()


def test_a_leaf_is_made_once_per_host(authority):
    assert authority.leaf("api.openai.com") is authority.leaf("api.openai.com")


def test_a_leafs_names_and_life(authority):
    leaf = authority.leaf("api.openai.com").certificate
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["api.openai.com"]
    assert not names.critical
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 197
    assert (leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()) < (
        SystemClock().wall() - 3600,
        authority.expires_at,
    )


def test_a_leaf_for_a_long_name_has_an_empty_subject(authority):
    leaf = authority.leaf("x" * 60 + ".amazonaws.com").certificate
    assert len(leaf.subject.rdns) == 0
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1", "::1", "", "a" * 70])
def test_no_leaf_outside(authority, host):
    with pytest.raises(CaError, match="may not sign"):
        authority.leaf(host)


def test_the_cache_is_bounded(authority, monkeypatch):
    monkeypatch.setattr(ca, "CACHED_LEAVES", 3)
    first = authority.leaf("0.amazonaws.com")
    for number in range(3):
        authority.leaf(f"{number}.amazonaws.com")
    assert authority.leaf("0.amazonaws.com") is first
    authority.leaf("3.amazonaws.com")
    assert authority.leaf("0.amazonaws.com") is first
    authority.leaf("4.amazonaws.com")
    authority.leaf("5.amazonaws.com")
    authority.leaf("6.amazonaws.com")
    assert authority.leaf("0.amazonaws.com") is not first


# ---- time


def test_a_leaf_is_renewed_before_it_ends(folder):
    clock = ManualClock()
    authority = Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    first = authority.leaf("llm.internal")
    clock.advance(30 * DAY)
    assert authority.leaf("llm.internal") is first
    clock.advance(30 * DAY)
    renewed = authority.leaf("llm.internal")
    assert renewed is not first
    assert renewed.certificate.not_valid_after_utc.timestamp() > clock.wall() + 80 * DAY


def test_a_leaf_does_not_outlive_its_authority(folder):
    clock = ManualClock()
    authority = Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    clock.advance(360 * DAY)
    leaf = authority.leaf("llm.internal")
    assert leaf.certificate.not_valid_after_utc.timestamp() == authority.expires_at
    assert authority.leaf("llm.internal") is leaf
    clock.advance(6 * DAY)
    with pytest.raises(CaError, match="expired"):
        authority.leaf("llm.internal")


def test_it_warns_for_a_month_and_then_refuses_to_start(folder, caplog):
    clock = ManualClock()
    authority = Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    assert authority.days_left() == ca.CA_DAYS
    clock.advance(334 * DAY)
    Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    assert "expires soon" not in caplog.text
    clock.advance(2 * DAY)
    Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    assert "llmauth ca rotate" in caplog.text
    clock.advance(30 * DAY)
    with pytest.raises(CaError, match="has expired"):
        Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)


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


def test_rotation_where_there_is_none_makes_one(folder):
    assert Authority.rotate(folder, DOMAINS).covers("llm.internal")


# ---- as clients judge it


@pytest.fixture
def forged(authority):
    """The authority, made to sign outside of its constraints as a thief of its key would."""
    authority.domains = ("com", "internal")
    return authority


def strict(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate_pem())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def handshake(authority: Authority, host: str, file: Path) -> None:
    """A TLS handshake in memory between Python's ssl, strict, and a server with the leaf; raises its error."""
    file.write_bytes(pem(authority.leaf(host)))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict(authority).wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("host", ["api.openai.com", "bedrock-runtime.us-east-1.amazonaws.com", "llm.internal"])
def test_pythons_strict_verification_accepts_a_leaf(forged, tmp_path, host):
    handshake(forged, host, tmp_path / "leaf.pem")


def test_pythons_strict_verification_refuses_a_stolen_key_elsewhere(forged, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(forged, "example.com", tmp_path / "leaf.pem")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
@pytest.mark.parametrize(("host", "accepted"), [("api.openai.com", True), ("example.com", False)])
def test_openssl_agrees(forged, folder, tmp_path, host, accepted):
    (tmp_path / "leaf.pem").write_bytes(pem(forged.leaf(host)))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host]
    files = ["-CAfile", str(folder / "ca.pem"), str(tmp_path / "leaf.pem")]
    result = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert (result.returncode == 0, "permitted subtree violation" in result.stderr) == (accepted, not accepted)


class Server:
    """A TLS server on loopback that answers every connection with the leaf of one host."""

    def __init__(self, authority: Authority, host: str, file: Path) -> None:
        import socket

        file.write_bytes(pem(authority.leaf(host)))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(file)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Server":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(10)
        self.socket.close()

    def _serve(self) -> None:
        self.socket.settimeout(10)
        connection, _ = self.socket.accept()
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        except OSError:
            connection.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize(("host", "accepted"), [("api.openai.com", True), ("example.com", False)])
def test_curl_agrees(forged, folder, tmp_path, host, accepted):
    with Server(forged, host, tmp_path / "leaf.pem") as server:
        url = f"https://{host}:{server.port}/"
        resolve = ["--noproxy", "*", "--resolve", f"{host}:{server.port}:127.0.0.1"]
        command = ["curl", "-sS", "--cacert", str(folder / "ca.pem"), *resolve, url]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == ("ok" if accepted else "")
    assert ("permitted subtree violation" in result.stderr) is not accepted


NODE = """
const [port, host] = process.argv.slice(1);
require('https').get({host: '127.0.0.1', port, servername: host, path: '/'}, answer => {
  console.log(answer.statusCode); process.exit(0);
}).on('error', error => { console.log(error.message); process.exit(0); });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
@pytest.mark.parametrize(("host", "said"), [("api.openai.com", "200"), ("example.com", "permitted subtree violation")])
def test_node_agrees(forged, folder, tmp_path, host, said):
    environ = {**os.environ, "NODE_EXTRA_CA_CERTS": str(folder / "ca.pem")}
    with Server(forged, host, tmp_path / "leaf.pem") as server:
        command = ["node", "-e", NODE, str(server.port), host]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert result.stdout.strip() == said


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
