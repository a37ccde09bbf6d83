"""An HTTP request and response as the routers see them: small, frozen, and with every byte as it came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from llmauth.addresses import HostPort

Field = tuple[bytes, bytes]


class Door(Enum):
    """How a request came in; it decides what its target and its Host header may mean."""

    CONNECT = "connect"  # the CONNECT itself: opens a tunnel, carries proxy credentials
    TUNNEL = "tunnel"  # a request inside a tunnel whose TLS we end
    ABSOLUTE = "absolute"  # absolute form, http:// only
    GATEWAY = "gateway"  # origin form sent to us: routed by its path


class Headers:
    """Header fields in the order and spelling they came, with case-insensitive look-up by lower-case name."""

    __slots__ = ("_index", "_values", "fields")

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self.fields: tuple[Field, ...] = tuple(fields)
        self._index: dict[bytes, list[bytes]] | None = None
        self._values: bytes | None = None

    def index(self) -> dict[bytes, list[bytes]]:
        """Lower-case name to all its values, in order."""
        index = self._index
        if index is None:
            index = {}
            for name, value in self.fields:
                key = name.lower()
                if key in index:
                    index[key].append(value)
                else:
                    index[key] = [value]
            self._index = index
        return index

    def values(self) -> bytes:
        """All values in one, without anything between them: to see at once what stands in none of them."""
        if self._values is None:
            self._values = b"".join([value for _, value in self.fields])
        return self._values

    def get(self, name: str) -> str | None:
        """The first value of a header, `None` when it is absent; bytes beyond ASCII are kept by surrogates."""
        values = self.index().get(name.lower().encode("ascii"))
        return values[0].decode("utf-8", "surrogateescape") if values else None

    def all(self, name: str) -> list[str]:
        """All values of a header."""
        return [v.decode("utf-8", "surrogateescape") for v in self.index().get(name.lower().encode("ascii"), ())]

    def __contains__(self, name: str) -> bool:
        return name.lower().encode("ascii") in self.index()

    def without(self, names: frozenset[bytes]) -> Headers:
        """The fields whose lower-case name is not in `names`."""
        return Headers(field for field in self.fields if field[0].lower() not in names)

    def adding(self, *fields: Field) -> Headers:
        """These fields, and `fields` after them."""
        return Headers((*self.fields, *fields))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.fields)

    def __repr__(self) -> str:
        # Names only: values may be credentials.
        return f"Headers({', '.join(name.decode('ascii', 'replace') for name, _ in self.fields)})"


class Url(NamedTuple):
    """Where a request goes; `path` holds path and query, percent-encoded as it stands on the wire."""

    scheme: str
    host: str
    port: int
    path: str

    def __repr__(self) -> str:
        # Without the query, where clients of some APIs put their key.
        return f"Url({self.scheme}://{HostPort(self.host, self.port)}{self.route_path}{'?…' * ('?' in self.path)})"

    @property
    def origin(self) -> HostPort:
        return HostPort(self.host, self.port)

    @property
    def authority(self) -> str:
        """Host header value: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def route_path(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    @property
    def query(self) -> str:
        """The query without its question mark, empty when there is none."""
        return self.path.partition("?")[2]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request. `tunnel` is the CONNECT target where there is one; `source` is the peer's address.

    `certificate` is what the client showed in its TLS handshake with us (DER, its own first), empty where it did not.

    `body` is empty until the body has been read: what is judged at the head is judged without it. The repr shows
    neither it nor any header's value nor the query.
    """

    method: str
    url: Url
    headers: Headers
    door: Door
    body: bytes = field(default=b"", repr=False)
    tunnel: HostPort | None = None
    source: str = ""
    certificate: tuple[bytes, ...] = field(default=(), repr=False)

    def altered(self, *, url: Url | None = None, headers: Headers | None = None, body: bytes | None = None) -> Request:
        """This request with another URL, other headers or another body."""
        other = object.__new__(Request)
        # Past the frozen `__setattr__`, once for all fields: four of these are made for each request.
        held = other.__dict__
        held.update(self.__dict__)
        if url is not None:
            held["url"] = url
        if headers is not None:
            held["headers"] = headers
        if body is not None:
            held["body"] = body
        return other


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response that we make ourselves."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)
