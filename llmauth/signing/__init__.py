"""Signers: each puts one credential on a request, as the provider wants to see it, and touches nothing else."""

from __future__ import annotations

from llmauth.errors import InternalError
from llmauth.http import Field, Headers, Request
from llmauth.secrets import Secret


def setting(request: Request, *fields: Field) -> Request:
    """The request with each of `fields` exactly once: every value that it had under those names is gone."""
    names = {name.lower() for name, _ in fields}
    kept = [field for field in request.headers.fields if field[0].lower() not in names]
    return request.altered(headers=Headers((*kept, *fields)))


def hosted(request: Request) -> Request:
    """The request with one `Host`, that of its URL; a request that says so already is returned as it is."""
    authority = request.url.authority.encode("ascii")
    # Not by the index of the headers: nobody else asks these, and to make it costs more than all the rest of this.
    if [value for name, value in request.headers.fields if len(name) == 4 and name.lower() == b"host"] == [authority]:
        return request
    rest = [field for field in request.headers.fields if field[0].lower() != b"host"]
    # "It is RECOMMENDED that user agents send Host as the first field" (RFC 9110, 7.2).
    return request.altered(headers=Headers(((b"Host", authority), *rest)))


def sendable(secret: Secret) -> bytes:
    """The secret as it goes into a header; InternalError (without its value) where no header could carry it."""
    value = secret.reveal()
    # A key file with a stray line break must not become a second header.
    if not value or not value.isascii() or not value.isprintable():
        raise InternalError(
            "The credential of this provider cannot be sent.",
            hint="Your own key is not at fault: tell whoever runs this gateway.",
            detail="the credential is empty, or holds a line break or another character that no header may carry",
        )
    return value.encode("ascii")
