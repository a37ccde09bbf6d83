"""What a child finds in its environment, and what of the user's own it does not find there any more."""

from __future__ import annotations

import re

import pytest

from llmauth.clients.trust import ADDING, REPLACING, TrustFiles
from llmauth.clients.values import PLACEHOLDER, Ambient
from llmauth.clients.variables import BYPASSES, TABLE, secret_names
from llmauth.secrets import Secret
from tests.fixtures.serving import ROOT
from tests.llmauth.clients.conftest import INSTANCES, KEY, Made

PROXY = f"http://you:{KEY}@127.0.0.1:8080"


def test_the_way_is_written_as_each_program_reads_it(made: Made) -> None:
    child = made()
    assert (child["HTTPS_PROXY"], child["https_proxy"]) == (PROXY, PROXY)
    assert child["NO_PROXY"] == child["no_proxy"]
    assert {"169.254.169.254", "localhost"} <= set(child["NO_PROXY"].split(","))
    assert "HTTP_PROXY" not in child
    assert child["NODE_USE_ENV_PROXY"] == "1"


def test_every_variable_for_roots_names_a_file_of_ours(made: Made, trust: TrustFiles) -> None:
    child = made()
    assert {child[name] for name in REPLACING} == {str(trust.bundle)}
    assert {child[name] for name in ADDING} == {str(trust.extra)}


def test_the_credential_stands_where_each_sdk_keeps_its_own(made: Made) -> None:
    child = made({"OPENAI_API_KEY": "sk-real"})
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "LLMAUTH_KEY")
    assert {child[name] for name in names} == {KEY}
    assert "AZURE_OPENAI_API_KEY" not in child


def test_it_is_not_shown_to_providers_that_are_not_served(made: Made) -> None:
    """A key of ours in a slot whose host is only tunnelled would be sent to a stranger."""
    child = made({"ANTHROPIC_API_KEY": "sk-ant-mine"}, instances=INSTANCES[:1])
    assert child["ANTHROPIC_API_KEY"] == "sk-ant-mine"
    assert "AWS_BEARER_TOKEN_BEDROCK" not in child


def test_what_holds_it_is_known_to_be_secret(made: Made) -> None:
    """Whatever holds the credential is marked, and nothing that a program prints when it starts."""
    child = made(program="claude")
    assert {name for name, value in child.items() if KEY in value} <= secret_names()
    assert not {"JAVA_TOOL_OPTIONS", "NODE_OPTIONS", "NO_PROXY"} & secret_names()


def test_claude_code_is_given_a_token_and_no_base_url(made: Made) -> None:
    child = made({"ANTHROPIC_BASE_URL": "https://elsewhere.example"}, program="claude")
    assert child["ANTHROPIC_AUTH_TOKEN"] == KEY
    assert not {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"} & child.keys()


def test_without_authentication_sdks_get_a_placeholder(made: Made) -> None:
    child = made(credential=None)
    assert (child["HTTPS_PROXY"], child["OPENAI_API_KEY"]) == ("http://127.0.0.1:8080", PLACEHOLDER)
    assert "LLMAUTH_KEY" not in child


@pytest.mark.parametrize("name", sorted(name for name, of in BYPASSES.items() if of != "vertex"))
def test_what_leads_around_the_proxy_is_taken_away(made: Made, name: str) -> None:
    assert name not in made({name: "https://elsewhere.example/v1"})
    assert made({name: "http://localhost:8080/transparent/openai/v1"})[name].startswith("http://localhost")
    assert made({name: "https://elsewhere.example/v1"}, instances=())[name]


def test_exceptions_that_cover_a_provider_do_not_count(made: Made) -> None:
    mine = ".corp.example,10.0.0.0/8,*.openai.com,amazonaws.com,api.anthropic.com:443"
    left = set(made({"NO_PROXY": mine, "no_proxy": "build.example"})["NO_PROXY"].split(","))
    assert {".corp.example", "10.0.0.0/8", "build.example"} <= left
    assert not {"*.openai.com", "amazonaws.com", "api.anthropic.com:443"} & left
    assert "*" not in made({"NO_PROXY": "*"})["NO_PROXY"].split(",")


def test_an_aws_identity_of_the_users_stays(made: Made) -> None:
    mine = {"AWS_ACCESS_KEY_ID": "ASIAMINE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y"}
    assert mine.items() <= made(mine, ambient=Ambient(aws=True)).items()
    dummy = made({"AWS_SESSION_TOKEN": "left over"})
    assert dummy["AWS_ACCESS_KEY_ID"]
    assert dummy["AWS_EC2_METADATA_DISABLED"] == "true"
    assert "AWS_SESSION_TOKEN" not in dummy


def test_a_region_is_named_only_where_there_is_none(made: Made) -> None:
    assert made()["AWS_REGION"] == made()["AWS_DEFAULT_REGION"] == "us-east-1"
    assert "AWS_REGION" not in made({"AWS_DEFAULT_REGION": "eu-west-1"})


def test_where_the_proxy_keeps_its_credential_is_no_business_of_the_childs(made: Made) -> None:
    assert "MY_PROVIDER_KEY" not in made({"MY_PROVIDER_KEY": "sk-real"})


def test_base_urls_are_set_where_they_are_wanted(made: Made) -> None:
    child = made(base_urls=True)
    assert child["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/transparent/openai/v1"
    assert child["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8080/transparent/claude"
    # "Bearer token authentication" of botocore wants TLS.
    assert "AWS_ENDPOINT_URL_BEDROCK_RUNTIME" not in child
    assert made(base_urls=True, url="https://proxy.corp")["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"].endswith("/us1")


def test_everything_else_is_as_the_user_has_it(made: Made) -> None:
    mine = {"PATH": "/bin", "HTTP_PROXY": "http://old:3128", "NODE_OPTIONS": "--trace-warnings", "EMPTY": ""}
    child = made(mine)
    assert {name: child[name] for name in ("PATH", "HTTP_PROXY", "EMPTY")} == {
        name: mine[name] for name in ("PATH", "HTTP_PROXY", "EMPTY")
    }
    assert child["NODE_OPTIONS"].startswith("--trace-warnings --require ")
    assert made(dict(child))["NODE_OPTIONS"] == child["NODE_OPTIONS"]


def test_every_row_tells_who_reads_it_and_where_that_is_written() -> None:
    names = [name for row in TABLE for name in row.names]
    assert len(names) == len(set(names))
    assert all(
        row.reader and row.source and all(map(re.compile(r"[A-Za-z_]+\d?[A-Z_]*").match, row.names)) for row in TABLE
    )


def test_a_credential_with_signs_of_its_own_is_encoded_in_the_url_alone(made: Made) -> None:
    child = made(credential=Secret("a/b@c"))
    assert child["HTTPS_PROXY"] == "http://you:a%2Fb%40c@127.0.0.1:8080"
    assert child["OPENAI_API_KEY"] == "a/b@c"


def test_the_page_shows_every_variable_and_its_reader() -> None:
    page = (ROOT / "docs" / "clients" / "README.md").read_text(encoding="utf-8")
    rows = [f"| {', '.join(f'`{name}`' for name in row.names)} | {row.reader} |" for row in TABLE]
    assert [row for row in rows if row not in page] == []
