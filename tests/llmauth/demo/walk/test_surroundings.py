"""What child processes inherit."""

from __future__ import annotations

from llmauth.demo.walk.surroundings import for_caller, for_proxy

DEVELOPER = {
    "PATH": "/bin",
    "HOME": "/home/dev",
    "OPENAI_API_KEY": "sk-real",
    "AWS_PROFILE": "prod",
    "HTTPS_PROXY": "http://corp:3128",
    "LLMAUTH_CONFIG": "other.yaml",
}


def test_nothing_of_a_developers_cloud_reaches_the_proxy() -> None:
    environ = for_proxy(DEVELOPER, {"LLMAUTH_HOME": "/state"})
    assert environ == {"PATH": "/bin", "HOME": "/home/dev", "LLMAUTH_HOME": "/state"}


def test_a_caller_has_an_empty_home_and_its_own_variables() -> None:
    environ = for_caller(DEVELOPER, "/empty", {"OPENAI_API_KEY": "sk-placeholder"})
    assert environ == {"PATH": "/bin", "HOME": "/empty", "OPENAI_API_KEY": "sk-placeholder"}
