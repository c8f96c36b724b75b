"""Bodies are unpacked in steps and stop at their limit, to the byte."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from resilience.bodies import STEP_BYTES, BodyRefused, BodyTooLarge, load_json, read_body


def unpack(packed, limit=5 * STEP_BYTES):
    return bytes(read_body(io.BytesIO(packed), content_encoding="gzip", max_bytes=10 * STEP_BYTES, max_unpacked_bytes=limit)[0])


@pytest.mark.parametrize("size", [1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 2 * STEP_BYTES, 3 * STEP_BYTES + 7])
def test_body_comes_out_as_it_went_in_around_each_step(size):
    plain = b"\0" * size

    assert unpack(gzip.compress(plain)) == plain


@pytest.mark.parametrize("seed", range(20))
def test_body_in_several_members_comes_out_as_it_went_in(seed):
    chance = random.Random(seed)
    parts = [chance.randbytes(chance.randrange(100_000)) + b"7" * chance.randrange(200_000) for _ in range(chance.randrange(1, 6))]

    assert unpack(b"".join(map(gzip.compress, parts))) == b"".join(parts)


def test_limit_holds_to_the_byte():
    assert len(unpack(gzip.compress(b"x" * 1_000), limit=1_000)) == 1_000
    with pytest.raises(BodyTooLarge):
        unpack(gzip.compress(b"x" * 1_001), limit=1_000)


@pytest.mark.parametrize("cut", range(1, 40))
def test_truncated_body_is_refused_wherever_it_ends(cut):
    packed = gzip.compress(b'[{"miner_id": "m1"}]')

    with pytest.raises(BodyRefused):
        unpack(packed[:-cut])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"[1e400]", [float("inf")]),
        (b"[NaN, Infinity, -Infinity]", [None, None, None]),
        (b'["\\ud800"]', ["\ud800"]),
        (b'["a\nb\x00"]', ["a\nb\x00"]),
        (b'["\xff"]', ["\ufffd"]),
        (b"[" + b"9" * 5_000 + b"]", [float("inf")]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_agents_call_json_is_read(text, value):
    assert load_json(text) == value
