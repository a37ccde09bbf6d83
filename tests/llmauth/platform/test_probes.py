"""Probes over real sockets: who answers, who does not and how long that takes, and what is remembered of it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.platform import CLOUDS, Cloud, probes
from llmauth.platform.probes import METADATA, Probes, _Probe
from tests.emulators.azure_imds import ImdsEmulator
from tests.emulators.gcp_metadata import GcpMetadata
from tests.emulators.ibm_iam import IbmMetadataEmulator
from tests.emulators.imds import Imds
from tests.emulators.service import Service, dead_port, eventually
from tests.llmauth.platform.metadata import Metadata

CEILING = 2.5


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def unreachable() -> Iterator[str]:
    """Takes no connection, and refuses none: as an address that nobody has."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def dripping() -> Iterator[tuple[str, list[socket.socket]]]:
    """Says a word now and then, so that no read is ever late, and never ends."""
    ended = threading.Event()
    taken: list[socket.socket] = []

    def drip(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            taken.append(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.1):
                connection.sendall(b"X-Slow: 1\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", taken
        ended.set()
        thread.join(5)
        for connection in taken:
            connection.close()


def all_at(url: str) -> dict[Cloud, str]:
    return dict.fromkeys(CLOUDS, url)


@contextlib.contextmanager
def nowhere() -> Iterator[dict[Cloud, str]]:
    with dead_port() as port:
        yield all_at(f"http://127.0.0.1:{port}")


def took(probing: Probes, cloud: Cloud) -> tuple[bool, float]:
    begun = time.monotonic()
    return probing.answers(cloud), time.monotonic() - begun


# ---- who answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_service_is_taken_for_its_own_cloud_and_for_no_other(cloud: Cloud) -> None:
    """All of them stand at one address."""
    with Metadata(cloud) as service:
        probing = Probes(endpoints=all_at(service.url))
        assert {one for one in CLOUDS if probing.answers(one)} == {cloud}


@pytest.mark.parametrize(
    ("emulator", "cloud"), [(Imds, "aws"), (ImdsEmulator, "azure"), (GcpMetadata, "gcp"), (IbmMetadataEmulator, "ibm")]
)
def test_the_services_that_credentials_are_asked_of_are_known(emulator: Any, cloud: Cloud) -> None:
    service: Service
    with emulator() as service:
        probing = Probes(endpoints=all_at(service.url))
        assert {one for one in CLOUDS if probing.answers(one)} == {cloud}


@pytest.mark.parametrize("answer", ["pleased", "ok", "json", "moved", "deep", "bytes"])
def test_what_answers_to_everything_is_no_cloud(answer: str) -> None:
    with Metadata(answer) as service:
        probing = Probes(endpoints=all_at(service.url))
        assert not any(probing.answers(cloud) for cloud in CLOUDS)
        assert not any(call.path == "/elsewhere" for call in service.calls)


@pytest.mark.parametrize("fault", ["garbage", "refuse", "broken"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_service_that_fails_is_none(cloud: Cloud, fault: Any) -> None:
    with Metadata(cloud) as service:
        service.fault = fault
        assert not Probes(endpoints=all_at(service.url)).answers(cloud)


def test_a_base_may_have_a_path() -> None:
    with Metadata("oci") as service:
        assert Probes(endpoints={**all_at(service.url), "oci": f"{service.url}/"}).answers("oci")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "http://", "http://[", "http://127.0.0.1:99999", "https://127.0.0.1:1"]
)
def test_an_endpoint_that_is_none_answers_nothing(url: str) -> None:
    with nowhere() as endpoints:
        assert not Probes(endpoints={**endpoints, "aws": url}).answers("aws")


def test_an_endpoint_of_https_is_not_asked_in_clear_text() -> None:
    with Metadata("aws") as service, nowhere() as endpoints:
        secure = service.url.replace("http", "https")
        assert not Probes(endpoints={**endpoints, "aws": secure}).answers("aws")
        assert not service.calls


def test_by_itself_it_asks_the_address_that_the_clouds_share() -> None:
    """By address, since a name could hang; and never made public by a proxy."""
    assert METADATA == "http://169.254.169.254"


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be the proxy's machine that answers, and what is asked would leave this one."""
    with Metadata("pleased") as proxy, Metadata("aws") as service:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert Probes(endpoints=all_at(service.url)).answers("aws")
        assert not proxy.calls


# ---- how long ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_all", [probes.IN_ALL, 60.0])
@pytest.mark.parametrize("place", [silent, unreachable])
def test_whoever_is_silent_costs_a_moment(place: Any, in_all: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the limits holds by itself: those of the socket, and that of all together (below)."""
    monkeypatch.setattr(probes, "IN_ALL", in_all)
    with place() as url:
        answered, seconds = took(Probes(endpoints=all_at(url)), "aws")
        assert not answered
        assert seconds < CEILING


def test_all_clouds_are_silent_within_the_time_of_one() -> None:
    with silent() as url:
        probing, begun = Probes(endpoints=all_at(url)), time.monotonic()
        assert not any(probing.answers(cloud) for cloud in ("aws", "azure", "gcp", "oci"))
        assert time.monotonic() - begun < CEILING


def test_whoever_refuses_costs_nothing() -> None:
    with nowhere() as endpoints:
        answered, seconds = took(Probes(endpoints=endpoints), "gcp")
        assert not answered
        assert seconds < 0.3


def test_the_silence_of_others_is_not_waited_for() -> None:
    with silent() as url, Metadata("aws") as service:
        answered, seconds = took(Probes(endpoints={**all_at(url), "aws": service.url}), "aws")
        assert answered
        assert seconds < 0.8


def test_an_answer_without_end_is_ended() -> None:
    with dripping() as (url, taken), nowhere() as endpoints:
        answered, seconds = took(Probes(endpoints={**endpoints, "aws": url}), "aws")
        assert not answered
        assert 1.0 < seconds < CEILING
        # Its thread is let go as well: our side of the connection is closed.
        taken[0].settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            while taken[0].recv(4096):
                pass


def test_a_probe_that_hangs_keeps_no_process() -> None:
    with silent() as url:
        asking = threading.Thread(target=Probes(endpoints=all_at(url)).answers, args=("aws",))
        asking.start()
        eventually(lambda: len(running()) == 4)
        assert all(thread.daemon for thread in running())
        asking.join(5)
        eventually(lambda: not running())


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "metadata probe"]


# ---- what is remembered --------------------------------------------------------------------------------------------


def asked(service: Service) -> int:
    return sum(call.path == "/latest/api/token" for call in service.calls)


def test_who_answered_once_is_never_asked_again() -> None:
    clock = ManualClock()
    with Metadata("aws") as service:
        probing = Probes(endpoints=all_at(service.url), clock=clock.monotonic)
        assert probing.answers("aws")
    clock.advance(1_000_000)
    assert probing.answers("aws")
    assert asked(service) == 1


@pytest.mark.parametrize(
    ("in_pod", "age", "kept"), [(False, 0, 60), (True, 0, 5), (True, 59, 5), (True, 61, 60), (True, 1000, 60)]
)
def test_who_did_not_answer_is_asked_again_after_a_while(in_pod: bool, age: float, kept: float) -> None:
    """In a pod's first minute that is soon: the metadata server of GKE needs some seconds."""
    clock = ManualClock()
    with Metadata("aws") as service:
        service.fault = "broken"
        probing = Probes(in_kubernetes=in_pod, endpoints=all_at(service.url), clock=clock.monotonic)
        clock.advance(age)
        assert not probing.answers("aws")
        service.fault = None
        clock.advance(kept - 0.1)
        assert not probing.answers("aws")
        clock.advance(0.2)
        assert probing.answers("aws")
        assert asked(service) == 2


def test_many_threads_ask_once() -> None:
    with Metadata("aws") as service:
        probing, together, found = Probes(endpoints=all_at(service.url)), threading.Barrier(40), []

        def ask() -> None:
            together.wait(5)
            found.append(probing.answers("aws"))

        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert found == [True] * 40
        assert asked(service) == 1


def test_many_threads_wait_for_one_silence() -> None:
    with silent() as url:
        probing, seconds = Probes(endpoints=all_at(url)), []
        threads = [threading.Thread(target=lambda: seconds.append(took(probing, "aws")[1])) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert len(seconds) == 40
        assert max(seconds) < CEILING


def test_who_has_not_answered_yet_is_not_asked_again() -> None:
    clock = ManualClock()
    with socket.create_server(("127.0.0.1", 0)) as listener, nowhere() as endpoints:
        probing = Probes(
            endpoints={**endpoints, "aws": f"http://127.0.0.1:{listener.getsockname()[1]}"}, clock=clock.monotonic
        )
        first = threading.Thread(target=probing.answers, args=("aws",))
        first.start()
        connection, _ = listener.accept()
        clock.advance(1000)
        assert not probing.answers("aws")
        first.join(5)
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
        connection.close()


def test_one_question_asks_four_clouds_and_ibm_only_if_it_is_ibms() -> None:
    """IBM's service makes a token of every question."""
    with Metadata("json") as service:
        probing = Probes(endpoints=all_at(service.url))
        assert not any(probing.answers(cloud) for cloud in ("aws", "azure", "gcp", "oci"))
        wanted = {"/latest/api/token", "/metadata/instance", "/", "/opc/v2/instance/"}
        assert {call.path for call in service.calls} == wanted
        assert len(service.calls) == 4
        assert not probing.answers("ibm")
        assert service.calls[-1].path == "/instance_identity/v1/token"


def test_where_a_cloud_answered_no_other_is_asked_for_company() -> None:
    clock = ManualClock()
    with Metadata("aws") as service:
        probing = Probes(endpoints=all_at(service.url), clock=clock.monotonic)
        assert probing.answers("aws")
        assert not probing.answers("gcp")
        eventually(lambda: len(service.calls) == 4)
        clock.advance(1000)
        before = len(service.calls)
        assert not probing.answers("gcp")
        assert [call.path for call in service.calls[before:]] == ["/"]


def test_without_a_thread_to_spare_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    answered, seconds = took(Probes(endpoints=all_at("http://127.0.0.1:1")), "aws")
    assert not answered
    assert seconds < 0.5


def test_no_answer_takes_more_memory_than_it_may() -> None:
    """A chunk of a negative size makes http.client read all that comes."""
    taken = 0

    def serve(listener: socket.socket) -> None:
        nonlocal taken
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
            while taken < 256 * 2**20:
                connection.sendall(b"x" * 100_000)
                taken += 100_000

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        probe = _Probe("ibm", url, 0.0)
        probe.start()
        assert not probe.outcome()
        thread.join(5)
    assert taken < 32 * 2**20
