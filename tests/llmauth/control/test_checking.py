"""What the holder of a credential is asked about it: by its own means, and without telling it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmauth.config.settings import read_settings
from llmauth.context import Target
from llmauth.control.checking import check, permit
from llmauth.demo.emulators import Emulators
from llmauth.gateway import Gateway
from tests.fixtures.serving import provider_environment, settings


async def asked(tmp_path: Path, emulators: Emulators, *, fetch: bool) -> list[dict[str, Any]]:

    file = tmp_path / "c.yaml"
    file.write_text(json.dumps(settings(emulators, 0), default=dict))
    environ = {**provider_environment(emulators), "LLMAUTH_HOME": str(tmp_path / "home")}
    gateway = Gateway(read_settings([file], environ), environ)
    gateway.start()
    try:
        if fetch:
            for name, provider in (("openai", "openai"), ("bedrock_us1", "bedrock")):
                await gateway.credential.acquire(Target(instance=name, provider=provider))
        return [
            await check(gateway, {"instance": "openai"}),
            await permit(gateway, {"instance": "bedrock_us1", "model": "anthropic.claude-3-haiku-20240307-v1:0"}),
            await check(gateway, {"instance": "nobody"}),
            await permit(gateway, {"instance": ["x"]}),
        ]
    finally:
        gateway.close()


async def test_the_leased_credential_is_shown_to_its_provider(tmp_path: Path, monkeypatch) -> None:
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Emulators(pace=0.001, tokens=4) as emulators:
        accepted, permitted, nobody, nonsense = await asked(tmp_path, emulators, fetch=True)
        for secret in (emulators.credentials.openai_key, emulators.credentials.aws_secret_access_key):
            assert secret not in f"{accepted}{permitted}"
    assert accepted["accepted"]["outcome"] == "accepted"
    assert [one["state"] for one in permitted["permissions"]["actions"]] == ["allowed"] * 4
    assert (nobody["accepted"], nonsense["permissions"]) == (None, None)
