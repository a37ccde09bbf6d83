"""Java's probe is one file, which asks the place that it is told."""

from __future__ import annotations

from pathlib import Path

from llmauth.doctor.stacks.java import java
from llmauth.doctor.stacks.stack import Place


def test_its_source_is_written_beside_it(tmp_path: Path) -> None:
    (stack,) = java("/usr/bin/java")
    place = Place(url="https://h.test/page", host="h.test", proxy_port=1, folder=tmp_path, environ={})
    command = stack.program(place).command
    assert command[-2:] == [str(tmp_path / "Probe.java"), "https://h.test/page"]
    assert "HttpClient.newHttpClient()" in (tmp_path / "Probe.java").read_text()
