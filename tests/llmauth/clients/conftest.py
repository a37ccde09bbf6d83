"""A proxy of two providers, the files of a run, and what is made of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from llmauth.ca import Authority
from llmauth.clients.served import ServedInstance, ServedProxy
from llmauth.clients.trust import TrustFiles, write_trust
from llmauth.clients.variables import environment
from llmauth.secrets import Secret

KEY = "llmauth_canary00canary_7f3a"
INSTANCES = (
    ServedInstance(name="openai", provider="openai", hosts=("api.openai.com",), variables=("MY_PROVIDER_KEY",)),
    ServedInstance(name="claude", provider="anthropic", hosts=("api.anthropic.com",)),
    ServedInstance(
        name="us1", provider="bedrock", hosts=("bedrock-runtime.us-east-1.amazonaws.com",), region="us-east-1"
    ),
)
Made = Callable[..., Mapping[str, str]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("ca")
    folder.chmod(0o700)
    return Authority.load_or_create(folder, ["api.openai.com"], create=True)


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> TrustFiles:
    return write_trust(tmp_path_factory.mktemp("trust"), authority.certificate_pem(), {})


@pytest.fixture
def made(trust: TrustFiles) -> Made:
    """The environment of a child, of the user's own variables."""

    def make(environ: Mapping[str, str] | None = None, **more: Any) -> Mapping[str, str]:
        proxy = ServedProxy(
            url=more.pop("url", "http://127.0.0.1:8080"), user="you", instances=more.pop("instances", INSTANCES)
        )
        return environment(proxy, more.pop("credential", Secret(KEY)), trust, environ or {}, **more)

    return make
