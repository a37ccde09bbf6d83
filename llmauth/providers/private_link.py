"""AWS PrivateLink: the names of interface endpoints, and the host of the service that each is signed for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmauth.addresses import HostPort

# "vpce-0fe5b17a0707d6abc-29p5708s.service.us-east-1.vpce.amazonaws.com", and the same of one zone.
_ENDPOINT = re.compile(r"vpce-[a-z0-9-]+\.([a-z0-9-]+)\.([a-z0-9-]+)\.vpce\.amazonaws\.(?:com|com\.cn|eu)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A service in a region, as the name of an interface endpoint tells it."""

    service: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface endpoint that was configured: what is meant for `service` is dialled at `place`.

    Only the address is the endpoint's. The request names the service, in TLS too, and is signed for it, just as with
    private DNS, so that the endpoint's own name is never what AWS verifies a signature by.
    """

    place: HostPort
    service: HostPort


def endpoint(host: str) -> Endpoint | None:
    """What a normalised host is an interface endpoint of; `None` where it is not AWS's name of one."""
    found = _ENDPOINT.fullmatch(host)
    return None if found is None else Endpoint(service=found[1], region=found[2])
