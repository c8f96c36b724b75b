"""Whatsminer's API 3 on the wire: what a length and the bytes behind it may be."""

from __future__ import annotations

import json

import pytest

from cgminer import frames
from cgminer.errors import MinerAccessDenied, MinerReplyError, UnsupportedCommand

REPLY = frames.framed({"code": 0, "when": 1, "msg": {"miner": {}}, "desc": "get.device.info"})
HEARTBEAT = b"\0\0\0\0"


def test_request_is_its_length_and_json() -> None:
    request = frames.encode("get.miner.status summary+pools")
    assert int.from_bytes(request[:4], "little") == len(request) - 4
    assert json.loads(request[4:]) == {"cmd": "get.miner.status", "param": "summary+pools"}


def test_request_without_a_parameter_has_none() -> None:
    assert json.loads(frames.encode("get.device.info")[4:]) == {"cmd": "get.device.info"}


@pytest.mark.parametrize("command", ["set.system.reboot", "get.log.download", "summary", ""])
def test_only_listed_read_commands_are_encoded(command: str) -> None:
    with pytest.raises(ValueError, match="not a known read command"):
        frames.encode(command)


def test_reply_is_complete_with_its_last_byte_and_not_before() -> None:
    assert not any(frames.is_complete(REPLY[:length]) for length in range(len(REPLY)))
    assert frames.is_complete(bytearray(REPLY))


@pytest.mark.parametrize("raw", [REPLY, HEARTBEAT + REPLY, HEARTBEAT * 3 + REPLY, REPLY + HEARTBEAT])
def test_heartbeats_around_a_reply_are_passed_over(raw: bytes) -> None:
    assert frames.is_complete(raw)
    assert frames.decode(raw)["desc"] == "get.device.info"


def test_heartbeat_alone_is_no_reply_yet() -> None:
    assert not frames.is_complete(HEARTBEAT)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xff\xff\xff{}",
        b'{"STATUS":[{"STATUS":"E"}],"id":1}\0',
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        HEARTBEAT * 40,
    ],
    ids=["huge", "the old API", "HTTP", "nothing but heartbeats"],
)
def test_machine_that_does_not_speak_it_is_not_waited_for(raw: bytes) -> None:
    assert frames.is_complete(raw)
    with pytest.raises(MinerReplyError):
        frames.decode(raw)


@pytest.mark.parametrize("raw", [REPLY[:1], REPLY[:4], REPLY[:-1]], ids=["in the length", "behind the length", "at the end"])
def test_reply_cut_short_is_not_read(raw: bytes) -> None:
    with pytest.raises(MinerReplyError):
        frames.decode(raw)


@pytest.mark.parametrize("body", [b"[1,2]", b'"ok"', b"garbage", b"\xff\xfe\x00", b"{" * 5_000])
def test_body_that_is_no_json_object_is_not_read(body: bytes) -> None:
    with pytest.raises(MinerReplyError):
        frames.decode(len(body).to_bytes(4, "little") + body)


def test_no_answer_at_all_is_a_closed_door() -> None:
    with pytest.raises(MinerAccessDenied):
        frames.decode(b"")


@pytest.mark.parametrize(
    ("code", "error"),
    [(-1, MinerReplyError), (-2, UnsupportedCommand), (-3, MinerReplyError), (-4, MinerAccessDenied), (None, MinerReplyError)],
)
def test_code_tells_what_failed(code: int | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        frames.raise_for_code({"code": code, "msg": "fail"}, command="get.miner.status")


@pytest.mark.parametrize("code", ["0", False, 0.0, [0], "x" * 5_000])
def test_only_the_number_0_is_success(code: object) -> None:
    with pytest.raises(MinerReplyError, match="error"):
        frames.raise_for_code({"code": code}, command="get.miner.status")
