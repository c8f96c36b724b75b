"""One miner over a real socket, as it should answer and as it should not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import (
    MinerAccessDenied,
    MinerConnectionError,
    MinerError,
    MinerNameError,
    MinerReplyError,
    MinerTimeout,
    UnsupportedCommand,
)
from tests.cgminer.strange_servers import (
    GOOD_REPLY,
    Behaviour,
    StrangeServer,
    answers,
    answers_and_stays,
    answers_in_turn,
    answers_late,
    drips,
    hangs_up,
    never_ends,
    port_without_listener,
    resets,
    stays_silent,
)

QUICK = Timeouts(connect_s=0.5, send_s=0.5, receive_s=0.4)
ONCE = RetryPolicy(attempts=1)
THREE_TIMES = RetryPolicy(attempts=3, backoff_s=0.01)


def client(address: Address, *, retries: RetryPolicy = ONCE) -> MinerClient:
    return MinerClient(address, QUICK, retries)


def seconds(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def refused_access(server: StrangeServer) -> None:
    with pytest.raises(MinerAccessDenied):
        client(server.address).request("summary")


def test_request_is_one_json_object_without_a_nul() -> None:
    with StrangeServer(answers(GOOD_REPLY + b"\0")) as server:
        client(server.address).request("switchpool", "1")
    assert server.requests == [b'{"command":"switchpool","parameter":"1"}']


@pytest.mark.parametrize("ending", [b"", b"\0", b"\n", b"\n\0", b"\0garbage after it"])
def test_reply_is_read_whatever_ends_it(ending: bytes) -> None:
    with StrangeServer(answers(GOOD_REPLY + ending)) as server:
        assert client(server.address).request("summary")["SUMMARY"][0]["Elapsed"] == 60


@pytest.mark.parametrize("ending", [b"", b"\0", b"\n"])
def test_miner_that_keeps_the_connection_open_is_not_waited_for(ending: bytes) -> None:
    with StrangeServer(answers_and_stays(GOOD_REPLY + ending)) as server:
        assert seconds(lambda: client(server.address).request("summary")) < 0.3


def test_raw_newline_inside_a_text_is_read() -> None:
    reply = GOOD_REPLY.replace(b'"Summary"', b'"Summary\nof it"')
    with StrangeServer(answers(reply)) as server:
        assert client(server.address).request("summary")["SUMMARY"][0]["GHS av"] == 99.0


@pytest.mark.parametrize(
    "reply",
    [
        b"Socket connect failed: Connection refused\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html><body>Bad Request</body></html>",
        b"\x16\x03\x01\x00\xa5\x01\xff\xfe\x00\x80binary",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"[1, 2, 3]",
        b"42",
    ],
)
def test_what_is_no_reply_is_a_parse_error(reply: bytes) -> None:
    with StrangeServer(answers(reply)) as server, pytest.raises(MinerReplyError, match=str(server.address)):
        client(server.address).read_snapshot()


@pytest.mark.parametrize(
    "behaviour", [hangs_up, resets, answers(b"\0"), answers_and_stays(b"\0")], ids=["closes", "resets", "nul", "nul, stays"]
)
def test_empty_reply_means_that_the_api_does_not_let_us_in(behaviour: Behaviour) -> None:
    with StrangeServer(behaviour) as server:
        refused_access(server)


def test_reset_before_the_request_is_read_means_the_same() -> None:
    with StrangeServer(resets, reads_request=False) as server:
        refused_access(server)


def test_access_denied_by_code_45_is_told_as_such() -> None:
    reply = b'{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied to \'restart\' command"}],"id":1}'
    with StrangeServer(answers(reply)) as server, pytest.raises(MinerAccessDenied, match=f"{server.address}: .*restart"):
        client(server.address).request("restart")


def test_unknown_command_is_told_as_unsupported() -> None:
    reply = b'{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}],"id":1}'
    with StrangeServer(answers(reply)) as server, pytest.raises(UnsupportedCommand):
        client(server.address).request("fans")


@pytest.mark.parametrize(
    "behaviour", [stays_silent, drips(GOOD_REPLY, 0.05), answers_and_stays(GOOD_REPLY[:40])], ids=["silent", "dripping", "half a reply"]
)
def test_reply_that_does_not_come_in_time_is_a_timeout_within_its_budget(behaviour: Behaviour) -> None:
    with StrangeServer(behaviour) as server:
        started = time.monotonic()
        with pytest.raises(MinerTimeout, match=r"within 0\.4 s"):
            client(server.address).request("summary")
        assert time.monotonic() - started < 0.8


@pytest.mark.parametrize("behaviour", [never_ends, answers(b'{"a":"' + b"x" * 1_200_000 + b'"}')], ids=["endless", "huge"])
def test_reply_of_more_than_a_megabyte_is_given_up(behaviour: Behaviour) -> None:
    with StrangeServer(behaviour) as server, pytest.raises(MinerReplyError, match="longer than"):
        MinerClient(server.address, Timeouts(receive_s=3), ONCE).request("stats")


def test_refused_connection_says_what_to_check() -> None:
    with port_without_listener() as address, pytest.raises(MinerConnectionError, match="API"):
        client(address).request("summary")


def test_unknown_name_is_not_tried_again() -> None:
    patient = RetryPolicy(attempts=3, backoff_s=5)
    with pytest.raises(MinerNameError):
        client(Address("no-such-miner.invalid"), retries=patient).request("summary")


def test_timeout_is_tried_again() -> None:
    with StrangeServer(answers_in_turn(b"", GOOD_REPLY)) as server, pytest.raises(MinerAccessDenied):
        client(server.address, retries=THREE_TIMES).request("summary")
    with StrangeServer(stays_silent) as server:
        with pytest.raises(MinerTimeout):
            client(server.address, retries=THREE_TIMES).request("summary")
        assert len(server.requests) == 3


def test_parse_error_is_not_tried_again() -> None:
    with StrangeServer(answers(b"nonsense")) as server:
        with pytest.raises(MinerReplyError):
            client(server.address, retries=THREE_TIMES).request("summary")
        assert len(server.requests) == 1


def test_control_command_that_was_sent_is_not_sent_again() -> None:
    with StrangeServer(stays_silent) as server:
        with pytest.raises(MinerTimeout):
            client(server.address, retries=THREE_TIMES).request("restart")
        assert len(server.requests) == 1


def test_retry_waits_double_each_time_with_a_tenth_of_jitter() -> None:
    policy = RetryPolicy()
    for attempt, least in enumerate((0.5, 1.0, 2.0)):
        delays = [policy.delay(attempt) for _ in range(200)]
        assert least <= min(delays)
        assert max(delays) <= least * 1.1
        assert len(set(delays)) > 1


def test_command_that_is_not_listed_never_leaves() -> None:
    with StrangeServer(answers(GOOD_REPLY)) as server:
        with pytest.raises(ValueError, match="rm -rf"):
            client(server.address).request("rm -rf")
        assert server.requests == []


def test_slow_miner_is_waited_for_within_the_budget() -> None:
    with StrangeServer(answers_late(GOOD_REPLY, 0.25)) as server:
        assert client(server.address).request("summary")["id"] == 1


def test_every_failure_belongs_to_the_error_tree() -> None:
    """The message names the address, because it is shown beside thousands of other miners."""
    for behaviour in (hangs_up, resets, answers(b"nonsense"), stays_silent):
        with StrangeServer(behaviour) as server, pytest.raises(MinerError, match=str(server.address)):
            client(server.address).read_snapshot()
