"""`llmauth token aws`: signed by botocore with what it finds, for one gateway, and nothing is sent to anybody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmauth import cli
from llmauth.authenticators.aws_iam.presigned import HEADER, LONGEST_TEXT, MARK, read
from tests.fixtures.aws_tokens import SERVER_ID, unpacked
from tests.fixtures.dials import watched

SECRET = "c4nary/Secret+Access/Key0123456789abcdef"
KEYS = {"AWS_ACCESS_KEY_ID": "ASIACANARY7F3A000001", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "tok/+=en"}
Run = Callable[..., tuple[int, str, str]]

CONFIG = """
[profile dev]
region = eu-west-1
aws_access_key_id = AKIACANARY7F3AINFILE
aws_secret_access_key = in-a-file
[profile ended]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Dev
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
[profile broken]
credential_process = /nonexistent/helper
[profile babble]
credential_process = echo c4nary/Secret+Access
[profile moon]
region = us-moon-1
aws_access_key_id = AKIACANARY7F3AINFILE
aws_secret_access_key = in-a-file
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    (tmp_path / "config").write_text(CONFIG)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def one(*words: str, **environ: str) -> tuple[int, str, str]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        code = cli.main(["token", "aws", *words])
        return code, *capsys.readouterr()

    return one


def made(run: Run, *words: str, **environ: str) -> str:
    """The token, alone on standard output."""
    code, out, err = run("--server-id", SERVER_ID, *words, **environ)
    assert (code, err) == (0, "")
    return out.removesuffix("\n")


def test_a_token_alone_is_printed_and_the_gateway_can_read_it(run: Run) -> None:
    with watched() as dials:
        token = made(run, **KEYS)
    assert dials == []
    assert token.startswith(MARK)
    assert "\n" not in token
    presigned = read(token, server_id=SERVER_ID, now=time.time())
    assert presigned.host == "sts.us-east-1.amazonaws.com"
    assert 890 < presigned.ends - time.time() <= 901


def test_it_holds_a_signature_and_no_secret(run: Run) -> None:
    told = unpacked(made(run, **KEYS))
    assert told["headers"] == {HEADER: SERVER_ID}
    assert f"X-Amz-SignedHeaders=host%3B{HEADER}" in told["url"]
    assert SECRET not in json.dumps(told)
    assert "canary/Secret" not in json.dumps(told)


@pytest.mark.parametrize(
    ("words", "environ", "host"),
    [
        (["--region", "cn-north-1"], KEYS, "sts.cn-north-1.amazonaws.com.cn"),
        (["--region", "us-gov-west-1"], KEYS | {"AWS_REGION": "eu-west-1"}, "sts.us-gov-west-1.amazonaws.com"),
        ([], KEYS | {"AWS_DEFAULT_REGION": "eu-central-1"}, "sts.eu-central-1.amazonaws.com"),
        ([], KEYS | {"AWS_REGION": "eu-north-1"}, "sts.eu-north-1.amazonaws.com"),
        (["--profile", "dev"], {}, "sts.eu-west-1.amazonaws.com"),
        ([], {"AWS_PROFILE": "dev"}, "sts.eu-west-1.amazonaws.com"),
        (["--profile", "dev", "--region", "us-west-2"], {}, "sts.us-west-2.amazonaws.com"),
    ],
)
def test_the_region_is_the_option_s_or_the_profile_s(
    run: Run, words: list[str], environ: dict[str, str], host: str
) -> None:
    assert read(made(run, *words, **environ), server_id=SERVER_ID, now=time.time()).host == host


def test_for_scripts(run: Run) -> None:
    told = json.loads(made(run, "--json", **KEYS))
    assert told.keys() == {"token", "expires_at", "host", "server_id"}
    assert (told["host"], told["server_id"]) == ("sts.us-east-1.amazonaws.com", SERVER_ID)
    ends = datetime.strptime(told["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert ends == read(told["token"], server_id=SERVER_ID, now=time.time()).ends


@pytest.mark.parametrize(
    ("words", "environ", "code", "said"),
    [
        ([], {}, 1, "no credentials of AWS here; log in with `aws sso login`"),
        (["--profile", "nobody"], {}, 1, "AWS's configuration cannot be used"),
        (["--profile", "ended"], {}, 1, "aws sso login"),
        (["--profile", "broken"], {}, 1, "There are no credentials of AWS: "),
        (["--profile", "babble"], {}, 1, "There are no credentials of AWS: "),
        (["--profile", "moon"], {}, 2, "no region of AWS"),
        (["--region", "us-moon-1"], KEYS, 2, "no region of AWS"),
        (["--region", "us-east-1.evil.example"], KEYS, 2, "no region of AWS"),
        ([], KEYS | {"AWS_SESSION_TOKEN": "x" * LONGEST_TEXT}, 1, "too long"),
    ],
)
def test_refusals_are_sentences(run: Run, words: list[str], environ: dict[str, str], code: int, said: str) -> None:
    ended, out, err = run("--server-id", SERVER_ID, *words, **environ)
    assert (ended, out) == (code, "")
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert SECRET not in err


@pytest.mark.parametrize("name", ["", "a b", "x\r\nHost: evil", "été", "a\x00b"])
def test_a_name_that_no_header_could_carry_is_refused(run: Run, name: str) -> None:
    code, out, err = run("--server-id", name, **KEYS)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_the_name_of_the_gateway_has_to_be_said(run: Run) -> None:
    assert run(**KEYS)[0] == 2
