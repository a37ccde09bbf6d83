"""Keeps the credential that we sent from coming back in the head of an answer: a provider may repeat what it heard."""

from __future__ import annotations

import logging

from mitmproxy import http

from addons.exchange import Exchanges
from llmauth.reflection import mask, masked, shows

logger = logging.getLogger(__name__)


class Reflections:
    """Masks it before anybody reads the head: caller, log or error text. Bodies pass as they came, byte for byte."""

    name = "reflections"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.sent_at is None or flow.response is None:
            return
        head, secrets = flow.response.data, exchange.secrets
        if not secrets or not shows(secrets, head.headers.fields, head.reason):
            return
        fields, reason = masked(secrets, head.headers.fields), mask(secrets, head.reason)
        if (fields, reason) == (head.headers.fields, head.reason):
            return
        head.headers.fields, head.reason = fields, reason
        instance = exchange.handler.name if exchange.handler is not None else None
        logger.warning(
            "The head of an answer repeated our credential; it was masked",
            extra={"request_id": exchange.context.request_id, "instance": instance},
        )
