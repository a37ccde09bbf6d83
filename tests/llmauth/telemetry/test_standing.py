"""How things stand, as gauges: credentials, the configuration, and what is only found by counting."""

from prometheus_client import CollectorRegistry

from llmauth.clock import ManualClock
from llmauth.telemetry.definitions import Definitions
from llmauth.telemetry.standing import Standing


class Shown:
    def __init__(self):
        self.registry, self.clock = CollectorRegistry(), ManualClock()
        self.standing = Standing(Definitions(self.registry), self.clock)

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


def test_an_instance_without_a_credential_is_told_before_it_ever_had_one():
    shown = Shown()
    shown.standing.credential("a", None, None)
    assert shown.value("credential_ready", instance="a") == 0
    shown.standing.credential("a", "vault", None)
    assert shown.value("credential_ready", instance="a") == 1


def test_a_later_strategy_is_told_only_where_an_earlier_one_has_served():
    shown = Shown()
    for place, standby in ((2, 0), (1, 0), (2, 1), (None, 1), (1, 0), (0, 0), (1, 1)):
        shown.standing.renewal("a", degraded=False, place=place)
        assert shown.value("credential_standby_active", instance="a") == standby


def test_a_renewal_that_fails_is_told():
    shown = Shown()
    for degraded in (True, False):
        shown.standing.renewal("a", degraded=degraded, place=0)
        assert shown.value("credential_degraded", instance="a") == degraded


def test_instances_that_the_configuration_no_longer_has_are_not_told_of():
    shown = Shown()
    shown.standing.only(["a", "b"])
    for name in ("a", "b"):
        shown.standing.credential(name, "vault", 4e9)
        shown.standing.renewal(name, degraded=True, place=0)
    shown.standing.only(["b"])
    for name in ("credential_ready", "credential_degraded", "credential_standby_active"):
        assert shown.value(name, instance="a") is None
        assert shown.value(name, instance="b") is not None
    assert shown.value("credential_strategy_active", instance="a", strategy="vault") == 0
    assert shown.value("credential_expiry_seconds", instance="a", strategy="vault") is None


def test_requests_that_run_are_counted_when_somebody_looks():
    shown, running = Shown(), {"a": 3, "gone": 7}
    shown.standing.watch_requests(lambda: running)
    shown.standing.only(["a", "b"])
    shown.standing.look()
    assert [shown.value("requests_in_flight", instance=name) for name in ("a", "b", "gone")] == [3, 0, None]
    running.clear()
    shown.standing.look()
    assert shown.value("requests_in_flight", instance="a") == 0


def test_a_reload_that_failed_leaves_the_time_of_the_last_that_did_not():
    shown = Shown()
    started = shown.value("config_reload_success_timestamp")
    shown.clock.advance(60)
    shown.standing.config_reloaded(False)
    assert shown.value("config_last_reload_successful") == 0
    assert shown.value("config_reload_success_timestamp") == started
    shown.standing.config_reloaded(True)
    assert shown.value("config_last_reload_successful") == 1
    assert shown.value("config_reload_success_timestamp") == started + 60
    assert [shown.value("config_reloads_total", result=one) for one in ("success", "failure")] == [1, 1]


def test_the_authority_comes_nearer_to_its_end():
    shown = Shown()
    shown.standing.authority_ends(shown.clock.wall() + 100)
    shown.clock.advance(40)
    assert shown.value("ca_expiry_seconds") == 60
