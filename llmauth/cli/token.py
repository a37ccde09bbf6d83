"""`llmauth token`: a credential for a gateway out of what its caller has anyway, for scripts and helpers."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from llmauth.authenticators.aws_iam.hosts import host_of
from llmauth.authenticators.aws_iam.presigned import LONGEST_TEXT, made
from llmauth.secrets import AwsKeys, Secret

app = typer.Typer(
    help="Make a token for a gateway out of credentials that you have anyway.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _token() -> None:
    """Make a token for a gateway out of credentials that you have anyway."""


@app.command()
def aws(
    server_id: Annotated[str, typer.Option("--server-id", help="The gateway's own name, `server_id` of its aws_iam.")],
    region: Annotated[
        str | None, typer.Option("--region", help="Whose STS it is signed for; else that of the profile, or us-east-1.")
    ] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="The profile of AWS; else AWS_PROFILE.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Sign a GetCallerIdentity for this gateway alone with your credentials of AWS, and print it; nothing is sent."""
    host, token, ends = _made(server_id, region, profile)
    if as_json:
        until = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        typer.echo(json.dumps({"token": token, "expires_at": until, "host": host, "server_id": server_id}, indent=2))
    else:
        typer.echo(token)


def of_aws(server_id: str, region: str | None, profile: str | None) -> Secret:
    """Such a token, for whoever logs in with it at once."""
    return Secret(_made(server_id, region, profile)[1])


def _made(server_id: str, region: str | None, profile: str | None) -> tuple[str, str, float]:
    """The host it is signed for, the token, and when it ends (Unix time)."""
    session = _session(profile)
    where = region or session.get_config_variable("region") or os.environ.get("AWS_REGION") or "us-east-1"
    try:
        host = host_of(where)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--region") from None
    if not server_id.isascii() or not server_id.isprintable() or " " in server_id or not server_id:
        raise typer.BadParameter("it is the gateway's own name, as in its configuration", param_hint="--server-id")
    token, ends = made(_keys(session), region=where, server_id=server_id)
    if len(token) > LONGEST_TEXT:
        raise _failed("The session token of these credentials is too long for a gateway; use a role with fewer tags.")
    return host, token, ends


def _session(profile: str | None) -> Any:
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session(profile=profile)
        session.get_scoped_config()
    except BotoCoreError as error:
        raise _failed(f"AWS's configuration cannot be used: {error}") from None
    return session


def _keys(session: Any) -> AwsKeys:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found is not None else None
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        # A login that has ended, a role that may not be had, a process that failed, is not there or says no JSON.
        raise _failed(f"There are no credentials of AWS: {error} (a login that has ended: aws sso login)") from None
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise _failed("There are no credentials of AWS here; log in with `aws sso login`, or name a --profile.")
    return AwsKeys(
        access_key_id=frozen.access_key,
        secret_access_key=Secret(frozen.secret_key),
        session_token=Secret(frozen.token) if frozen.token else None,
    )


def _failed(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(1)
