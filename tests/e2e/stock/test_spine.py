"""What holds under `llmauth serve` holds under mitmdump and mitmweb: the same tests, before another process."""

from __future__ import annotations

from llmauth.demo.emulators import Emulators
from tests.e2e.test_changes import (  # noqa: F401
    test_a_new_key_works_at_once,
    test_a_revoked_key_ends_inside_an_open_tunnel_within_a_second,
)
from tests.e2e.test_first_light import (  # noqa: F401
    test_a_gateway_path_is_answered_by_the_provider,
    test_a_native_host_is_answered_through_a_tunnel,
    test_nobody_without_a_key_reaches_a_provider,
)
from tests.e2e.test_security_authentication import (  # noqa: F401
    test_a_good_key_in_a_place_that_is_no_slot_proves_nothing,
    test_a_good_key_is_good_in_every_slot,
    test_a_proxy_password_that_is_nearly_right_is_wrong,
    test_a_tunnel_without_a_key_gives_no_identity,
    test_absolute_form_proves_itself_each_time,
    test_an_odd_method_is_refused_with_a_key_too,
    test_in_a_tunnel_another_users_key_is_refused,
    test_no_header_stands_for_a_key,
    test_nothing_but_the_exact_path_is_open,
    test_one_slot_holds_one_value,
    test_only_a_host_that_is_intercepted_is_opened_without_a_key,
    test_origin_form_on_a_proxy_connection_is_refused,
    test_two_credentials_of_ours_are_refused_and_a_placeholder_is_none,
    test_what_one_gateway_request_proved_is_not_the_next_ones,
)
from tests.e2e.test_websockets import (  # noqa: F401
    test_a_browser_puts_its_key_among_the_subprotocols,
    test_only_the_handshake_differs_upstream,
)
from tests.fixtures.calls import get, proxy_key
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving


def test_health_and_readiness_are_told(gateway: Serving, emulators: Emulators) -> None:
    assert get(gateway, "/health").status == 200
    assert get(gateway, "/ready").status == 200
    assert get(gateway, "/metrics").status == 401
    assert get(gateway, "/metrics", ("X-API-Key", gateway.key())).status == 200
    assert emulators.connections == ()


def test_mitmproxy_s_own_pages_are_nobody_s(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        answer = wire.request("GET", "http://mitm.it/", [("Host", "mitm.it"), proxy_key(gateway)])
    assert answer.status == 403
    assert b"mitmproxy" not in answer.body.lower()
    assert emulators.connections == ()
