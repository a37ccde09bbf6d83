"""Which of Oracle's identities is taken, by what was set up; and when there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from llmauth.credentials import build
from llmauth.credentials.workload_identity.oci import OciWorkloadIdentityOptions
from llmauth.platform import Platform
from llmauth.platform.detector import detect
from llmauth.platform.probes import Probes
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.oci_identity import OKE_HOST

POD = {"KUBERNETES_SERVICE_HOST": OKE_HOST}


@pytest.mark.parametrize("version", ["1.1", "2.2"])
def test_in_a_pod_the_variable_alone_means_its_own_identity(strategy, in_a_pod, oke, version) -> None:
    one = strategy(in_a_pod(OCI_RESOURCE_PRINCIPAL_VERSION=version))
    assert one.unavailable() is None
    assert not oke.calls
    assert one.load().source == "OKE workload identity"


def test_on_oke_the_variable_may_be_left_out(strategy, in_a_pod) -> None:
    here = in_a_pod(OCI_RESOURCE_PRINCIPAL_VERSION="")
    assert strategy(here).unavailable() == (
        "OCI workload identity not available on kubernetes "
        "(on OCI nodes, allow_node_identity: true would use the node's own identity)"
    )
    known = replace(here, platform=detect(here.machine, "oke"))
    assert strategy(known).load().source == "OKE workload identity"
    assert strategy(known).label == "workload_identity"
    assert strategy(here).label == "workload_identity (oci)"


def test_a_token_and_a_key_go_before_the_cluster(strategy, in_a_pod, oke) -> None:
    with pytest.raises(SourceFailed, match="OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM is not set"):
        strategy(in_a_pod(OCI_RESOURCE_PRINCIPAL_RPST="a.b.c")).load()
    assert not oke.calls


@pytest.mark.parametrize("name", ["RPT_ENDPOINT", "RPST_ENDPOINT"])
def test_an_older_resource_principal_is_not_taken_for_a_pods(strategy, in_a_pod, oke, name) -> None:
    environ = {"OCI_RESOURCE_PRINCIPAL_VERSION": "1.1", f"OCI_RESOURCE_PRINCIPAL_{name}": "https://x"}
    with pytest.raises(SourceFailed, match=r"OCI_RESOURCE_PRINCIPAL_VERSION is 1\.1, and only 2\.2 is supported"):
        strategy(in_a_pod(**environ)).load()
    assert not oke.calls


def test_a_plain_instance_uses_its_own(strategy, on_an_instance) -> None:
    assert strategy(on_an_instance()).load().source == "instance principal"
    assert build(OciWorkloadIdentityOptions(), on_an_instance()).load().source == "instance principal"


@pytest.mark.parametrize(
    ("options", "environ", "platform", "reason"),
    [
        ({}, {}, {}, r"^OCI workload identity not available on generic$"),
        ({}, POD, {"machine": "oci"}, r"\(on OCI nodes, allow_node_identity: true would use the node's own identity\)"),
        ({}, POD, {"machine": "aws"}, r"^OCI workload identity not available on kubernetes$"),
        ({"allow_node_identity": False}, {}, {"machine": "oci"}, "allow_node_identity: false keeps"),
        ({}, POD | {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2"}, {"switched": {"oci": False}}, "platform.capabilities"),
    ],
)
def test_where_there_is_none_nobody_is_asked(
    standing, strategy, metadata, oke, options, environ, platform, reason
) -> None:
    given = {"in_kubernetes": bool(environ), "name": "kubernetes" if environ else "generic", "settled": True}
    here = standing("oracle", environ, platform=Platform(**given | platform))
    one = strategy(here, **options)
    with pytest.raises(SourceUnavailable, match=reason) as caught:
        one.load()
    assert one.unavailable() == caught.value.reason
    assert not metadata.calls
    assert not oke.calls


def test_in_a_pod_the_node_is_an_opt_in(strategy, on_an_instance, metadata) -> None:
    here = on_an_instance(**POD)
    with pytest.raises(SourceUnavailable):
        strategy(here).load()
    assert not metadata.calls
    assert strategy(here, allow_node_identity=True).load().source == "instance principal"


def test_a_broken_identity_of_a_pod_does_not_become_the_node(strategy, in_a_pod, metadata, oke) -> None:
    oke.enhanced = False
    here = in_a_pod(OCI_METADATA_BASE_URL=metadata.base_url)
    with pytest.raises(SourceFailed, match="enhanced clusters only"):
        strategy(here, allow_node_identity=True).load()
    assert not metadata.calls


def test_what_is_nobodys_metadata_service_is_an_absence(standing, strategy, monkeypatch) -> None:
    """A laptop whose description told nothing: no fault of the operator's."""
    monkeypatch.setattr(
        "llmauth.credentials.workload_identity.oci.instance_principal.DEFAULT_BASE_URL", "http://127.0.0.1:1"
    )
    monkeypatch.setattr(Probes, "answers", lambda *_: True)
    here = standing("oracle", {}, platform=Platform())
    with pytest.raises(SourceUnavailable, match=r"^OCI workload identity not available on generic$"):
        strategy(here).load()
    known = replace(here, platform=Platform(machine="oci", settled=True))
    with pytest.raises(SourceFailed, match=r"the metadata service of OCI: 127\.0\.0\.1 cannot be asked"):
        strategy(known).load()


def test_wrong_options() -> None:
    with pytest.raises(ValidationError):
        OciWorkloadIdentityOptions.model_validate({"region": "eu-frankfurt-1"})
