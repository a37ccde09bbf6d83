"""Oracle's own variables as a source of its signing key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.credentials import oci_cli
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.demo.credentials import OciIdentity
from llmauth.secrets import ApiKey, OciKey, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

IDENTITY = OciIdentity.random()
USER = {
    "OCI_CLI_TENANCY": IDENTITY.tenancy,
    "OCI_CLI_USER": IDENTITY.user,
    "OCI_CLI_FINGERPRINT": IDENTITY.fingerprint,
}
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE4MDAwMDM2MDB9.c2ln"


def key_id(environ: dict[str, str]) -> str:
    credential = oci_cli.load(environ).credential
    assert isinstance(credential, OciKey)
    return credential.key_id.reveal()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "oci.pem"
    file.write_text(IDENTITY.private_key)
    return file


def test_the_strategy_reads_them_where_no_variable_is_named(standing) -> None:
    environ = USER | {"OCI_CLI_KEY_CONTENT": IDENTITY.private_key, "GENAI": "sk-1"}
    found = EnvironmentStrategy(EnvironmentOptions(), standing("oracle", environ)).load()
    assert isinstance(found.credential, OciKey)
    assert (found.source, found.expires_at) == ("environment variable OCI_CLI_KEY_CONTENT", None)
    named = EnvironmentStrategy(EnvironmentOptions(variable="GENAI"), standing("oracle", environ)).load()
    assert named.credential == ApiKey(value=Secret("sk-1"))


def test_a_file_is_read_anew_each_time(key_file: Path) -> None:
    environ = USER | {"OCI_CLI_KEY_FILE": str(key_file)}
    assert key_id(environ) == IDENTITY.key_id
    key_file.write_text("rotated")
    with pytest.raises(SourceFailed, match=r"OCI_CLI_. variables of the environment: .*no private key in PEM form"):
        oci_cli.load(environ)


def test_the_text_goes_before_the_file(tmp_path: Path) -> None:
    environ = USER | {"OCI_CLI_KEY_CONTENT": IDENTITY.private_key, "OCI_CLI_KEY_FILE": str(tmp_path / "none")}
    assert key_id(environ) == IDENTITY.key_id


def test_a_security_token_and_its_end(tmp_path: Path, key_file: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    environ = {"OCI_CLI_SECURITY_TOKEN_FILE": str(token), "OCI_CLI_KEY_FILE": str(key_file)}
    assert key_id(environ) == f"ST${TOKEN}"
    assert oci_cli.load(environ).expires_at == 1_800_003_600


def test_nothing_is_set() -> None:
    with pytest.raises(SourceUnavailable, match="neither OCI_CLI_KEY_CONTENT nor OCI_CLI_KEY_FILE is set"):
        oci_cli.load({"OCI_CLI_TENANCY": IDENTITY.tenancy, "OCI_CLI_REGION": "eu-frankfurt-1"})


@pytest.mark.parametrize("name", ["OCI_CLI_USER", "OCI_CLI_FINGERPRINT", "OCI_CLI_SECURITY_TOKEN_FILE"])
def test_a_user_without_a_key_is_a_mistake_to_be_told(name: str) -> None:
    with pytest.raises(SourceFailed, match="an OCI identity and no key"):
        oci_cli.load({name: "x"})


@pytest.mark.parametrize("name", ["OCI_CLI_KEY_FILE", "OCI_CLI_SECURITY_TOKEN_FILE"])
def test_a_file_that_is_not_there_is_named_by_its_variable(tmp_path: Path, key_file: Path, name: str) -> None:
    environ = {"OCI_CLI_KEY_FILE": str(key_file), name: str(tmp_path / "none")}
    with pytest.raises(SourceFailed, match=f"the file that {name} names: .*does not exist"):
        oci_cli.load(USER | environ)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_key_that_anybody_may_replace_is_refused(key_file: Path) -> None:
    key_file.chmod(0o666)
    with pytest.raises(SourceFailed, match="can be written or replaced"):
        oci_cli.load(USER | {"OCI_CLI_KEY_FILE": str(key_file)})
