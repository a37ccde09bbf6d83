"""AWS profiles: static keys, roles, sign-in sessions, processes; and nothing that is not the profile."""

from __future__ import annotations

import json
import sys
import time

import pytest

from llmauth.credentials.aws_profile import AwsProfileOptions, AwsProfileStrategy
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

ROLE = "arn:aws:iam::123456789012:role/dev"


@pytest.fixture
def profile(standing, tmp_path, monkeypatch):
    """A factory: the text of ~/.aws/config, and the profile that is meant."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)

    def make(config: str, name: str | None = "dev", **environ: str) -> AwsProfileStrategy:
        path = tmp_path / "config"
        path.write_text(config)
        surroundings = standing("bedrock", {"AWS_CONFIG_FILE": str(path), **environ})
        return AwsProfileStrategy(AwsProfileOptions(profile=name), surroundings)

    return make


KEYS = "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = s3cret\n"
STATIC = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("s3cret"))


def test_static_keys(profile) -> None:
    loaded = profile(f"[profile dev]\n{KEYS}").load()
    assert loaded.credential == STATIC
    assert loaded.source == "AWS profile dev (config-file)"
    assert loaded.expires_at is None


def test_keys_of_the_credentials_file(profile, tmp_path) -> None:
    (tmp_path / "credentials").write_text(f"[dev]\n{KEYS}")
    one = profile("", AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"))
    assert one.load().credential == STATIC


def test_a_profile_by_the_environment(profile) -> None:
    config = f"[profile work]\n{KEYS}[default]\naws_access_key_id = other\naws_secret_access_key = x\n"
    assert profile(config, None, AWS_PROFILE="work").load().credential == STATIC
    assert profile(config, None).load().source.startswith("AWS profile default")


def test_a_changed_profile_is_seen(profile) -> None:
    profile(f"[profile dev]\n{KEYS}").load()
    changed = profile("[profile dev]\naws_access_key_id = NEW\naws_secret_access_key = new\n").load()
    assert changed.credential == AwsKeys(access_key_id="NEW", secret_access_key=Secret("new"))


@pytest.mark.parametrize("name", ["dev", "default", None])
def test_an_absent_profile_is_unavailable(profile, name) -> None:
    with pytest.raises(SourceUnavailable, match="there is no AWS profile"):
        profile("", name).load()


def test_a_profile_without_credentials_does_not_become_the_machine(profile, serve, monkeypatch) -> None:
    metadata = serve(lambda _: (200, "{}"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", metadata.url)
    with pytest.raises(SourceUnavailable, match="holds no credentials"):
        profile("[profile dev]\nregion = eu-west-1\n").load()
    assert not metadata.asked


def test_keys_of_the_environment_are_not_the_profile(profile, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env")
    assert profile(f"[profile dev]\n{KEYS}").load().credential == STATIC


def sts(code: str | None = None):
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    if code is not None:
        return 403, f"<ErrorResponse><Error><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
    return 200, (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s"
        f"</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{expires}</Expiration></Credentials>"
        "</AssumeRoleResult></AssumeRoleResponse>"
    )


ASSUMING = f"[profile base]\n{KEYS}[profile dev]\nrole_arn = {ROLE}\nsource_profile = base\n"


def test_a_role_carries_its_end(profile, serve, monkeypatch) -> None:
    loopback = serve(lambda _: sts())
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", loopback.url)
    loaded = profile(ASSUMING).load()
    assert loaded.credential == AwsKeys(access_key_id="ASIA1", secret_access_key=Secret("s"), session_token=Secret("t"))
    assert loaded.expires_at is not None
    assert 3500 < loaded.expires_at - time.time() <= 3600
    assert "Credential=AKIDEXAMPLE/" in loopback.asked[0].headers["authorization"]


def test_a_refused_role_is_told_by_its_code(profile, serve, monkeypatch, caplog) -> None:
    loopback = serve(lambda _: sts("AccessDenied"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", loopback.url)
    with pytest.raises(SourceFailed) as caught:
        profile(ASSUMING).load()
    assert caught.value.reason == "AWS refused AWS profile dev: AccessDenied"
    assert len(loopback.asked) == 1


def test_sts_in_trouble_is_asked_once(profile, serve, monkeypatch) -> None:
    loopback = serve(lambda _: (503, ""))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", loopback.url)
    with pytest.raises(SourceFailed, match="AWS refused AWS profile dev: 503"):
        profile(ASSUMING).load()
    assert len(loopback.asked) == 1


@pytest.mark.parametrize("place", ["dev", "base"])
def test_nobody_is_asked_for_an_mfa_code(profile, place) -> None:
    serial = "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    config = ASSUMING + serial if place == "dev" else ASSUMING.replace("[profile dev]", f"{serial}[profile dev]")
    with pytest.raises(SourceFailed, match=f"AWS profile {place} wants an MFA code"):
        profile(config).load()


def test_an_ended_sign_in_says_what_to_run(profile) -> None:
    config = (
        "[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = LLM\n"
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n"
    )
    with pytest.raises(SourceFailed, match="aws sso login --profile dev"):
        profile(config).load()


def test_a_process(profile, tmp_path) -> None:
    given = {"Version": 1, "AccessKeyId": "ASIA2", "SecretAccessKey": "p", "SessionToken": "q"}
    (tmp_path / "give.py").write_text(f"print('''{json.dumps(given | {'Expiration': '2099-01-01T00:00:00Z'})}''')")
    loaded = profile(f"[profile dev]\ncredential_process = {sys.executable} {tmp_path}/give.py\n").load()
    assert loaded.credential == AwsKeys(access_key_id="ASIA2", secret_access_key=Secret("p"), session_token=Secret("q"))
    assert loaded.expires_at == 4070908800


def test_a_circle_of_profiles_ends(profile) -> None:
    config = "".join(
        f"[profile {a}]\nrole_arn = {ROLE}\nsource_profile = {b}\n" for a, b in [("dev", "b"), ("b", "dev")]
    )
    with pytest.raises(SourceFailed, match="InfiniteLoopConfigError"):
        profile(config).load()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "there is no AWS profile dev"),
        ({"/home/me/.aws/config": "[profile devel]\n[other]\n# [dev]"}, "there is no AWS profile dev"),
        ({"/home/me/.aws/config": "[profile  dev]\nregion = x"}, None),
        ({"/home/me/.aws/config": '[profile "dev"]'}, None),
        ({"/home/me/.aws/credentials": "[other]\n [dev]\n"}, None),
        ({"/elsewhere/config": "[profile dev]"}, "there is no AWS profile dev"),
        ({"/home/me/.aws/config": "#" * 64 * 1024}, None),
    ],
)
def test_a_profile_that_is_certainly_not_there(standing, files, reason) -> None:
    here = standing("bedrock", {"HOME": "/home/me"}, files)
    assert AwsProfileStrategy(AwsProfileOptions(profile="dev"), here).unavailable() == reason


def test_the_files_that_the_environment_names_count(standing) -> None:
    environ = {"HOME": "/home/me", "AWS_CONFIG_FILE": "/etc/aws", "AWS_PROFILE": "work"}
    here = standing("bedrock", environ, {"/etc/aws": "[profile work]"})
    assert AwsProfileStrategy(AwsProfileOptions(), here).unavailable() is None
