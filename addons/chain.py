"""The chain: every addon, in the order in which a flow meets them, in one list."""

from __future__ import annotations

from typing import Any

from addons.arrive import Arrive
from addons.authenticate import Authenticate
from addons.deadlines import Deadlines
from addons.endpoints import Endpoints, Scrape
from addons.exchange import Exchanges
from addons.faults import Faults
from addons.gate import Gate
from addons.inject import Inject
from addons.report import Report
from addons.route import Route
from addons.screen import Screen
from llmauth.gateway import Gateway


def chain(gateway: Gateway, exchanges: Exchanges) -> list[Any]:
    """The addons of one gateway. The order is the same for every hook, in both directions."""
    limits = gateway.settings.upstream
    report = Report(gateway, exchanges)
    return [
        Arrive(gateway, exchanges),
        Endpoints(gateway, exchanges),
        Screen(exchanges),
        Authenticate(gateway, exchanges),
        Scrape(gateway, exchanges, report.tell),
        Route(gateway, exchanges),
        Inject(gateway, exchanges),
        Faults(exchanges),
        Deadlines(exchanges, limits.connect_timeout, limits.first_byte_timeout),
        report,
        Gate(exchanges),
    ]
