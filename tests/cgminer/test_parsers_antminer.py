"""Antminer and what runs on it: old and new API, slots, units, sleep and heat."""

from __future__ import annotations

from typing import Any

import pytest

from cgminer.parsers import parse_snapshot, wanted_commands
from cgminer.snapshot import MiningState, PoolStatus, Snapshot
from tests.cgminer.miner_samples import replies, snapshot


def stats(**fields: Any) -> dict[str, dict[str, Any]]:
    """A stats reply of an S19 with these fields."""
    main = {"ID": "BTM_SOC0", "Elapsed": 900, "GHS 5s": 90000.0, "GHS av": 90000.0, "miner_count": 1, "chain_acn1": 3, **fields}
    return {"stats": {"STATS": [{"Type": "Antminer S19", "Miner": "1.0"}, main]}}


def read(**fields: Any) -> Snapshot:
    return parse_snapshot(stats(**fields))


def test_stock_machine_is_read_in_full() -> None:
    machine = snapshot("antminer_stock")
    assert (machine.maker, machine.model, machine.firmware_version, machine.api_version) == ("Antminer", "Antminer S19", "52.1.2.3", "3.1")
    assert machine.compile_time == "Mon Jan  3 10:20:30 CST 2022"
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.hashrate_expected_ghs) == (95000.25, 94000.5, 95500.0)
    assert (machine.accepted_shares, machine.rejected_shares, machine.stale_shares, machine.hardware_errors) == (900, 4, 2, 17)
    assert (machine.uptime_seconds, machine.frequency_avg) == (7200, 600.0)
    assert machine.mining_state is MiningState.MINING
    assert wanted_commands(replies("antminer_stock")) == ()


def test_listed_sensors_are_read_and_the_summarising_fields_are_not() -> None:
    machine = snapshot("antminer_stock")
    assert machine.temperature_boards == (41, 42, 60, 61, 41, 42, 61, 62, 41, 42, 62, 63)
    assert machine.temperature_chips == (51, 52, 70, 71, 51, 52, 71, 72, 51, 52, 72, 73)
    assert (machine.temperature_min, machine.temperature_avg, machine.temperature_max) == (41, 62, 73)


def test_empty_slot_is_not_a_board() -> None:
    boards = snapshot("antminer_stock").boards
    assert [(board.id, board.hashrate_ghs, board.temperature, board.temperature_chip) for board in boards] == [
        (1, 31000.0, 61, 71),
        (2, 31500.25, 62, 72),
        (3, 31500.25, 63, 73),
    ]


def test_failed_chip_counts_against_its_board() -> None:
    machine = snapshot("antminer_stock")
    assert [(board.chips_ok, board.chips_total) for board in machine.boards] == [(3, 3), (2, 3), (3, 3)]
    assert (machine.boards_total, machine.boards_healthy) == (3, 2)


def test_number_of_fans_is_not_a_fan() -> None:
    assert snapshot("antminer_stock").fan_speeds == (5100, 5200, 5300, 5400)


def test_pool_in_use_is_the_one_with_stratum_active() -> None:
    machine = snapshot("antminer_stock")
    assert [(pool.id, pool.status, pool.active) for pool in machine.pools] == [(0, PoolStatus.DEAD, False), (1, PoolStatus.ALIVE, True)]
    assert machine.pool_in_use is not None
    assert (machine.pool_in_use.url, machine.pool_in_use.user) == ("stratum+tcp://two.pool.test:3333", "farm.2")


def test_reply_with_a_missing_comma_is_read_by_slot_number() -> None:
    machine = snapshot("antminer_missing_comma")
    assert (machine.hashrate_5s_ghs, machine.hashrate_ghs, machine.hashrate_expected_ghs) == (13500.4, 13450.1, 13501.0)
    assert [(board.id, board.hashrate_ghs, board.frequency) for board in machine.boards] == [
        (6, 4500.2, 600.5),
        (7, 4500.1, 600.5),
        (8, 4500.1, 600.5),
    ]
    assert machine.temperature_boards == (58, 57, 61)
    assert machine.temperature_chips == (78, 77, 81)
    assert machine.fan_speeds == (5880, 4320)


def test_scrypt_model_reports_megahashes_under_ghs() -> None:
    machine = snapshot("antminer_scrypt")
    assert (machine.hashrate_5s_ghs, machine.hashrate_ghs) == (0.5051, 0.5015)
    assert machine.boards[0].hashrate_ghs == 0.125


