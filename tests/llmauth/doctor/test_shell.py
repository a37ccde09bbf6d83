"""Variables that lead around the proxy or hold keys; their values are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.ca import Authority
from llmauth.config.settings import ca_domains
from llmauth.doctor.shell import examine
from tests.llmauth.doctor.conftest import Make

INSTANCES = {"openai": {"type": "openai"}, "bedrock": {"type": "bedrock"}}
KEY = "sk-" + "canary7f3a" * 4


def test_an_empty_environment_is_well(patient: Make) -> None:
    assert [one.verdict for one in examine(patient(instances=INSTANCES))] == ["ok"]


@pytest.mark.parametrize("value", ["api.openai.com", ".openai.com,localhost", "*", "localhost *.openai.com"])
def test_an_exception_that_covers_a_provider_is_named(patient: Make, value: str) -> None:
    (found,) = examine(patient({"NO_PROXY": value}, instances=INSTANCES))
    assert (found.verdict, "api.openai.com" in found.what) == ("warn", True)
    assert found.fix == "unset NO_PROXY, or llmauth run -- YOUR COMMAND"


@pytest.mark.parametrize("value", ["localhost,127.0.0.1", "openai.com.example", "169.254.169.254"])
def test_other_exceptions_are_nobodys_business(patient: Make, value: str) -> None:
    assert [one.verdict for one in examine(patient({"no_proxy": value}, instances=INSTANCES))] == ["ok"]


def test_a_real_key_is_told_of_and_not_shown(patient: Make) -> None:
    environ = {"OPENAI_API_KEY": KEY, "AWS_SECRET_ACCESS_KEY": "c" * 40, "ANTHROPIC_API_KEY": "placeholder"}
    found = list(examine(patient(environ, instances=INSTANCES)))
    assert [one.what.split(" ")[0] for one in found] == ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"]
    assert (found[0].fix or "").endswith("llmauth secret set openai, then unset OPENAI_API_KEY")
    assert KEY not in str(found)


def test_a_base_url_elsewhere_loses_its_user_and_its_password(patient: Make) -> None:
    environ = {"OPENAI_BASE_URL": "https://me:canary-9c1e@other.test/v1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:8080"}
    (found,) = examine(patient(environ, instances=INSTANCES))
    assert "leads to other.test" in found.what
    assert "canary" not in str(found)


def test_roots_that_lack_ours_matter_behind_the_proxy_alone(patient: Make, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text("none")
    one = patient({"SSL_CERT_FILE": str(roots)}, instances=INSTANCES)
    authority = Authority.load_or_create(one.settings.ca.folder, ca_domains(one.settings), create=True)
    assert [found.verdict for found in examine(one)] == ["ok"]
    behind = patient({"SSL_CERT_FILE": str(roots), "HTTPS_PROXY": "http://127.0.0.1:8080"}, instances=INSTANCES)
    assert ["lacks our CA" in found.what for found in examine(behind)] == [True]
    roots.write_text(authority.bundle())
    assert [found.verdict for found in examine(behind)] == ["ok"]
