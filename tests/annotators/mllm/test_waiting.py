import datetime
import email.utils

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotators.mllm.waiting import retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "soon"}, None),
        ({"retry-after-ms": ""}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_a_header_is_read(headers, seconds):
    assert retry_after(httpx2.Headers(headers)) == seconds


@pytest.mark.parametrize("is_zoned", [True, False])
def test_a_date_is_a_time_from_now(is_zoned):
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    date = email.utils.format_datetime(then, usegmt=True)
    said = date if is_zoned else date.removesuffix(" GMT")
    assert retry_after({"retry-after": said}) == pytest.approx(89, abs=5)


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
@example("Mon, 01 Jan 0001 00:00:00 +9999", "")
@example("Fri, 31 Dec 9999 23:59:59 -2359", "")
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "")
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "")
def test_no_header_breaks_the_client(said, milliseconds):
    for headers in ({"retry-after": said}, {"retry-after-ms": milliseconds, "retry-after": said}):
        wait = retry_after(headers)
        assert wait is None or 0 <= wait < float("inf")
