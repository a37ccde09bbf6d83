"""The order of the chain is a promise: who comes first, who has the last word, and that nobody is unguarded."""

from __future__ import annotations

from mitmproxy.hooks import all_hooks

from addons.chain import chain
from tests.addons.conftest import House

# Hooks in which something is decided about a request that has not left yet.
DECIDING = ("http_connect", "requestheaders", "request")


def _names(house: House) -> list[str]:
    return [addon.name for addon in chain(house.gateway, house.exchanges)]


def test_every_addon_has_a_name_of_its_own(house: House) -> None:
    names = _names(house)
    assert len(set(names)) == len(names)


def test_the_order_is_the_one_that_the_rules_need(house: House) -> None:
    names = _names(house)
    assert names[:2] == ["repeats", "arrive"]
    assert names[-1] == "gate"
    in_order = ["arrive", "screen", "token_hosts", "authenticate", "route", "inject", "remember", "gate"]
    assert [name for name in names if name in in_order] == in_order
    assert names.index("authenticate") < names.index("scrape")
    assert names.index("inject") < names.index("report"), "the report must see what the provider's answer became"


def test_between_the_first_and_the_last_every_deciding_hook_is_guarded(house: House) -> None:
    unguarded = {
        (addon.name, hook)
        for addon in chain(house.gateway, house.exchanges)
        for hook in DECIDING
        if hasattr(addon, hook) and not hasattr(getattr(addon, hook), "__wrapped__")
    }
    assert {name for name, _ in unguarded} == {"repeats", "arrive", "gate"}


def test_a_head_that_is_known_is_settled_for_those_who_judge_it_and_for_nobody_else(house: House) -> None:
    addons = chain(house.gateway, house.exchanges)
    settled = {addon.name for addon in addons if addon in addons[0]._settled.addons}
    names = _names(house)
    assert settled == set(names[names.index("arrive") : names.index("remember") + 1])
    assert settled.isdisjoint({"gate", "report", "reflections", "deadlines", "connections", "faults"})


def test_no_addon_has_a_hook_that_mitmproxy_does_not_call(house: House) -> None:
    """A hook with a typing error would never run, and nobody would notice."""
    known = {*all_hooks, "name"}
    for addon in chain(house.gateway, house.exchanges):
        public = {name for name in vars(type(addon)) if not name.startswith("_")}
        assert public - known <= {"tell", "tell_also", "look", "stopped"}, type(addon).__name__


def test_all_addons_share_one_memory(house: House) -> None:
    for addon in chain(house.gateway, house.exchanges):
        assert addon.exchanges is house.exchanges