@pytest.mark.parametrize(
    ("kind", "value", "ghs"),
    [("Antminer B3", 300.0, 3e-7), ("Antminer Z11", 140.0, 1.4e-4), ("Antminer Z11", 140000.0, 1.4e-4), ("Antminer D3", 17000.0, 17.0)],
)
def test_unit_of_other_coins_follows_the_model(kind: str, value: float, ghs: float) -> None:
    reply = {"stats": {"STATS": [{"Type": kind}, {"GHS 5s": value, "GHS av": value, "miner_count": 3}]}}
    assert parse_snapshot(reply).hashrate_ghs == pytest.approx(ghs)


@pytest.mark.parametrize(
    ("kind", "said", "rated", "ghs"),
    [
        ("Antminer L9", 16.8, 17.0, 16.8),
        ("Antminer L7", 9050.0, 9500.0, 9.05),
        ("Antminer L7", 0.9, 9.5, 0.9),
        ("Antminer L3+", 50, 504, 0.05),
    ],
)
def test_scrypt_models_since_the_l7_may_mean_what_they_say(kind: str, said: float, rated: float, ghs: float) -> None:
    machine = stats(**{"GHS 5s": said, "GHS av": said, "total_rateideal": rated})
    machine["stats"]["STATS"][0]["Type"] = kind
    assert parse_snapshot(machine).hashrate_5s_ghs == pytest.approx(ghs)


def test_sensors_told_apart_by_the_side_are_read() -> None:
    machine = read(
        chain_acs1=" ooo",
        temp_in_pcb_1="41-42",
        temp_out_pcb_1="55-56",
        temp_in_chip_1="50-51",
        temp_out_chip_1="70-72",
        chain_rate1="90000",
    )
    assert machine.temperature_boards == (41, 42, 55, 56)
    assert machine.temperature_chips == (50, 51, 70, 72)
    assert [(board.temperature, board.temperature_chip) for board in machine.boards] == [(56, 72)]


def test_stated_rate_unit_wins_over_the_field_name() -> None:
    assert read(**{"GHS 5s": 9500.0, "GHS av": 9400.0, "rate_unit": "MH"}).hashrate_5s_ghs == 9.5


def test_rate_that_no_machine_reaches_is_in_a_smaller_unit() -> None:
    assert read(**{"GHS 5s": 90_000_000.0, "GHS av": 90_000_000.0}).hashrate_ghs == 90_000


def test_slow_start_is_believed() -> None:
    assert read(**{"GHS 5s": 90.5, "GHS av": 12.5, "total_rateideal": 95000.0}).hashrate_ghs == 12.5


def test_board_rates_in_terahashes_add_up_to_the_machine() -> None:
    machine = snapshot("fdminer")
    assert [board.hashrate_ghs for board in machine.boards] == [45000, 46000]
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs) == (90000, 91000)


def test_devices_written_as_an_object_are_read() -> None:
    assert snapshot("fdminer").accepted_shares == 12


def test_sleeping_machine_is_not_a_dead_one() -> None:
    machine = snapshot("antminer_sleeping")
    assert machine.mining_state is MiningState.SLEEPING
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.fan_speeds, machine.temperature_max) == (0.0, 0.0, (), None)
    assert (machine.boards, machine.boards_total, machine.hashrate_expected_ghs) == ((), 3, None)


def test_cool_machine_whose_chips_never_worked_sleeps() -> None:
    zero = {"GHS 5s": 0.0, "GHS av": 0.0}
    assert read(**zero, chain_acs1=" xxx", temp_pcb1="38-39-40-40").mining_state is MiningState.SLEEPING


def test_hot_machine_that_stopped_is_overheated() -> None:
    machine = snapshot("antminer_overheated")
    assert machine.mining_state is MiningState.OVERHEATED
    assert (machine.hashrate_5s_ghs, machine.temperature_max, machine.boards_healthy) == (0.0, 98, 0)


def test_machine_that_should_hash_and_does_not_is_at_fault() -> None:
    assert read(**{"GHS 5s": 0.0, "GHS av": 0.0}, temp_pcb1="40-41-50-51").mining_state is MiningState.FAULT


def test_machine_that_has_just_started_is_not_yet_at_fault() -> None:
    assert read(**{"GHS 5s": 0.0, "GHS av": 0.0, "Elapsed": 20}).mining_state is MiningState.UNKNOWN


