"""The steps that all signers share: setting headers, and the Host that belongs to the URL."""

import pytest

from llmauth.http import Door, Headers, Request, Url
from llmauth.signing import hosted


def build(*fields, port=443):
    return Request(method="GET", url=Url("https", "h.example", port, "/"), headers=Headers(fields), door=Door.GATEWAY)


def test_a_right_host_stays_where_it_is():
    request = build((b"Accept", b"*/*"), (b"host", b"h.example"))
    assert hosted(request) is request


@pytest.mark.parametrize("hosts", [(), (b"proxy:8080",), (b"h.example", b"h.example"), (b"H.example",)])
def test_any_other_host_gives_way_to_the_urls(hosts):
    request = build(*[(b"Host", host) for host in hosts], (b"Accept", b"*/*"))
    assert hosted(request).headers.fields == ((b"Host", b"h.example"), (b"Accept", b"*/*"))
    assert hosted(build(port=444)).headers.get("host") == "h.example:444"
