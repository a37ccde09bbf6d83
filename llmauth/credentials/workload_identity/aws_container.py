"""AWS keys of a container: EKS Pod Identity, an ECS task, a Lambda snapshot, by the agent that stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from llmauth.addresses import is_loopback
from llmauth.credentials.workload_identity.aws_answers import code_in, keys
from llmauth.credentials.workload_identity.token_file import token_of
from llmauth.outbound import METADATA, Outbound
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed

RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
ASKED = "the container's credential endpoint"

_ECS = "http://169.254.170.2"
# The agents of ECS and of EKS: the only places, with this machine, that are shown our token in clear text.
_AGENTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})


def load(environ: Mapping[str, str], outbound: Outbound) -> Loaded | None:
    """What the agent gives; `None` where the environment names none. Raises SourceFailed.

    The token is read at each load, as Kubernetes rotates it.
    """
    url = _url(environ)
    if url is None:
        return None
    way = _way(url, outbound)
    answer = way.ask("GET", url, {"Accept": "application/json", **_authorization(environ)})
    told = answer.object()
    if answer.status != 200:
        code = code_in(told)
        raise SourceFailed(f"{ASKED} refused with status {answer.status}" + (f": {code}" if code else ""))
    return keys(told, "Token", "container endpoint", ASKED)


def _url(environ: Mapping[str, str]) -> str | None:
    relative = environ.get(RELATIVE)
    if not relative:
        return environ.get(FULL) or None
    # Else `@elsewhere` or `.elsewhere` would be the host, and be shown the token.
    if not relative.startswith("/"):
        raise SourceFailed(f"{RELATIVE} is no path: it must begin with a slash")
    return _ECS + relative


def _way(url: str, outbound: Outbound) -> Outbound:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise SourceFailed(f"{FULL} is no URL") from None
    if parts.scheme == "https" and host:
        return outbound.allowing(host)
    if parts.scheme == "http" and (host in _AGENTS or is_loopback(host)):
        return outbound.trusting(METADATA, time_limit=outbound.time_limit)
    places = ", ".join(sorted(_AGENTS))
    raise SourceFailed(f"{FULL} would show the token to an unknown place: http leads to {places} or this machine only")


def _authorization(environ: Mapping[str, str]) -> dict[str, str]:
    file = environ.get(TOKEN_FILE)
    token = token_of(file, TOKEN_FILE) if file else environ.get(TOKEN)
    return {"Authorization": token} if token else {}
