"""Whatsminer: summaries under SUMMARY or Msg, units that lie, error codes, power off."""

from __future__ import annotations

from typing import Any

import pytest

from cgminer.parsers import parse_snapshot, wanted_commands
from cgminer.snapshot import MiningState, PoolStatus, Snapshot
from tests.cgminer.miner_samples import replies, snapshot


def summary(**fields: Any) -> Snapshot:
    return parse_snapshot({"summary": {"STATUS": [{"STATUS": "S", "Msg": "Summary"}], "SUMMARY": [{"Elapsed": 5000, **fields}]}})


def errors(value: object) -> tuple[str, ...]:
    reply = {"get_error_code": {"STATUS": "S", "Code": 131, "Msg": {"error_code": value, "x": 1}}}
    return parse_snapshot({**replies("whatsminer_msg", "summary"), **reply}).error_codes


def test_machine_is_read_in_full() -> None:
    machine = snapshot("whatsminer")
    assert (machine.maker, machine.model, machine.firmware_version, machine.api_version) == (
        "Whatsminer",
        "M30S+VE40",
        "20230101.11.REL",
        "2.0.5",
    )
    assert (machine.mac_address, machine.hostname) == ("C0:FF:EE:00:11:22", "wm-7")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.hashrate_expected_ghs) == (90000.0005, 91000.00025, 92000)
    assert (machine.power_consumption, machine.power_limit, machine.efficiency) == (3300, 3400, 36.67)
    assert machine.power_mode == "normal"
    assert (machine.accepted_shares, machine.rejected_shares, machine.uptime_seconds) == (500, 2, 5000)
    assert machine.fan_speeds == (4500, 4560)
    assert machine.frequency_avg == 620
    assert machine.mining_state is MiningState.MINING


def test_boards_carry_board_and_chip_temperatures() -> None:
    machine = snapshot("whatsminer")
    assert [
        (board.id, board.temperature, board.temperature_chip, board.temperature_chip_avg, board.chips_ok) for board in machine.boards
    ] == [
        (0, 77.5, 94.1, 79.5, 148),
        (1, 78.5, 95.2, 80.5, 147),
    ]
    assert [board.serial_number for board in machine.boards] == ["PCB0001", "PCB0002"]
    assert (machine.temperature_min, machine.temperature_avg, machine.temperature_max) == (60.1, 78, 95.2)


def test_inlet_below_freezing_is_real() -> None:
    assert snapshot("whatsminer").temperature_ambient == -4.5


def test_pool_numbers_may_start_at_one() -> None:
    assert [(pool.id, pool.active, pool.status) for pool in snapshot("whatsminer").pools] == [
        (1, True, PoolStatus.ALIVE),
        (2, False, PoolStatus.UNKNOWN),
    ]


def test_present_errors_are_told_and_factory_errors_are_not() -> None:
    assert snapshot("whatsminer").error_codes == ("329", "205")


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ([], ()),
        (["329", "2022-01-17 11:28:11"], ("329",)),
        ([{"206": "2022-01-17 11:28:11"}, {"531": "2022-01-17"}], ("206", "531")),
        ({"111": "2022-01-17"}, ("111",)),
        ([110, "111", 110], ("110", "111")),
        ("no", ()),
        (None, ()),
    ],
)
def test_error_codes_are_read_in_every_shape(value: object, codes: tuple[str, ...]) -> None:
    assert errors(value) == codes


def test_summary_under_msg_is_read() -> None:
    machine = snapshot("whatsminer_msg")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.uptime_seconds) == (123000, 123200, 11000)
    assert (machine.fan_speeds, machine.temperature_avg, machine.temperature_max) == ((4530, 4540), 79, 99.25)


def test_terahashes_under_mhs_are_told_by_their_size() -> None:
    assert snapshot("whatsminer_terahash").hashrate_ghs == 112250


def test_gigahashes_under_mhs_are_told_by_the_rated_value() -> None:
    assert summary(**{"MHS av": 90000.0, "Factory GHS": 92000}).hashrate_ghs == 90000


def test_slow_rate_is_believed_where_nothing_contradicts_it() -> None:
    assert summary(**{"MHS av": 9_000_000.0, "Factory GHS": 92000}).hashrate_ghs == 9000


def test_machine_switched_off_sleeps() -> None:
    machine = snapshot("whatsminer_off")
    assert (machine.mining_state, machine.hashrate_ghs, machine.fan_speeds) == (MiningState.SLEEPING, 0.0, ())
    assert machine.firmware_version == "20210322.22.REL"


def test_old_firmware_has_its_boards_in_stats() -> None:
    machine = snapshot("whatsminer_2019")
    assert [(board.id, board.temperature, board.frequency, board.chips_ok, board.chips_total) for board in machine.boards] == [
        (0, 75, 650, 103, 105),
        (1, 72.5, 630, 105, 105),
    ]
    assert machine.fan_speeds == (4500, 4510, 8100)
    assert machine.power_consumption is None


def test_power_of_zero_is_not_known() -> None:
    assert summary(**{"MHS av": 90_000_000.0, "Power": 0}).power_consumption is None


def test_commands_it_does_not_know_are_not_asked() -> None:
    wanted = wanted_commands(replies("whatsminer_msg"))
    assert not {"stats", "version"} & set(wanted)
    assert wanted == ("pools", "edevs", "devdetails", "status", "get_version", "get_psu", "get_miner_info", "get_error_code")


def test_nothing_more_is_asked_of_a_machine_that_told_all() -> None:
    assert wanted_commands(replies("whatsminer")) == ()