def test_negative_temperatures_are_real() -> None:
    machine = snapshot("antminer_cold")
    assert machine.temperature_boards == (-12, -3, 8, 9)
    assert machine.temperature_chips == (-7, 2, 13, 14)
    assert machine.temperature_min == -12


@pytest.mark.parametrize("absent", ["0-0-0-0", "", None, 0, "0", "-", "nan", -273, 999])
def test_absent_sensor_is_not_zero_degrees(absent: object) -> None:
    machine = read(temp_pcb1=absent, temp_chip1=absent)
    assert (machine.temperature_boards, machine.temperature_chips, machine.temperature_max) == ((), (), None)


@pytest.mark.parametrize("text", ["nan", "inf", "-nan", "", "n/a", "1e999", None, True, [], {}])
def test_word_where_a_rate_belongs_is_a_missing_rate(text: object) -> None:
    machine = read(**{"GHS 5s": text, "GHS av": text})
    assert (machine.hashrate_5s_ghs, machine.hashrate_ghs) == (None, None)


def test_new_api_is_read_in_full() -> None:
    machine = snapshot("antminer_new_api")
    assert (machine.model, machine.firmware_version, machine.compile_time) == (
        "Antminer S21",
        "uart_trans.1.3",
        "Mon Oct 17 13:13:09 CST 2022",
    )
    assert (machine.hashrate_5s_ghs, machine.hashrate_ghs, machine.hashrate_expected_ghs) == (200500.5, 199900.25, 200000.0)
    assert machine.fan_speeds == (4000, 4010, 4020)
    assert [(board.id, board.hashrate_ghs, board.chips_ok, board.chips_total, board.serial_number) for board in machine.boards] == [
        (0, 100100.0, 4, 4, "SN0001"),
        (1, 100400.5, 3, 4, "SN0002"),
    ]
    assert machine.temperature_chips == (60, 61, 62, 63, 60, 61, 62, 66)
    assert (machine.frequency_avg, machine.hardware_errors, machine.uptime_seconds) == (491, 7, 4000)


def test_new_api_names_the_check_that_failed() -> None:
    assert snapshot("antminer_new_api").error_codes == ("fans",)


def test_firmware_that_never_names_the_pool_in_use_fails_over_in_order() -> None:
    machine = snapshot("antminer_new_api")
    assert [(pool.url, pool.active) for pool in machine.pools] == [
        ("stratum+tcp://one.pool.test:3333", True),
        ("stratum+tcp://two.pool.test:3333", False),
    ]


def test_new_api_in_sleep_mode_sleeps() -> None:
    main = {"elapsed": 50, "rate_5s": 0.0, "rate_avg": 0.0, "rate_unit": "GH/s", "miner-mode": 1, "fan": []}
    reply = {"stats": {"STATUS": {"STATUS": "S"}, "INFO": {"type": "Antminer S21"}, "STATS": [main]}}
    assert parse_snapshot(reply).mining_state is MiningState.SLEEPING


def test_vnish_names_itself_beside_the_model() -> None:
    machine = snapshot("vnish")
    assert (machine.model, machine.firmware_version) == ("Antminer S19 Pro", "Vnish 1.2.3")
    assert (machine.power_consumption, machine.efficiency, machine.fan_duty_percent) == (3020, 27.71, 82)
    assert machine.fan_speeds == (3000, 3100)


def test_other_parentheses_belong_to_the_model() -> None:
    reply = {"stats": {"STATS": [{"Type": "Antminer S19 (110T)", "Miner": "1.0"}, {"GHS 5s": 1.0, "miner_count": 3}]}}
    assert (parse_snapshot(reply).model, parse_snapshot(reply).firmware_version) == ("Antminer S19 (110T)", "1.0")


def test_msk_reports_its_total_power() -> None:
    machine = snapshot("msk")
    assert (machine.model, machine.power_consumption, machine.temperature_boards, machine.temperature_chips) == (
        "Antminer S19",
        3200,
        (45,),
        (58,),
    )


def test_blackminer_keeps_its_name_and_bracketed_sensors() -> None:
    main = {"GHS 5s": 14.5, "GHS av": 14.25, "miner_count": 1, "fan_num": 1, "fan1": 4000, "temp1": 50, "chipTemp1": "[60 61 -5]"}
    machine = parse_snapshot({"stats": {"STATS": [{"BMMiner": "1", "Type": "Blackminer F1"}, main]}})
    assert (machine.maker, machine.temperature_chips) == ("Blackminer", (60, 61, -5))


