"""Options of methods that variables set."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.config.problems import ConfigError
from llmauth.config.settings import read_settings

WRITTEN = "auth: {methods: [api_key, {type: service_account, allowed: [team-a/app], audience: x}]}"


def methods(folder: Path, text: str, **environ: str):
    file = folder / "c.yaml"
    file.write_text(text)
    environ = {"HOME": str(folder), "LLMAUTH_HOME": str(folder), **environ}
    return read_settings([file], environ).auth.methods


def test_the_list_of_service_accounts_may_be_a_variable(tmp_path) -> None:
    _, accounts = methods(tmp_path, WRITTEN, ALLOWED_SERVICE_ACCOUNTS="team-b/*, team-c/app")
    assert (accounts.allowed, accounts.audience) == (("team-b/*", "team-c/app"), "x")


def test_without_it_the_file_counts(tmp_path) -> None:
    assert methods(tmp_path, WRITTEN)[1].allowed == ("team-a/app",)
    assert methods(tmp_path, WRITTEN, ALLOWED_SERVICE_ACCOUNTS="")[1].allowed == ("team-a/app",)


@pytest.mark.parametrize("text", ["auth: {methods: [service_account]}", "auth: {methods: [{type: service_account}]}"])
def test_a_bare_name_takes_it_too(tmp_path, text) -> None:
    (accounts,) = methods(tmp_path, text, ALLOWED_SERVICE_ACCOUNTS="team-b/*")
    assert accounts.allowed == ("team-b/*",)


def test_the_mode_of_the_environment_takes_it_too(tmp_path) -> None:
    (accounts,) = methods(tmp_path, "{}", AUTH_MODE="service_account", ALLOWED_SERVICE_ACCOUNTS="team-b/*")
    assert accounts.allowed == ("team-b/*",)


def test_a_wrong_list_is_told_by_the_variable(tmp_path) -> None:
    with pytest.raises(ConfigError, match="ALLOWED_SERVICE_ACCOUNTS"):
        methods(tmp_path, WRITTEN, ALLOWED_SERVICE_ACCOUNTS="*")


def test_nobody_is_let_in_without_a_list(tmp_path) -> None:
    with pytest.raises(ConfigError, match="allowed"):
        methods(tmp_path, "auth: {methods: [service_account]}")


def test_a_list_of_nothing_that_is_a_method_is_left_for_validation(tmp_path) -> None:
    for text in ("auth: {methods: [1]}", "auth: {methods: x}", "auth: {methods: [[]]}", "auth: [1]"):
        with pytest.raises(ConfigError):
            methods(tmp_path, text, ALLOWED_SERVICE_ACCOUNTS="team-b/*")


def test_other_methods_are_as_they_were(tmp_path) -> None:
    (keys,) = methods(tmp_path, "{}", ALLOWED_SERVICE_ACCOUNTS="team-b/*")
    assert keys.type == "api_key"


# ---- AUTH_MODE chooses among what is written -----------------------------------------------------------------------

BOTH = """
auth:
  methods:
    - {type: basic, htpasswd: users}
    - {type: oidc, issuer: "https://one.example", audience: [a]}
    - {type: oidc, issuer: "https://two.example", audience: [b]}
    - api_key
"""


def test_the_mode_keeps_the_options_of_the_file(tmp_path) -> None:
    (basic,) = methods(tmp_path, BOTH, AUTH_MODE="basic")
    assert basic.htpasswd == tmp_path / "users"
    assert [one.type for one in methods(tmp_path, BOTH, AUTH_MODE="api_key, basic")] == ["api_key", "basic"]
    issuers = [one.issuer for one in methods(tmp_path, BOTH, AUTH_MODE="oidc")]
    assert issuers == ["https://one.example", "https://two.example"]


def test_what_the_mode_does_not_name_is_off(tmp_path) -> None:
    assert [one.type for one in methods(tmp_path, BOTH, AUTH_MODE="api_key")] == ["api_key"]
    assert [one.type for one in methods(tmp_path, BOTH, AUTH_MODE="sigv4")] == ["sigv4"]
    assert len(methods(tmp_path, BOTH)) == 4


@pytest.mark.parametrize("mode", ["basic,basic", " basic , , basic,"])
def test_a_name_twice_is_once(tmp_path, mode) -> None:
    assert len(methods(tmp_path, BOTH, AUTH_MODE=mode)) == 1


@pytest.mark.parametrize("mode", ["mtls", "basic,mtls", "nothing", "Basic", "basic;api_key", "none", "basic\x00"])
def test_a_mode_that_cannot_be_ends_the_start(tmp_path, mode) -> None:
    """2.9 row 2."""
    with pytest.raises(ConfigError):
        methods(tmp_path, BOTH, AUTH_MODE=mode)


@pytest.mark.parametrize("written", ["{}", "auth: {}", "auth: {methods: x}", "auth: {methods: [1, [], {type: []}]}"])
def test_a_mode_over_a_file_without_methods(tmp_path, written) -> None:
    assert [one.type for one in methods(tmp_path, written, AUTH_MODE="api_key,sigv4")] == ["api_key", "sigv4"]
