"""Requests out, replies in: what is sent, what is refused, when a reply is whole, what its status means."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cgminer import wire
from cgminer.errors import MinerAccessDenied, MinerReplyError, UnsupportedCommand
from tests.cgminer.miner_samples import machines, raw, replies, snapshot

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = b'{"STATUS":[{"STATUS":"S","Code":11,"Msg":"Summary"}],"SUMMARY":[{"Elapsed":5}],"id":1}'


def test_request_is_one_json_object_without_a_nul() -> None:
    assert json.loads(wire.encode("switchpool", "1")) == {"command": "switchpool", "parameter": "1"}
    assert not wire.encode("summary").endswith(b"\0")


def test_request_escapes_what_json_must_escape() -> None:
    parameter = 'stratum+tcp://a"b\\c,user,x'
    assert json.loads(wire.encode("addpool", parameter))["parameter"] == parameter


def test_read_commands_can_be_joined() -> None:
    assert json.loads(wire.encode("summary+stats+pools+version"))["command"] == "summary+stats+pools+version"


@pytest.mark.parametrize("command", ["quit", "", "summary ", "summary+restart", "restart+save", "summary+", "+", "nosuch"])
def test_unlisted_or_joined_control_commands_are_refused(command: str) -> None:
    with pytest.raises(ValueError, match="command"):
        wire.encode(command)


def test_join_takes_no_parameter() -> None:
    with pytest.raises(ValueError, match="joined"):
        wire.encode("summary+devs", "1")


def test_request_longer_than_a_miner_reads_is_refused() -> None:
    assert len(wire.encode("addpool", "x" * 4050)) <= 4095
    with pytest.raises(ValueError, match="4095"):
        wire.encode("addpool", "x" * 4095)


@pytest.mark.parametrize("ending", [b"", b"\0", b"\n", b"\n\0", b"\0\0", b"\r\n"])
def test_reply_is_read_whatever_ends_it(ending: bytes) -> None:
    assert wire.decode(SUMMARY + ending)["SUMMARY"] == [{"Elapsed": 5}]


@pytest.mark.parametrize("empty", [b"", b"\0", b"\n\0", b"   "])
def test_empty_reply_means_the_caller_is_not_allowed(empty: bytes) -> None:
    with pytest.raises(MinerAccessDenied, match="allow"):
        wire.decode(empty)


def test_plain_text_is_quoted_in_the_reason() -> None:
    with pytest.raises(MinerReplyError, match="Socket connect failed"):
        wire.decode(b"Socket connect failed: Connection refused\n")


@pytest.mark.parametrize(
    "body", [b"<html><body>login</body></html>", b"HTTP/1.1 400 Bad Request\r\n\r\n{}", b"\x16\x03\x01\x02", b"SSH-2.0-x\r\n"]
)
def test_another_machine_is_not_read_as_a_miner(body: bytes) -> None:
    with pytest.raises(MinerReplyError):
        wire.decode(body)


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b"[1,2]"])
def test_document_that_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(MinerReplyError, match="not an object"):
        wire.decode(body)


def test_reply_over_the_limit_is_refused_without_reading_it() -> None:
    with pytest.raises(MinerReplyError, match="1,000,000"):
        wire.decode(b"{" + b" " * wire.MAX_REPLY_BYTES + b"}")


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}"])
def test_deep_nesting_is_refused_in_words(deep: bytes) -> None:
    with pytest.raises(MinerReplyError):
        wire.decode(deep)


def test_reply_with_a_nul_is_complete() -> None:
    assert wire.is_complete(SUMMARY + b"\0")


def test_reply_without_a_nul_is_complete_when_its_object_closes() -> None:
    assert wire.is_complete(bytearray(SUMMARY + b"\n"))
    assert not any(wire.is_complete(SUMMARY[:length]) for length in range(len(SUMMARY)))


def test_brace_inside_a_value_does_not_complete_a_reply() -> None:
    assert not wire.is_complete(b'{"a":"}')
    assert not wire.is_complete(b'{"User":"}","URL":"{"}'[:11])
    assert wire.is_complete(b'{"User":"}"}')


def test_broken_reply_is_complete_when_its_brackets_close() -> None:
    broken = raw("antminer_missing_comma", "stats").strip()
    assert wire.is_complete(broken)
    assert not wire.is_complete(broken[: broken.rindex(b"}")])


@pytest.mark.parametrize("machine", machines())
def test_every_sample_is_complete_at_its_end(machine: str) -> None:
    assert all(wire.is_complete(raw(machine, command)) for command in replies(machine))


def test_joined_reply_is_taken_apart_by_command() -> None:
    document = {"summary": [{"SUMMARY": [{"Elapsed": 1}]}], "pools": [{"POOLS": []}], "id": 1}
    assert wire.replies(document, "summary+pools") == {"summary": {"SUMMARY": [{"Elapsed": 1}]}, "pools": {"POOLS": []}}


def test_joined_reply_handed_on_as_text_is_taken_apart() -> None:
    inner = json.dumps({"SUMMARY": [{"Elapsed": 1}]})
    document = {"summary": [json.dumps(inner)], "pools": [json.dumps({"POOLS": []})]}
    assert wire.replies(document, "pools+summary") == {"summary": {"SUMMARY": [{"Elapsed": 1}]}, "pools": {"POOLS": []}}


def test_single_reply_stays_whole() -> None:
    assert wire.replies({"SUMMARY": []}, "summary") == {"summary": {"SUMMARY": []}}


def test_firmware_that_answers_only_one_part_of_a_join_is_read_for_that_part() -> None:
    document = {"STATUS": [{"STATUS": "S"}], "SUMMARY": [{"Elapsed": 1}], "id": 1}
    assert wire.replies(document, "summary+pools") == {"summary": document}


def test_single_reply_wrapped_like_a_join_is_unwrapped() -> None:
    assert wire.replies({"summary": [{"SUMMARY": [{"Elapsed": 1}]}], "id": 1}, "summary") == {"summary": {"SUMMARY": [{"Elapsed": 1}]}}


@pytest.mark.parametrize(("code", "message"), [(24, "Missing JSON 'command'"), (23, "Invalid JSON"), (132, "API command ERROR")])
def test_join_refused_as_a_whole_is_unsupported(code: int, message: str) -> None:
    document = {"STATUS": [{"STATUS": "E", "Code": code, "Msg": message}], "id": 1}
    (command,) = wire.replies(document, "summary+edevs")
    with pytest.raises(UnsupportedCommand, match="summary\\+edevs"):
        wire.raise_for_status(document, command=command)


@pytest.mark.parametrize(
    "reply",
    [
        {"STATUS": [{"STATUS": "S", "Code": 11}]},
        {"STATUS": [{"STATUS": "I", "Code": 27}]},
        {"STATUS": [{"STATUS": "W", "Code": 1}]},
        {"STATUS": {"STATUS": "S", "when": 1}},
        {"STATUS": "S", "Code": 131, "Msg": {}},
        {"STATUS": "RESTART", "id": 1},
        {"STATUS": "BYE"},
        {"STATUS": []},
        {"id": 1},
        {"STATUS": [{"STATUS": "S", "Code": "x"}]},
    ],
)
def test_success_and_information_pass(reply: dict[str, object]) -> None:
    wire.raise_for_status(reply, command="summary")


@pytest.mark.parametrize("shape", ["list", "object", "word"])
def test_error_is_seen_in_every_shape_of_status(shape: str) -> None:
    status = {"STATUS": "E", "Code": 14, "Msg": "invalid cmd"}
    reply = {"list": {"STATUS": [status]}, "object": {"STATUS": status}, "word": status}[shape]
    with pytest.raises(UnsupportedCommand, match="not supported by this firmware"):
        wire.raise_for_status(reply, command="stats")


@pytest.mark.parametrize("code", [45, "45"])
def test_code_45_is_access_denied(code: object) -> None:
    reply = {"STATUS": [{"STATUS": "E", "Code": code, "Msg": "Access denied to 'restart' command"}]}
    with pytest.raises(MinerAccessDenied, match="restart"):
        wire.raise_for_status(reply, command="restart")


def test_any_other_error_is_told_with_its_code() -> None:
    reply = {"STATUS": [{"STATUS": "F", "Code": 23, "Msg": "Invalid JSON"}]}
    with pytest.raises(MinerReplyError, match=r"Invalid JSON \(code 23\)"):
        wire.raise_for_status(reply, command="summary")


def test_no_devices_and_no_pools_are_not_errors() -> None:
    wire.raise_for_status({"STATUS": [{"STATUS": "E", "Code": 10, "Msg": "No GPUs"}]}, command="devs")
    wire.raise_for_status({"STATUS": [{"STATUS": "E", "Code": 8, "Msg": "No pools"}]}, command="pools")


def test_without_orjson_every_sample_reads_the_same() -> None:
    script = (
        "import sys, json; sys.modules['orjson'] = None\n"
        "from tests.cgminer.miner_samples import machines, snapshot\n"
        "print(json.dumps([snapshot(machine).as_record() for machine in machines()]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT, text=True)
    assert json.loads(done.stdout) == [json.loads(json.dumps(snapshot(machine).as_record())) for machine in machines()]
