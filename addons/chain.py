"""The chain: every addon, in the order in which a flow meets them, in one list."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from addons.answers import Answers
from addons.arrive import Arrive
from addons.audit import Audit
from addons.authenticate import Authenticate
from addons.checkup import Checkup
from addons.connections import Connections
from addons.deadlines import Deadlines
from addons.egress import Egress
from addons.endpoints import Endpoints, Scrape
from addons.exchange import Exchanges
from addons.failclosed import Settled
from addons.fanout import Fanout
from addons.faults import Faults
from addons.former import Former
from addons.gate import Gate
from addons.govern import Admission, Policies
from addons.inject import Inject
from addons.listing import Listing
from addons.login import Account, Login
from addons.meters import Meters
from addons.past import Past
from addons.reflections import Reflections
from addons.remembering import Remembering
from addons.repeats import Remember, Repeats
from addons.report import Report
from addons.route import Route
from addons.screen import Screen
from addons.token_hosts import TokenHosts
from addons.translate import Translate
from addons.websockets import WebSockets
from addons.welcome import Welcome
from llmauth.gateway import Gateway


def chain(gateway: Gateway, exchanges: Exchanges) -> list[Any]:
    """The addons of one gateway. The order is the same for every hook, in both directions."""
    log = gateway.recording.log
    audit = [Audit(log, exchanges)] if log is not None else []
    also = [each.tell for each in (*audit, gateway.exporter) if each is not None]
    report = Report(gateway, exchanges, also, Remembering(gateway, exchanges).keep)
    gateway.memory.settle_by(report.tell)
    tell = gateway.metrics.limit_reached
    connections, egress = Connections(gateway, exchanges, tell), Egress(gateway, exchanges)
    sockets = WebSockets(gateway, exchanges, tell=tell)
    looks = (connections.look, egress.look, sockets.look, Former(gateway, exchanges).look)
    judges = [
        Arrive(gateway, exchanges),
        Endpoints(gateway, exchanges),
        Screen(exchanges),
        TokenHosts(gateway, exchanges),
        Login(gateway, exchanges),
        Authenticate(exchanges),
        Scrape(gateway, exchanges, report.tell),
        Account(gateway, exchanges),
        Welcome(gateway, exchanges),
        Past(gateway, exchanges),
        Checkup(gateway, exchanges),
        Policies(exchanges),
        egress,
        Route(exchanges),
        sockets,
        Listing(exchanges),
        Translate(gateway, exchanges),
        Admission(gateway, exchanges),
        Inject(gateway, exchanges),
        Remember(exchanges),
    ]
    return [
        Repeats(gateway, exchanges, Settled(tuple(judges))),
        *judges,
        *audit,
        Reflections(exchanges),
        Fanout(exchanges),
        Meters(exchanges),
        Answers(gateway, exchanges),
        Faults(exchanges),
        connections,
        Deadlines(exchanges, tell=tell, dropped=report.stopped, also=looks),
        report,
        Gate(exchanges),
    ]


if __name__.startswith("__mitmproxy_script__"):
    # `mitmdump -s addons/chain.py`: then this file is no module of the chain but a front door, like `__main__`, and may
    # ask the floor above. mitmproxy finds its addons under this name.
    addons = [import_module(".launch.stock", "addons").Stock(__file__)]
