"""Lists of models: those that the configuration names, in the protocol of whoever asks, for callers that are known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.govern import Policies
from addons.listing import Listing
from addons.route import Route
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.test_route import arrived, status

VERSION = (b"anthropic-version", b"2023-06-01")


@pytest.fixture
def sections() -> dict[str, Any]:
    models = {
        "fast": {"instance": "openai", "model": "gpt-4o-mini"},
        "claude": {"instance": "anthropic", "model": "claude-sonnet-4-5"},
        "gpt-*": {"instance": "openai"},
    }
    return {"models": models}


def asked(house: House, path: bytes, *fields: tuple[bytes, bytes], method: bytes = b"GET") -> http.HTTPFlow:
    flow = arrived(house, flows.gateway(house.exchanges, path, *fields, method=method))
    Policies(house.exchanges).requestheaders(flow)
    Route(house.exchanges).requestheaders(flow)
    Listing(house.exchanges).requestheaders(flow)
    return flow


def told(flow: http.HTTPFlow) -> Any:
    assert flow.response
    return json.loads(flow.response.content or b"")


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        (b"/v1/models", ["claude", "fast"]),
        (b"/v1/models?limit=1000", ["claude", "fast"]),
        (b"/openai/anthropic/v1/models", ["claude"]),
        (b"/anthropic/openai/v1/models", ["fast"]),
    ],
)
async def test_the_names_of_the_configuration_are_listed(house: House, path: bytes, ids: list[str]) -> None:
    flow = asked(house, path)
    assert status(flow) == 200
    assert [one["id"] for one in told(flow)["data"]] == ids


async def test_an_instance_s_own_list_passes_where_it_speaks_the_protocol(house: House) -> None:
    assert asked(house, b"/openai/bare/models").response is None


async def test_the_protocol_is_told_by_path_or_by_header(house: House) -> None:
    assert told(asked(house, b"/v1/models"))["data"][0]["owned_by"] == "anthropic"
    assert told(asked(house, b"/v1/models", VERSION))["data"][0]["type"] == "model"
    assert told(asked(house, b"/anthropic/openai/v1/models"))["has_more"] is False


@pytest.mark.parametrize(
    ("path", "owner"),
    [(b"/v1/models/claude", "anthropic"), (b"/v1/models/gpt-5", "openai"), (b"/v1/models/openai%2Fgpt-4o", "openai")],
)
async def test_one_model_is_told_where_it_is_known_whose_it_is(house: House, path: bytes, owner: str) -> None:
    assert told(asked(house, path))["owned_by"] == owner


async def test_below_an_instance_a_model_is_told_by_the_form_of_its_id(house: House) -> None:
    assert told(asked(house, b"/openai/anthropic/v1/models/claude-opus-4-1"))["owned_by"] == "anthropic"
    assert status(asked(house, b"/openai/anthropic/v1/models/gpt-4o")) == 404


@pytest.mark.parametrize("path", [b"/v1/models/llama", b"/openai/anthropic/v1/models/llama"])
async def test_a_model_that_nobody_knows_is_a_404(house: House, path: bytes) -> None:
    flow = asked(house, path)
    assert status(flow) == 404
    assert told(flow)["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"PUT"])
async def test_a_list_is_read_and_nothing_else(house: House, method: bytes) -> None:
    assert status(asked(house, b"/v1/models", method=method)) == 405


async def test_what_is_no_list_is_left_to_others(house: House) -> None:
    assert asked(house, b"/v1/chat/completions", method=b"POST").response is None
    assert asked(house, b"/transparent/openai/v1/models").response is None


async def test_who_has_proved_nothing_is_told_nothing(house: House) -> None:
    """A1: names of models are the configuration's."""
    flow = flows.gateway(house.exchanges, b"/v1/models")
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    house.exchanges.of(flow).route = house.gateway.plan.mode.route(house.exchanges.of(flow).request)[0]
    Listing(house.exchanges).requestheaders(flow)
    assert status(flow) == 500
    assert b"claude" not in (flow.response.content or b"")
