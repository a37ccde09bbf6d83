"""What a proxy of one command is started with; that it lives and goes with it, test_run.py shows."""

from __future__ import annotations

import os

import pytest

from llmauth.cli.own import _surroundings, outside_proxy, shown


@pytest.mark.parametrize(
    ("variables", "taken"),
    [
        ({"HTTPS_PROXY": "http://u:p@proxy.corp:3128"}, "http://u:p@proxy.corp:3128"),
        ({"https_proxy": "http://proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "http://me:llmauth_abc_def@127.0.0.1:8080"}, None),
        ({"HTTPS_PROXY": "socks5://proxy.corp"}, None),
        ({}, None),
    ],
)
def test_the_way_outside_is_the_companys_and_never_ourselves(variables: dict[str, str], taken: str | None) -> None:
    assert outside_proxy(variables) == taken
    assert _surroundings(variables).get("LLMAUTH_OUTSIDE_PROXY") == taken


def test_it_is_told_whose_it_is_and_keeps_its_users_credentials() -> None:
    child = _surroundings({"OPENAI_API_KEY": "sk-real", "PYTHONPATH": "/mine"})
    assert (child["LLMAUTH_RUNNER"], child["OPENAI_API_KEY"]) == (str(os.getpid()), "sk-real")
    assert child["PYTHONPATH"].endswith(":/mine")


def test_an_address_is_shown_without_its_user() -> None:
    assert shown("http://u:p@proxy.corp:3128/") == "proxy.corp:3128"
