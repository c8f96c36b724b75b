"""Avalon, Sealminer, Auradine, and any other fork of CGMiner."""

from __future__ import annotations

from typing import Any

import pytest

from cgminer.errors import MinerReplyError
from cgminer.parsers import Firmware, identify, parse_snapshot, wanted_commands
from cgminer.snapshot import MiningState, Snapshot
from tests.cgminer.miner_samples import machines, replies, snapshot


def module(text: str, **summary: Any) -> Snapshot:
    reply: dict[str, dict[str, Any]] = {"stats": {"STATS": [{"ID": "AVA100", "Elapsed": 400, "MM ID0": text}]}}
    return parse_snapshot({**reply, "summary": {"SUMMARY": [summary]}} if summary else reply)


def test_avalon_is_read_in_full() -> None:
    machine = snapshot("avalon")
    assert (machine.maker, machine.model, machine.firmware_version) == ("Avalon", "AvalonMiner 13-150", "23010101_aaaaaaa_bbbbbbb")
    assert (machine.serial_number, machine.mac_address, machine.software) == ("0201000012345678", "B4:A2:EB:00:11:22", "cgminer 4.11.1")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.hashrate_expected_ghs) == (147500.00025, 150500.0005, 151000.25)
    assert (machine.fan_speeds, machine.fan_duty_percent, machine.temperature_ambient) == ((4200, 4300), 49, 31)
    assert (machine.power_consumption, machine.power_limit, machine.frequency_avg) == (3300, 3515, 345.94)
    assert machine.error_codes == ("ECHU1:512",)


def test_avalon_boards_come_from_the_module_text() -> None:
    assert [
        (board.hashrate_ghs, board.temperature, board.temperature_chip_avg, board.chips_total) for board in snapshot("avalon").boards
    ] == [
        (49000.25, 78, 69, 4),
        (49500.25, 79, 70, 4),
        (49500.25, 80, 71, 4),
    ]


def test_avalon_without_a_summary_tells_what_its_modules_measured() -> None:
    machine = snapshot("avalon", "stats")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs) == (148000.75, 149000.5)


def test_avalon_summary_of_another_run_is_not_mixed_in() -> None:
    machine = module("Elapsed[400] GHSavg[80000.5] GHSspd[81000.5]", **{"Elapsed": 40000, "MHS av": 44_000_000.0})
    assert (machine.hashrate_ghs, machine.uptime_seconds) == (80000.5, 400)


def test_avalon_output_power_stands_in_for_the_wall() -> None:
    assert module("PS[0 1209 1187 297 3150 1188 3700] GHSavg[1.0]").power_consumption == 3150
    assert module("PS[0 0 0 0 0 0] GHSavg[1.0]").power_consumption is None


def test_several_avalon_modules_are_one_machine() -> None:
    machine = snapshot("avalon_modules")
    assert (machine.model, machine.hashrate_expected_ghs, machine.hashrate_ghs) == ("AvalonMiner 841", 25200.75, None)
    assert [(board.id, board.temperature, board.chips_total) for board in machine.boards] == [(0, 84, 104), (1, 82, 104)]
    assert (machine.fan_speeds, machine.fan_duty_percent) == ((5730, 5850), 99)
    assert (machine.temperature_boards, machine.temperature_max) == ((36, 38), 84)


def test_avalon_home_model_keeps_its_chips_apart() -> None:
    machine = snapshot("avalon_home")
    assert (machine.hashrate_ghs, machine.power_consumption, machine.power_limit) == (83000.75, 1400, 1600)
    assert (machine.temperature_ambient, machine.temperature_boards, machine.temperature_max) == (30, (38, 55), 75)
    assert [(board.temperature, board.temperature_chip, board.chips_total) for board in machine.boards] == [(55, 75, 3)]


@pytest.mark.parametrize("text", ["SoftOFF[1] GHSspd[0]", "SYSTEMSTATU[Work: In Idle, Hash Board: 3 ] GHSspd[0]"])
def test_avalon_switched_off_sleeps(text: str) -> None:
    assert module(text).mining_state is MiningState.SLEEPING


