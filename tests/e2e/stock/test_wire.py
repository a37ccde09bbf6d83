"""Destinations and framing under mitmdump: below the list of flows, mitmweb carries bytes by the very same code."""

from __future__ import annotations

import pytest

from tests.e2e.test_security_destinations import (  # noqa: F401
    test_a_port_in_host_or_authority_that_is_not_the_tunnels_is_refused,
    test_a_provider_is_not_reached_in_absolute_form,
    test_a_providers_host_on_another_port_is_nobodys,
    test_a_tunnel_is_judged_at_every_request,
    test_a_tunnel_opens_no_other_tunnel,
    test_a_tunnel_to_a_host_that_is_nobodys_is_not_opened,
    test_behind_tls_to_the_proxy_only_the_inner_name_counts,
    test_clear_text_in_a_tunnel_is_refused,
    test_names_that_disagree_are_refused_in_every_combination,
    test_no_header_steers_a_request,
    test_the_host_header_of_a_gateway_path_chooses_nothing,
)
from tests.e2e.test_security_framing import (  # noqa: F401
    test_a_body_over_the_limit_is_refused_at_the_head,
    test_a_head_over_the_limit_is_refused,
    test_a_head_that_can_be_read_in_two_ways_is_refused,
    test_who_has_no_key_is_refused_before_the_body,
)

pytestmark = pytest.mark.parametrize("shared_gateway", ["mitmdump"], indirect=True, scope="session")
