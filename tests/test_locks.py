"""The reader of locks sees every entry and everybody who wanted it, and refuses what it does not know."""

from __future__ import annotations

import pytest

from tests.locks import Locked, brought_by, parse

HASH = "0" * 64
LOCK = f"""\
# This file was made
click==8.5.1 \\
    --hash=sha256:{HASH} \\
    --hash=sha256:{HASH}
    # via flask
ruamel.yaml==0.19.1 ; python_full_version < '3.13' \\
    --hash=sha256:{HASH}
    # via
    #   -r requirements.in
    #   mitmproxy
flask==3 \\
    --hash=sha256:{HASH}
    # via mitmproxy
typer==1 \\
    --hash=sha256:{HASH}
    # via -r requirements.in
""".splitlines()


def test_reads_entries() -> None:
    click, ruamel, *_ = parse(LOCK)
    assert click == Locked(name="click", version="8.5.1", marker="", hashes=[HASH, HASH], wanted_by=["flask"])
    assert (ruamel.name, ruamel.marker) == ("ruamel-yaml", "python_full_version < '3.13'")
    assert ruamel.wanted_by == ["-r requirements.in", "mitmproxy"]


def test_follows_what_a_package_brings() -> None:
    assert brought_by("mitmproxy", parse(LOCK)) == {"mitmproxy", "flask", "click", "ruamel-yaml"}


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.corp/simple",
        "    --find-links /srv/wheels",
        "click>=8 \\",
        "click @ https://packages.corp/click.whl",
        "    # from https://packages.corp/simple",
    ],
)
def test_refuses_what_it_does_not_know(line: str) -> None:
    with pytest.raises(ValueError, match="no part of a lock"):
        parse([line])
