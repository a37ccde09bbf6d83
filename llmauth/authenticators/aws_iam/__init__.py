"""The method `aws_iam`: whoever holds credentials of AWS proves by a presigned GetCallerIdentity who that makes him."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from llmauth.addresses import is_loopback
from llmauth.authenticators.aws_iam.asking import Sts
from llmauth.authenticators.aws_iam.presigned import MARK, Presigned, read
from llmauth.authenticators.aws_iam.principals import principal
from llmauth.authenticators.base import AuthSurroundings, Presented, Slot, wrong
from llmauth.authenticators.reach import Reach, unavailable
from llmauth.authenticators.vouchers import Terms, Told, Vouchers
from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.outbound import Outbound, Trust

_URL = re.compile(r"(https|(?P<plain>http))://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?/?")
_ENDED = (
    "A token of `llmauth token aws` counts for 15 minutes; make another, or exchange it at POST /auth/login for a "
    "session that lasts."
)


def _endpoint(url: str) -> str:
    match = _URL.fullmatch(url)
    if match is None or (match["plain"] and not is_loopback(match["host"].strip("[]"))):
        raise ValueError("wanted https:// and a host, as https://vpce-0a1b2c3d.sts.eu-west-1.vpce.amazonaws.com")
    return url


class AwsIamOptions(BaseModel):
    """`{type: aws_iam, server_id: llm.corp, accounts: ["111122223333"]}`.

    `roles` are globs of permission sets, and of `role/NAME` for other roles. `sts_endpoint` is asked in the place of
    AWS's own hosts, by a certificate of its name that `ca_file` or a public root vouches for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Literal["aws_iam"]
    server_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")]
    accounts: Annotated[tuple[Annotated[str, Field(pattern=r"^[0-9]{12}$")], ...], Field(min_length=1)]
    roles: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    sts_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _believes_for_a_place(self) -> Self:
        if self.ca_file is not None and self.sts_endpoint is None:
            raise ValueError("`ca_file` is for `sts_endpoint`; for AWS's own hosts there is upstream.ca_file")
        return self


class AwsIam:
    """Asks AWS once about each token, and believes the answer until the token ends by itself."""

    name: Final = "aws_iam"
    slots: Final[frozenset[Slot]] = frozenset()

    def __init__(self, options: AwsIamOptions, surroundings: AuthSurroundings) -> None:
        self._options = options
        self._clock = surroundings.clock
        self._sts = Sts(
            _outbound(options, surroundings.outbound), endpoint=options.sts_endpoint, server_id=options.server_id
        )
        self._places = _Places(self._sts, self._clock, chosen=options.sts_endpoint is None)
        self._told = Vouchers(self._asked, self._clock, Terms(), ended_hint=_ENDED)

    def start(self) -> None:
        """Begin to look after places that are down."""
        self._told.start(self._places.look)

    def stop(self) -> None:
        """End that."""
        self._told.stop()

    def usable(self) -> bool:
        """Whether AWS could be asked when it was last asked."""
        return self._places.usable()

    def recognises(self, presented: Presented) -> bool:
        """By its mark, in every slot but the session's."""
        return presented.value.startswith(MARK) and presented.slot is not Slot.SESSION

    def recall(self, presented: Presented) -> Identity | None:
        """See Authenticator. What can be refused without AWS is refused here."""
        identity = self._told.recall(presented.value)
        if identity is not None:
            return identity
        presigned = self._read(presented.value)
        self._places.of(self._sts.place_of(presigned), presigned.host).require()
        return None

    def authenticate(self, presented: Presented) -> Identity:
        """Asks AWS; see Authenticator."""
        return self._told.prove(presented.value)

    def current(self, identity: Identity) -> Identity:
        """Until its own end: nothing that AWS says later takes a signature back.

        What it was proved by is named in `key_name`, and judged once more by what is configured; so a token that was
        made of this identity counts in every process, and after a restart.
        """
        if identity.expires_at is None or identity.expires_at <= self._clock.wall():
            error = wrong("expired", f"aws_iam: what proved {identity.user}")
            error.hint = _ENDED
            raise error
        if self._identity(identity.key_name or "", identity.expires_at).user != identity.user:
            raise wrong("revoked", f"aws_iam: {identity.user}")
        return identity

    def _read(self, token: str) -> Presigned:
        return read(token, server_id=self._options.server_id, now=self._clock.wall())

    def _asked(self, token: str) -> Told:
        presigned = self._read(token)
        with self._places.asking(self._sts.place_of(presigned), presigned.host):
            arn = self._sts.caller(presigned)
        return Told(identity=self._identity(arn, presigned.ends), ends=presigned.ends)

    def _identity(self, arn: str, ends: float) -> Identity:
        found = principal(arn, accounts=self._options.accounts, roles=self._options.roles)
        return Identity(user=found.user, method=self.name, key_name=arn, groups=found.groups, expires_at=ends)


class _Places:
    """The hosts that were asked so far, of which there are no more than AWS has."""

    def __init__(self, sts: Sts, clock: Clock, *, chosen: bool) -> None:
        self._sts = sts
        self._clock = clock
        self._chosen = chosen
        self._known: dict[str, Reach] = {}
        self._trying = threading.Lock()

    def of(self, place: str, host: str) -> Reach:
        """How a place stands, by the place and a host that is signed for there."""
        reach = self._known.get(place)
        if reach is None:
            made = Reach(f"AWS STS at {place}", self._clock, self._sts.probe(host), chosen=self._chosen)
            reach = self._known.setdefault(place, made)
        return reach

    @contextmanager
    def asking(self, place: str, host: str) -> Iterator[None]:
        """Around a call. A caller chooses the region: of those that never answered, one is asked at a time."""
        reach = self.of(place, host)
        if reach.matters:
            with reach.asking():
                yield
            return
        if not self._trying.acquire(blocking=False):
            raise unavailable(reach.name, "another region that never answered is being asked")
        try:
            with reach.asking():
                yield
        finally:
            self._trying.release()

    def look(self) -> None:
        """Ask those that are down whether they are there again."""
        for reach in list(self._known.values()):
            reach.look()

    def usable(self) -> bool:
        """Whether none that matters is down."""
        return not any(reach.is_down and reach.matters for reach in list(self._known.values()))


def _outbound(options: AwsIamOptions, outbound: Outbound) -> Outbound:
    if options.sts_endpoint is None:
        return outbound
    plain = options.sts_endpoint.startswith("http:")
    return outbound.trusting(Trust(ca_file=options.ca_file, private=True, plain=plain))