def test_avalon_display_tells_the_pool_in_use() -> None:
    lcd = {"LCD": [{"GHS av": 6500.0, "Current Pool": "stratum+tcp://one.pool.test:3333", "User": "home.1", "Temperature": 0.0}]}
    machine = parse_snapshot({"lcd": lcd})
    assert machine.pool_in_use is not None
    assert (machine.pool_in_use.url, machine.pool_in_use.user, machine.temperature_ambient) == (
        "stratum+tcp://one.pool.test:3333",
        "home.1",
        None,
    )


def test_sealminer_is_read_in_full() -> None:
    machine = snapshot("sealminer")
    assert (machine.maker, machine.firmware_version, machine.serial_number) == ("Sealminer", "2025010101", "S1000000000001")
    assert (machine.hashrate_ghs, machine.hashrate_expected_ghs) == (206500.0005, 230000.0005)
    assert (machine.power_consumption, machine.power_limit, machine.fan_speeds) == (3504, 3500, (4100, 4200))
    assert [(board.hashrate_ghs, board.temperature, board.chips_ok, board.chips_total) for board in machine.boards] == [
        (103000.00025, 70, 153, 153),
        (103500.00025, 71, 113, 153),
    ]
    assert (machine.boards_total, machine.boards_healthy) == (2, 1)


def test_suspended_sealminer_sleeps() -> None:
    reply = replies("sealminer", "stats")
    reply["stats"]["STATS"][0]["PM State"] = "Suspended"
    assert parse_snapshot(reply).mining_state is MiningState.SLEEPING


def test_auradine_is_read_from_its_many_replies() -> None:
    machine = snapshot("auradine")
    assert (machine.maker, machine.model, machine.hostname, machine.serial_number) == ("Auradine", "AT2880", "at-9", "AUR0001")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs, machine.hashrate_expected_ghs) == (150000.0005, 151000.00025, 155000)
    assert (machine.power_consumption, machine.fan_speeds) == (3400, (4000, 4050))
    assert [(board.id, board.temperature, board.temperature_chip) for board in machine.boards] == [(1, 63, 72.5), (2, 61, 71.5)]


def test_auradine_power_may_carry_its_unit() -> None:
    assert parse_snapshot(replies("auradine", "psu")).power_consumption == 3512


def test_unknown_machine_is_read_as_plain_cgminer() -> None:
    machine = snapshot("innosilicon")
    assert (machine.maker, machine.hashrate_ghs, machine.hashrate_5s_ghs) == (None, 0.05125, 0.0515)
    assert [(board.id, board.temperature, board.temperature_chip, board.chips_ok, board.chips_total) for board in machine.boards] == [
        (0, 62, 71, 12, 12),
        (1, 64, 72, 9, 12),
    ]
    assert (machine.fan_speeds, machine.fan_duty_percent, machine.boards_healthy) == ((6270, 6810), 36, 1)


def test_summary_of_zero_while_devices_hash_is_not_believed() -> None:
    machine = snapshot("zero_summary")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs) == (0.26675, 0.28)
    assert machine.mining_state is MiningState.MINING


def test_impossible_share_count_is_replaced_by_the_devices() -> None:
    assert snapshot("zero_summary").accepted_shares == 4100
    assert parse_snapshot(replies("zero_summary", "summary")).accepted_shares is None


def test_device_average_that_is_memory_garbage_gives_way_to_its_short_window() -> None:
    machine = snapshot("garbage_device")
    assert (machine.hashrate_ghs, machine.hashrate_5s_ghs) == (1.70075, 1.701)


def test_fans_and_boards_of_a_dayun_are_found_by_their_names() -> None:
    machine = snapshot("dayun")
    assert (machine.hashrate_5s_ghs, machine.fan_speeds, machine.temperature_chips) == (5.2005, (3570, 3540), (50,))
    assert [(board.id, board.temperature) for board in machine.boards] == [(1, 47), (2, 48)]


def test_text_inside_stats_is_read_as_json_again() -> None:
    machine = snapshot("spondoolies")
    assert (machine.fan_speeds, machine.power_consumption, machine.temperature_max) == ((12000, 11000), 4150, 97)
    assert [(board.hashrate_ghs, board.chips_ok) for board in machine.boards] == [(254, 75), (257, 74)]


def test_clock_of_the_miner_is_not_part_of_the_reading() -> None:
    def at(when: int) -> Snapshot:
        return parse_snapshot({"summary": {"STATUS": [{"STATUS": "S", "When": when}], "SUMMARY": [{"Elapsed": 9, "MHS av": 5.0}]}})

    assert at(168) == at(1_700_000_000)


