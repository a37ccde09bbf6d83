"""Which providers a machine has, by variables and files, without a look at any secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.installation.found import Found, look


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    assert look({"HOME": str(tmp_path)}) == Found()


def test_variables_files_and_keyring(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-west-2\n")
    environ = {
        "HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": "canary",
        "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com",
    }
    seen = look(environ, [("llmauth", "openai"), ("llmauth", "session@x"), ("work", "anthropic")])
    assert seen.sources == {
        "openai": ("keyring llmauth/openai",),
        "anthropic": ("ANTHROPIC_API_KEY",),
        "bedrock": ("~/.aws/config",),
    }
    assert seen.region == "eu-west-1"
    assert look({**environ, "AWS_PROFILE": "dev"}).region == "eu-west-2"
    assert look({**environ, "AWS_REGION": "us-west-2"}).region == "us-west-2"
    assert seen.options == {"azure": {"base_url": "https://x.openai.azure.com"}}
    assert "canary" not in repr(seen)


@pytest.mark.parametrize("region", ["", "moon", "us-east-1}\nx: {", "US-EAST-1"])
def test_a_region_that_is_none_is_not_taken(tmp_path: Path, region: str) -> None:
    assert look({"HOME": str(tmp_path), "AWS_REGION": region}).region == "us-east-1"


def test_a_file_of_aws_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_bytes(b"\xff[[[")
    assert look({"HOME": str(tmp_path)}).region == "us-east-1"
