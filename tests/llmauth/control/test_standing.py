"""What a proxy tells of itself: where it listens, and whom it signs as; no secret."""

from __future__ import annotations

from pathlib import Path

from llmauth.config.settings import read_settings
from llmauth.control.standing import standing
from llmauth.gateway import Gateway


async def test_it_tells_its_ports_and_its_authority(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("server: {port: 18080}\ninstances: {openai: {type: openai}}\n")
    environ = {"LLMAUTH_HOME": str(tmp_path / "home"), "OPENAI_API_KEY": "sk-canary-7f3a"}
    gateway = Gateway(read_settings([file], environ), environ)
    told = standing(gateway)
    gateway.close()
    assert (told["host"], told["port"], told["tls_port"]) == ("127.0.0.1", 18080, None)
    assert told["ca"] == gateway.authority.fingerprint()
    assert "canary" not in str(told)