def test_luxos_adds_what_it_knows_of_boards_and_power() -> None:
    machine = snapshot("luxos")
    assert (machine.model, machine.firmware_version, machine.hostname) == ("Antminer S19k Pro", "2025.1.2.3", "rack-7")
    assert (machine.mac_address, machine.serial_number) == ("AA:BB:CC:00:11:22", "LUX0001")
    assert (machine.power_consumption, machine.power_limit, machine.hashrate_expected_ghs) == (1051, 1190, 62000)
    assert [(board.id, board.serial_number) for board in machine.boards] == [(1, "BOARD-A"), (2, "BOARD-B")]


def test_luxos_mines_to_groups_and_one_pool_is_marked() -> None:
    machine = snapshot("luxos")
    assert [(pool.group, pool.active) for pool in machine.pools] == [(0, True), (1, False)]


def test_luxos_names_the_sensor_of_the_water_that_comes_in() -> None:
    said = replies("luxos")
    said["temps"] = {
        "METADATA": [
            {"Label": "Board Intake", "TopRight": ""},
            {"Label": "Water Inlet", "WaterIn": ""},
            {"Label": "Water Outlet", "WaterOut": ""},
        ],
        "TEMPS": [{"ID": 0, "TopRight": 55, "WaterIn": 31.0, "WaterOut": 44.0}, {"ID": 1, "TopRight": 56, "WaterIn": 33.0}],
    }
    assert parse_snapshot(said).temperature_ambient == 32
    assert snapshot("luxos").temperature_ambient is None


def test_luxos_that_was_curtailed_sleeps() -> None:
    reply = replies("luxos", "config")
    reply["config"]["CONFIG"][0]["SystemStatus"] = "Curtailed"
    assert parse_snapshot(reply).mining_state is MiningState.SLEEPING


def test_braiins_joins_its_replies_by_board_id() -> None:
    machine = snapshot("braiins")
    assert (machine.model, machine.firmware_version) == ("Antminer S17", "boser-am2-s17 0.1.0")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.hashrate_expected_ghs) == (50000.0005, 51000.0005, 52000)
    assert [(board.id, board.temperature, board.temperature_chip, board.chips_total, board.frequency) for board in machine.boards] == [
        (6, 60.5, 75.25, 48, 650),
        (7, 62.5, None, 48, 655),
    ]
    assert (machine.power_consumption, machine.power_limit) == (2050, 2100)


def test_braiins_fans_that_are_not_fitted_are_left_out() -> None:
    machine = snapshot("braiins")
    assert (machine.fan_speeds, machine.fan_duty_percent) == ((3000, 3100), 55)


def test_paused_braiins_without_devices_sleeps() -> None:
    reply = replies("braiins", "version", "devs")
    reply["devs"]["DEVS"] = []
    assert parse_snapshot(reply).mining_state is MiningState.SLEEPING


def test_braiins_is_asked_for_more_than_the_join_gives() -> None:
    assert wanted_commands(replies("braiins", "version", "summary")) == ("pools", "devs", "devdetails", "temps", "fans", "tunerstatus")


def test_sensors_numbered_apart_from_the_boards_are_not_more_boards() -> None:
    sensors = {f"temp{number}": 40 + number for number in range(1, 10)}
    reply = {"stats": {"STATS": [{"Type": "Antminer E3"}, {"GHS 5s": 190.0, "miner_count": 3, **sensors}]}}
    machine = parse_snapshot(reply)
    assert (len(machine.boards), machine.boards_total) == (3, 3)
    assert machine.temperature_boards == tuple(range(41, 50))


def test_board_that_answers_without_chips_is_a_board() -> None:
    reply = stats(miner_count=2, chain_acn2=0, temp_pcb2="40-41", chain_rate2="")
    assert [(board.id, board.chips_total) for board in parse_snapshot(reply).boards] == [(1, 3), (2, 0)]


def test_summary_of_the_new_api_is_enough_for_the_rates() -> None:
    machine = parse_snapshot(replies("antminer_new_api", "summary"))
    assert (machine.model, machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.hardware_errors) == (
        "Antminer S21",
        199900.25,
        200500.5,
        7,
    )
