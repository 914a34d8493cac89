"""Limits of one user, by a clock that the test turns."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from character3d.server_routes.addresses import network_of
from character3d.server_routes.errors import ApiError
from character3d.server_routes.limits import JobSlots, OpenStreams, RateLimit, read_quota
from character3d.server_routes.redact import redact_paths


def test_rate_limit_slides():
    clock = SimpleNamespace(now=1000.0)
    limit = RateLimit(quota=10, window=60, clock=lambda: clock.now)
    for _ in range(10):
        assert limit.refusal("a") is None
        limit.count("a")
        clock.now += 1
    refusal = limit.refusal("a")
    assert (refusal.status, refusal.code) == (429, "SERVER_BUSY")
    assert refusal.details["reason"] == "rate_limit"
    assert refusal.headers["Retry-After"] == "50"
    assert limit.refusal("b") is None
    clock.now += 49.9
    assert limit.refusal("a")
    clock.now += 0.2
    assert limit.refusal("a") is None
    assert limit.headers("a")["RateLimit"] == '"generate";r=1;t=1'
    assert limit.headers("b") == {
        "RateLimit-Policy": '"generate";q=10;w=60',
        "RateLimit": '"generate";r=10;t=0',
    }


@pytest.mark.parametrize("text, quota", [("", 10), ("25", 25), ("0", 0), ("-1", 10), ("many", 10), ("²", 10)])
def test_the_environment_says_how_many_requests_a_minute_has(text, quota):
    assert read_quota({"CHARACTER3D_REQUESTS_PER_MINUTE": text}) == quota


def test_no_limit():
    limit = RateLimit(quota=0)
    for _ in range(100):
        assert limit.refusal("a") is None
        limit.count("a")
    assert limit.headers("a") == {}


def test_job_slots():
    slots = JobSlots(per_user=2, total=3)
    slots.take("a")
    slots.take("a")
    assert slots.refusal("a").details["reason"] == "concurrent_jobs"
    assert slots.refusal("a").status == 429
    slots.take("b")
    assert slots.refusal("c").status == 503
    slots.release("a")
    assert slots.refusal("a") is None


def test_open_streams_of_a_job_of_a_user_and_of_all():
    streams = OpenStreams(per_job=2, per_user=3, total=5)
    with ExitStack() as held:
        for job_id in ("a", "a", None):
            held.enter_context(streams.hold("anna", job_id))
        for user, job_id in (("bert", "a"), ("anna", "c"), ("anna", None)):
            with pytest.raises(ApiError) as refused, streams.hold(user, job_id):
                pass
            assert (refused.value.status, refused.value.details["reason"]) == (429, "sockets")
        for user in ("bert", "carl"):
            held.enter_context(streams.hold(user))
        with pytest.raises(ApiError) as refused, streams.hold("dora", "d"):
            pass
        assert (refused.value.status, refused.value.details) == (503, {"reason": "sockets", "limit": 5})
    assert not streams._open
    with streams.hold("anna", "a"):
        pass


def test_network_of():
    assert network_of("203.0.113.9") == "203.0.113.9"
    assert network_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert network_of("2001:db8:1:2:3::4%eth0") == network_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network_of("") == network_of("a path") == "unknown"


def test_paths_are_redacted():
    assert redact_paths("no file '/home/me/secret dir/a.glb'", ["/home/me/secret dir"]) == "no file 'a.glb'"
    assert redact_paths("/app/x.glb, /apple/y.glb, /app", ["/app"]) == "x.glb, y.glb,"
    assert redact_paths(r"C:\Users\me\x.txt is gone") == "x.txt is gone"
    assert redact_paths("at /opt/comfy/nodes.py: line 3") == "at nodes.py: line 3"
    assert (
        redact_paths("1/2 of image/png, https://example.org/a/b")
        == "1/2 of image/png, https://example.org/a/b"
    )
    assert len(redact_paths("x" * 5000)) == 1001
