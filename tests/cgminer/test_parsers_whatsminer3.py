"""What Whatsminer's API 3 says of a machine: a liquid-cooled one with a board lost, and one that was stopped."""

from __future__ import annotations

from typing import Any

import pytest

from cgminer.errors import MinerReplyError
from cgminer.parsers import Firmware, identify, parse_snapshot
from cgminer.snapshot import MiningState, PoolStatus, Snapshot
from tests.cgminer.miner_samples import replies, snapshot

INFO, STATUS = "get.device.info", "get.miner.status"


def said(**parts: Any) -> Snapshot:
    """The snapshot of a machine with these parts of its information, and of its status under `status`."""
    status = {"code": 0, "msg": parts.pop("status", {})}
    return parse_snapshot({INFO: {"code": 0, "msg": {"miner": {"type": "M60"}, **parts}}, STATUS: status})


def test_it_is_told_from_either_reply() -> None:
    both = replies("whatsminer_api3")
    assert {identify({command: reply}) for command, reply in both.items()} == {Firmware.WHATSMINER_API3}


def test_rates_are_terahashes_whatever_their_size() -> None:
    read = snapshot("whatsminer_api3")
    assert (read.hashrate_ghs, read.hashrate_5s_ghs, read.hashrate_expected_ghs) == (288_401, 289_770, 291_020)
    assert said(status={"summary": {"hash-average": 0.4, "hash-realtime": 5_300.5}}).hashrate_5s_ghs == 5_300_500


def test_identity_is_read() -> None:
    read = snapshot("whatsminer_api3")
    assert (read.maker, read.model, read.serial_number) == ("Whatsminer", "M63S_VL10", "HTM63SX0000021")
    assert (read.mac_address, read.hostname) == ("C8:11:02:00:3A:9F", "hydro-21")
    assert (read.firmware_version, read.api_version) == ("20250505.11.Rel3", "3.0.2")


def test_power_and_its_limit_and_mode_are_read() -> None:
    read = snapshot("whatsminer_api3")
    assert (read.power_consumption, read.power_limit, read.power_mode) == (7_112, 7_400, "high")


def test_a_lost_board_leaves_a_gap_in_the_slots() -> None:
    read = snapshot("whatsminer_api3")
    assert [(board.id, board.hashrate_ghs, board.chips_ok) for board in read.boards] == [
        (0, 96_200, 312),
        (1, 95_900, 311),
        (3, 96_300, 312),
    ]
    assert [(board.temperature, board.temperature_chip) for board in read.boards] == [(52.4, 69.8), (53.1, 70.4), (51.8, 70.0)]
    assert [board.serial_number for board in read.boards] == ["HL1A0000000001", "HL1A0000000002", "HL1A0000000004"]
    assert (read.boards_total, read.boards_healthy) == (4, 3)


def test_sensors_listed_without_the_lost_board_are_given_to_those_that_are_there() -> None:
    boards = [{"slot": slot, "hash-average": 50} for slot in (0, 2)]
    read = said(status={"summary": {"board-temperature": [61.5, 62.5]}, "edevs": boards})
    assert [(board.id, board.temperature) for board in read.boards] == [(0, 61.5), (2, 62.5)]


def test_temperatures_are_read_and_the_liquid_is_the_inlet() -> None:
    read = snapshot("whatsminer_api3")
    assert (read.temperature_min, read.temperature_max, read.temperature_avg) == (49.9, 70.4, 52.43)
    assert read.temperature_boards == (52.4, 53.1, 51.8)
    assert read.temperature_ambient == 38.5


def test_liquid_cooled_machine_has_no_fans() -> None:
    assert snapshot("whatsminer_api3").fan_speeds == ()


def test_fans_of_machine_and_power_supply_are_read() -> None:
    assert said(power={"fanspeed": "6112"}, status={"summary": {"fan-speed-in": 4980, "fan-speed-out": 5070}}).fan_speeds == (
        4980,
        5070,
        6112,
    )


def test_pools_are_read_with_the_one_in_use() -> None:
    first, second = snapshot("whatsminer_api3").pools
    assert (first.id, first.status, first.active) == (1, PoolStatus.DEAD, False)
    assert (second.url, second.user, second.active) == ("stratum+tcp://second.example.com:443", "farm.hydro21", True)


def test_share_counts_that_are_not_given_are_unknown() -> None:
    read = snapshot("whatsminer_api3")
    assert (read.accepted_shares, read.rejected_shares, read.hardware_errors) == (None, None, None)


def test_error_codes_are_read_without_their_words() -> None:
    assert snapshot("whatsminer_api3").error_codes == ("540", "5300")


@pytest.mark.parametrize("listed", [[], {}, "", None, [{"reason": "?"}], [None, [], 7.5], [{"0": ""}]])
def test_no_error_is_no_code(listed: object) -> None:
    assert said(**{"error-code": listed}).error_codes == ()


def test_stopped_machine_sleeps() -> None:
    read = snapshot("whatsminer_api3_stopped")
    assert read.mining_state is MiningState.SLEEPING
    assert (read.hashrate_5s_ghs, read.hashrate_expected_ghs, read.boards_total) == (0, 171_340, 3)
    assert (read.uptime_seconds, read.power_consumption, read.power_limit, read.power_mode) == (None, None, None, "low")


def test_machine_that_an_error_stopped_is_faulty() -> None:
    errors = [{"531": "2026-03-12 14:52:35", "reason": "Slot1 not found."}]
    assert said(miner={"type": "M60", "working": "false"}, **{"error-code": errors}).mining_state is MiningState.FAULT


def test_a_rate_that_no_factory_measured_is_unknown() -> None:
    for rated in ("-1:-1:-1", "0:0:0:", "", None, 5):
        assert said(miner={"type": "M60", "detect-hash-rate": rated}).hashrate_expected_ghs is None


@pytest.mark.parametrize(("mode", "word"), [("0", "low"), (1, "normal"), ("high", "high"), (None, "normal"), ([], "normal")])
def test_power_mode_comes_as_a_number_or_from_the_settings(mode: object, word: str) -> None:
    setting = {"code": 0, "msg": {"power-mode": "normal"}}
    info = {"code": 0, "msg": {"miner": {"type": "M60"}, "power": {"mode": mode}}}
    assert parse_snapshot({INFO: info, "get.miner.setting": setting}).power_mode == (word if mode != "high" else "normal")


@pytest.mark.parametrize("message", ["ok", None, [], 5, {}, {"miner": "M60"}, {"summary": []}])
def test_replies_without_a_machine_in_them_are_no_reading(message: object) -> None:
    with pytest.raises(MinerReplyError):
        parse_snapshot({INFO: {"code": 0, "msg": message}, STATUS: {"code": -1, "msg": "fail"}})