def test_uptime_longer_than_any_machine_lives_is_not_known() -> None:
    assert parse_snapshot({"summary": {"SUMMARY": [{"Elapsed": 1_700_000_000, "MHS av": 5.0}]}}).uptime_seconds is None


def test_latency_is_passed_through() -> None:
    assert parse_snapshot(replies("avalon"), latency_ms=12.5).latency_ms == 12.5


@pytest.mark.parametrize("reply", [{}, {"summary": {}}, {"summary": {"hello": "world"}}, {"summary": {"id": 1}}])
def test_nothing_from_a_miner_is_an_error(reply: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(MinerReplyError, match="another device"):
        parse_snapshot(reply)


def test_one_reply_is_enough_to_know_the_firmware() -> None:
    alone = {
        (machine, command): identify(replies(machine, command))
        for machine in ("avalon", "braiins", "luxos", "sealminer", "auradine", "whatsminer", "antminer_stock")
        for command in replies(machine)
    }
    wrong = {
        where: firmware
        for where, firmware in alone.items()
        if where[0].partition("_")[0] != firmware and where not in {("antminer_stock", "pools"), ("antminer_stock", "summary")}
    }
    assert wrong == {
        ("avalon", "summary"): Firmware.GENERIC,
        ("sealminer", "summary"): Firmware.GENERIC,
        ("whatsminer", "pools"): Firmware.GENERIC,
        ("whatsminer", "devdetails"): Firmware.GENERIC,
    }


@pytest.mark.parametrize("machine", machines())
def test_snapshot_of_every_sample_is_within_the_bounds_of_the_wire_contract(machine: str) -> None:
    record = snapshot(machine).as_record()
    assert len(record.get("temperature_chips", [])) <= 100
    assert len(record.get("fan_speeds", [])) <= 20
    assert len(record.get("boards", [])) <= 10
    assert len(record.get("firmware_version", "")) <= 50


def test_joined_reply_is_parsed_as_it_came() -> None:
    parts = replies("avalon", "summary", "stats")
    joined = {"summary+stats": {"summary": [parts["summary"]], "stats": [parts["stats"]], "id": 1}}
    assert parse_snapshot(joined) == parse_snapshot(parts)


def test_generic_machine_is_asked_for_its_devices() -> None:
    assert wanted_commands(replies("zero_summary", "summary")) == ("stats", "pools", "version", "devs")


def test_machine_that_answers_only_with_errors_says_which() -> None:
    reply = {"summary": {"STATUS": "E", "Code": 132, "Msg": "API command ERROR"}}
    with pytest.raises(MinerReplyError, match="API command ERROR"):
        parse_snapshot(reply)


def test_names_lose_what_no_database_takes() -> None:
    pools = {"POOLS": [{"POOL": 0, "URL": "stratum+tcp://a\x00b:1", "User": "w\ud800\n1", "Status": "Alive"}]}
    (pool,) = parse_snapshot({"pools": pools}).pools
    assert (pool.url, pool.user) == ("stratum+tcp://ab:1", "w1")


@pytest.mark.parametrize(("window", "said", "ghs"), [("KHS 15s", 990.0, 0.00099), ("MHS 10s", 41_000.0, 41.0), ("GHS 60s", 12.5, 12.5)])
def test_rarer_windows_of_other_forks_are_short_ones(window: str, said: float, ghs: float) -> None:
    unit = window.split()[0]
    machine = parse_snapshot({"summary": {"SUMMARY": [{"Elapsed": 60, f"{unit} av": said * 2, window: said}]}})
    assert machine.hashrate_5s_ghs == pytest.approx(ghs)
    assert machine.hashrate_ghs == pytest.approx(ghs * 2)


@pytest.mark.parametrize("mode", ["Low", None])
def test_power_mode_is_the_firmwares_own_word(mode: str | None) -> None:
    summary = {"Elapsed": 60, "HS RT": 1e8, "Factory GHS": 100_000, **({"Power Mode": mode} if mode else {})}
    assert parse_snapshot({"summary": {"SUMMARY": [summary]}}).power_mode == (mode.lower() if mode else None)
