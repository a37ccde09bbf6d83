"""A pod's own identity in OKE, over TLS with the emulated cluster."""

from __future__ import annotations

import time

import pytest

from llmauth.credentials.workload_identity.oci import oke as module
from llmauth.demo.certificates import Authority
from llmauth.sources import SourceFailed
from tests.emulators.oci_identity import Realm

TOKEN, CA = f"{module.SERVICE_ACCOUNT}/token", f"{module.SERVICE_ACCOUNT}/ca.crt"


def test_a_session_of_its_own_each_time(strategy, in_a_pod, oke, realm, key_of) -> None:
    one = strategy(in_a_pod())
    before = realm.wall()
    first, second = one.load(), one.load()
    assert before + realm.life - 2 <= first.expires_at <= before + realm.life + 5
    assert key_of(first) != key_of(second)
    assert len({call.headers["opc-request-id"] for call in oke.calls}) == 2
    assert oke.calls[0].headers["host"] == "10.96.0.1:12250"


def test_the_pods_token_is_read_at_every_load(strategy, in_a_pod, oke, realm) -> None:
    files = {TOKEN: realm.pod_token(), CA: oke.pem}
    one = strategy(in_a_pod(files))
    one.load()
    files[TOKEN] = realm.pod_token() + "\n"
    files[TOKEN] = files[TOKEN].strip()
    one.load()
    assert [call.bearer for call in oke.calls][-1] == files[TOKEN]
    assert oke.calls[0].bearer != oke.calls[1].bearer


def test_another_place_for_the_ca(strategy, in_a_pod, oke, realm) -> None:
    files = {TOKEN: realm.pod_token(), "/etc/ca.pem": oke.pem}
    assert strategy(in_a_pod(files, OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH="/etc/ca.pem")).load()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({CA: "x"}, "the pod has no service account token to show|no certificate that could be the cluster's CA"),
        ({TOKEN: "a.b.c"}, "the cluster's CA is not there"),
        ({TOKEN: "a.b.c", CA: "canary-7f3a"}, "holds no certificate that could be the cluster's CA"),
    ],
)
def test_what_the_pod_lacks(strategy, in_a_pod, oke, files, reason) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy(in_a_pod(files)).load()
    assert "canary" not in caught.value.reason
    assert not oke.calls


def test_another_authoritys_cluster_is_not_shown_the_token(strategy, in_a_pod, oke, realm) -> None:
    """S5: neither public roots nor another CA stand for the cluster's."""
    files = {TOKEN: realm.pod_token(), CA: Authority.create().pem.decode()}
    with pytest.raises(SourceFailed, match=r"certificate of 10\.96\.0\.1 could not be verified"):
        strategy(in_a_pod(files)).load()
    assert not oke.calls


def test_a_basic_cluster(strategy, in_a_pod, oke) -> None:
    oke.enhanced = False
    with pytest.raises(SourceFailed) as caught:
        strategy(in_a_pod()).load()
    assert caught.value.reason == "OKE gave no session token (403): workload identity is for enhanced clusters only"


def test_another_clusters_token(strategy, in_a_pod, oke) -> None:
    files = {TOKEN: Realm().pod_token(), CA: oke.pem}
    with pytest.raises(SourceFailed, match="refused the token of the pod's service account"):
        strategy(in_a_pod(files)).load()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("garbage", "OKE answered without a session token"),
        ("broken", "OKE gave no session token: status 500"),
        ("refuse", "enhanced clusters only"),
    ],
)
def test_faults(strategy, in_a_pod, oke, fault, reason) -> None:
    oke.fault = fault
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy(in_a_pod()).load()
    assert "canary" not in caught.value.reason
    assert len(oke.calls) == 1


def test_a_cluster_that_does_not_answer(strategy, in_a_pod, oke, monkeypatch) -> None:
    here = in_a_pod()
    assert module._TIME_LIMIT < 4
    monkeypatch.setattr(module, "_TIME_LIMIT", 0.3)
    oke.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"10\.96\.0\.1 did not answer within 0\.3 s"):
        strategy(here).load()
    assert time.monotonic() - started < 1.5
    oke.stop()
    with pytest.raises(SourceFailed, match=r"10\.96\.0\.1 cannot be asked: ConnectionRefusedError"):
        strategy(here).load()


def test_without_its_variable(in_a_pod) -> None:
    here = in_a_pod(KUBERNETES_SERVICE_HOST="")
    with pytest.raises(SourceFailed, match="KUBERNETES_SERVICE_HOST is not set"):
        module.load(here.machine, here.outbound)


@pytest.mark.parametrize(
    ("host", "url"), [("fd00::1", "https://[fd00::1]:12250/"), ("k8s.svc", "https://k8s.svc:12250/")]
)
def test_where_it_is(in_a_pod, host, url) -> None:
    here = in_a_pod(KUBERNETES_SERVICE_HOST=host)
    assert module._url(here.machine).startswith(url)
