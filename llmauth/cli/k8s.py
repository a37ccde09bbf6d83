"""`llmauth k8s`: what a workload of a cluster needs to call through the gateway."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from llmauth.cli.proxy import place_of
from llmauth.clients.pods import CA_CONFIGMAP, Workload, overrides
from llmauth.clients.served import ServedProxy
from llmauth.durations import parse_duration

GATEWAY = "http://bedrock-proxy.bedrock-system.svc:8080"
# What the API server takes: no token for less than ten minutes; EKS makes none for more than a day.
_LEAST, _MOST = 600, 86_400
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CONFIGMAP = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

app = typer.Typer(
    help="What workloads of a cluster need to call through the gateway.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _k8s() -> None:
    """What workloads of a cluster need to call through the gateway."""


@app.command("client-patch")
def client_patch(
    account: Annotated[str, typer.Option("--sa", metavar="NAMESPACE/NAME", help="The service account of the pod.")],
    container: Annotated[str, typer.Option(help="The container; `kubectl run t` names it t.")] = "t",
    gateway: Annotated[str, typer.Option(metavar="URL", help="The gateway, as the pod reaches it.")] = GATEWAY,
    audience: Annotated[str, typer.Option(help="`audience` of the gateway's method service_account.")] = "llmauth",
    ca_configmap: Annotated[
        str, typer.Option(help="The ConfigMap with bundle.pem, in the pod's namespace.")
    ] = CA_CONFIGMAP,
    life: Annotated[str, typer.Option(help="How long the token counts that the command starts with.")] = "24h",
    region: Annotated[str, typer.Option(help="Where AWS's SDKs look for Bedrock.")] = "us-east-1",
) -> None:
    """Print what `kubectl run --override-type strategic --overrides` merges into a pod."""
    namespace, _, name = account.partition("/")
    _require(_NAME.fullmatch(namespace) and _NAME.fullmatch(name), "--sa", "as team-a/app")
    _require(_NAME.fullmatch(container), "--container", "the name of a container")
    _require(_NAME.fullmatch(region), "--region", "as us-east-1")
    _require(_CONFIGMAP.fullmatch(ca_configmap), "--ca-configmap", "the name of a ConfigMap")
    workload = Workload(
        service_account=name,
        container=container,
        proxy=ServedProxy(url=_url(gateway), user=name),
        audience=audience,
        ca_configmap=ca_configmap,
        seconds=_seconds(life),
        region=region,
    )
    typer.echo(json.dumps(overrides(workload)))


def _require(right: object, option: str, wanted: str) -> None:
    if not right:
        raise typer.BadParameter(f"wanted {wanted}", param_hint=option)


def _url(gateway: str) -> str:
    """The URL goes into a script, so it has nothing in it but a scheme, a host and a port."""
    try:
        place = place_of(gateway)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gateway") from None
    _require(place.password is None, "--gateway", "no user or password: the pod's own token is the password")
    return place.url


def _seconds(life: str) -> int:
    try:
        seconds = parse_duration(life)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--life") from None
    _require(_LEAST <= seconds <= _MOST, "--life", "from 10m to 24h")
    return seconds
