"""A pinned option stays as it is, on whatever way somebody tries to change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import exceptions, options

from addons.launch.ending import Misused
from addons.launch.pinned import Guard, check, pin, unknown, wanted


@pytest.fixture
def tried() -> list[tuple[str, Any]]:
    return []


@pytest.fixture
def pinned(tried: list[tuple[str, Any]]) -> options.Options:
    made = options.Options()
    pin(made, wanted(made, {"ssl_insecure": False, "http2": False}), lambda name, value: tried.append((name, value)))
    return made


def test_values_are_in_force(pinned: options.Options) -> None:
    assert pinned.http2 is False
    assert pinned.upstream_cert is True  # mitmproxy's default, where nobody wants another value


CHANGES: dict[str, Callable[[options.Options], object]] = {
    "update": lambda made: made.update(ssl_insecure=True),
    "set": lambda made: made.set("ssl_insecure=true"),
    "attribute": lambda made: setattr(made, "ssl_insecure", True),
    "toggle": lambda made: made.toggler("ssl_insecure")(),
    "with another": lambda made: made.update(showhost=True, ssl_insecure=True),
    "half of an update": lambda made: made.update(ssl_insecure=True, showhost="no"),
    "other half of an update": lambda made: made.update(showhost="no", ssl_insecure=True),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_change_is_refused(pinned: options.Options, tried: list[tuple[str, Any]], how: str) -> None:
    with pytest.raises((exceptions.OptionsError, TypeError)):
        CHANGES[how](pinned)
    assert pinned.ssl_insecure is False
    assert pinned.showhost is False
    assert all(one == ("ssl_insecure", True) for one in tried)


def test_a_rollback_leaves_it_pinned(pinned: options.Options) -> None:
    for _ in range(2):
        with pytest.raises(exceptions.OptionsError):
            pinned.update(ssl_insecure=True)


def test_a_reset_leaves_it_pinned(pinned: options.Options) -> None:
    pinned.reset()
    assert pinned.http2 is False
    with pytest.raises(exceptions.OptionsError):
        pinned.update(http2=True)


def test_the_same_value_is_no_change(pinned: options.Options) -> None:
    pinned.update(ssl_insecure=False)
    pinned.update(server=False)  # draining


def test_an_option_that_is_declared_anew_is_put_back(pinned: options.Options) -> None:
    guard = Guard(pinned)
    pinned.changed.connect(guard.configure)
    with pytest.raises(exceptions.OptionsError, match="ssl_insecure"):
        pinned.add_option("ssl_insecure", bool, True, "mine")
    assert pinned.ssl_insecure is False
    pinned.add_option("of_a_script", bool, True, "its own")
    assert pinned.of_a_script is True


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ssl_insecure": True}, "ssl_insecure may not be set"),
        ({"ignore_hosts": [".*"]}, "ignore_hosts may not be set"),
        ({"mode": ["socks5"]}, "the section server:"),
        ({"mode": ["regular@127.0.0.1:1"]}, "the section server:"),
        ({"listen_port": 8080}, "the section server:"),
    ],
)
def test_what_the_user_gave_is_judged_before(given: dict[str, Any], named: str) -> None:
    made = options.Options(**given)
    with pytest.raises(Misused, match=named):
        check(made, wanted(made, {"mode": ["regular@127.0.0.1:1"]}))


def test_what_does_no_harm_may_be_given() -> None:
    made = options.Options(showhost=True, http2=False)
    check(made, wanted(made, {"http2": False}))


@pytest.mark.parametrize(("name", "hint"), [("http3x", "did you mean http3?"), ("zzzzz", "'zzzzz'.")])
def test_an_option_that_nobody_knows(name: str, hint: str) -> None:
    made = options.Options()
    assert unknown(made) is None
    made.set(f"{name}=1", defer=True)
    assert hint in str(unknown(made))
