"""Metadata in the characters that AWS allows."""

import re

from hypothesis import given
from hypothesis import strategies as st

from llmauth.codecs.converse.metadata import clean, clean_value

# As in the service model of botocore.
ALLOWED = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}")


def test_what_is_allowed_stays():
    assert clean_value("Ada <ada@example.com>, #1 = a/b+c_d:$e.f") == "Ada _ada@example.com_, #1 = a/b+c_d:$e.f"


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=5))
def test_aws_takes_whatever_comes_out(pairs):
    for name, value in clean(pairs).items():
        assert name
        assert ALLOWED.fullmatch(name)
        assert ALLOWED.fullmatch(value)
