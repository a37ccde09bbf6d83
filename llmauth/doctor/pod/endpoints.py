"""The endpoints inside the VPC: whether the names of AWS's services lead to private addresses, and answer there."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from llmauth.addresses import HostPort, is_private
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.doctor.pod.identity import WEB_TOKEN, platform_of
from llmauth.doctor.upstream import TIME_LIMIT
from llmauth.outbound import Answer, Outbound
from llmauth.outbound.aws import configured_endpoint, partition_of
from llmauth.providers.base import ProviderHandler
from llmauth.providers.private_link import Link
from llmauth.sources import SourceFailed

_SUFFIX = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}


def examine(patient: Patient) -> Iterator[Finding]:
    """STS and the runtime of each region that an instance of Bedrock is in."""
    found = [handler for handler in patient.handlers.values() if handler.provider == "bedrock"]
    if not platform_of(patient).in_kubernetes:
        yield skip("endpoints not looked for: this is no pod")
        return
    if not found:
        yield skip("no instance of Bedrock, so no endpoint of AWS is needed")
    for region in dict.fromkeys(str(handler.region) for handler in found):
        yield _sts(patient, region)
    for handler in {handler.base.origin: handler for handler in found}.values():
        yield _runtime(patient, handler)


def _sts(patient: Patient, region: str) -> Finding:
    if not _is_needed(patient):
        return skip("STS is not asked: this pod's role does not come by a token that is exchanged there")
    named = configured_endpoint("sts", patient.environ)
    if named is not None:
        return skip(f"STS is asked at {named.partition('//')[2].partition('/')[0]}, as AWS_ENDPOINT_URL_STS says")
    suffix = _SUFFIX.get(partition_of(region) or "aws", "amazonaws.com")
    place = HostPort(f"sts.{region}.{suffix}", 443)
    return _judged(patient, "sts", place, patient.settings.upstream.resolve.get(place.host, place), region)


def _is_needed(patient: Patient) -> bool:
    """IRSA exchanges its token there, and whoever assumes a role asks there too. Pod Identity has an agent."""
    strategies = (one for instance in patient.settings.instances.values() for one in instance.strategies)
    return bool(patient.environ.get(WEB_TOKEN)) or any(getattr(one, "role_arn", None) for one in strategies)


def _runtime(patient: Patient, handler: ProviderHandler) -> Finding:
    """Where it is dialled may be another name; it is signed for the service's own."""
    service = handler.base.origin
    links: Sequence[Link] = getattr(handler, "links", ())
    linked = next((link.place for link in links if link.service == service), service)
    dialled = patient.settings.upstream.resolve.get(linked.host, linked)
    signing = f" (signing host {service.host})"
    return _judged(patient, "bedrock-runtime", service, dialled, str(handler.region), signing)


def _judged(
    patient: Patient, name: str, service: HostPort, dialled: HostPort, region: str, beside: str = ""
) -> Finding:
    addresses = addresses_of(dialled)
    if not addresses:
        fix = f"aws ec2 create-vpc-endpoint --service-name com.amazonaws.{region}.{name} --private-dns-enabled …"
        return fail(f"{name}: DNS does not know {dialled.host}", fix)
    told = _asked(patient.outbound.allowing(service.host), service)
    if not all(map(is_private, addresses)):
        fix = f"aws ec2 create-vpc-endpoint --service-name com.amazonaws.{region}.{name} --private-dns-enabled …"
        reached = "answers" if isinstance(told, Answer) else f"cannot be asked: {told}"
        return warn(f"no {name} VPC endpoint: {dialled.host} is public ({addresses[0]}), and {reached}", fix)
    if not isinstance(told, Answer):
        fix = "let the pods in by the endpoint's security group (TCP 443), and out by the NetworkPolicy"
        return fail(f"{name} VPC endpoint ({addresses[0]}) does not answer: {told}", fix)
    if not _is_allowed(patient, service, dialled):
        return fail(
            f"{name} VPC endpoint answers, and is private: requests to it are refused here",
            f"upstream: {{allow_private: [{service.host}]}}",
        )
    return ok(f"{name} VPC endpoint{beside}")


def _is_allowed(patient: Patient, service: HostPort, dialled: HostPort) -> bool:
    """A place that the configuration names, and a name that it lets lead inside, may be private."""
    return dialled != service or service.host in patient.settings.upstream.allow_private


def addresses_of(place: HostPort) -> list[str]:
    """What the resolver of this pod says."""
    try:
        return sorted({str(one[4][0]) for one in socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)})
    except OSError:
        return []


def _asked(outbound: Outbound, place: HostPort) -> Answer | str:
    try:
        return outbound.within(TIME_LIMIT).ask("HEAD", f"https://{place}/", {"Accept": "*/*"})
    except SourceFailed as failure:
        return failure.reason
