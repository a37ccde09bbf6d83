"""Rules of looks are put into the page that mitmproxy ships, once; what they name is really there."""

from __future__ import annotations

from pathlib import Path

from mitmproxy.tools.web import app

from addons.viewing.look import dressed


def test_the_page_of_this_version_is_dressed() -> None:
    plain = (Path(app.__file__).parent / "index.html").read_bytes()
    assert dressed(plain).count(b"<style>") == 1
    assert dressed(b"<head></head></head>").startswith(b"<head><style>")


def test_the_classes_that_are_named_are_mitmwebs() -> None:
    static = Path(app.__file__).parent / "static"
    text = b"".join(file.read_bytes() for file in static.rglob("*") if file.suffix in (".js", ".css"))
    for name in (
        b"kv-add-row",
        b"flow-menu",
        b"main-menu",
        b"menu-group",
        b"nav-tabs-lg",
        b"col-comment",
        b"inline-input",
        b"quickaction",
    ):
        assert name in text
