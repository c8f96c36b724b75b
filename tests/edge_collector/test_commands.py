"""Commands end to end: asked for at the real server, carried out at simulated miners, answered; and what crashes leave behind."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from cgminer.simulator import MinerSpec, SimulatedFleet, State, write_inventory
from commands import dispatch
from commands.dispatch import Order as Asked
from commands.models import CommandStatus, MinerCommand
from edge_collector.agent import STATE_FILE
from edge_collector.commands import CommandDesk
from edge_collector.inventory import Inventory, given_machines
from edge_collector.journal import Journal
from edge_collector.link import Link
from sites.models import CollectorKey
from tests.edge_collector.makers import KEY, make_config, write_config
from tests.edge_collector.odd_server import OddServer
from tests.edge_collector.test_server import running
from tests.makers import make_miner, make_site
from tests.ports import free_port
from tests.servers import wait_until

POLL = "/api/edge/v1/commands/poll"
LUXOS, ANTMINER, BRAIINS = "Antminer S19k Pro (LuxOS)", "Antminer S19", "Antminer S19 Pro (Braiins OS)"


@pytest.fixture
def specs():
    port = free_port()
    models = {"lux": LUXOS, "stock": ANTMINER, "braiins": BRAIINS}
    return [
        MinerSpec(miner_id=name, host=f"127.0.72.{number}", port=port, model=model, seed=number)
        for number, (name, model) in enumerate(models.items(), start=1)
    ]


@pytest.fixture
def fleet(specs):
    with SimulatedFleet(specs, restart_s=0.6) as fleet:
        yield fleet


@pytest.fixture
def server():
    with OddServer() as odd:
        odd.answers[POLL] = (200, {"success": True, "commands": []})
        yield odd


@contextmanager
def desk_at(config):
    config.data.mkdir(exist_ok=True)
    inventory = Inventory(given_machines(config))
    journal = Journal(config.data / STATE_FILE)
    stop = threading.Event()
    links = {name: Link(config, lambda: KEY) for name in ("poll_link", "answer_link")}
    desk = CommandDesk(config, inventory, journal, stop=stop, **links)
    desk.journal = journal
    yield desk
    stop.set()
    desk.close()
    journal.close()


@pytest.fixture
def desk(server, specs, fleet, tmp_path):
    with desk_at(make_config(tmp_path, url=server.url, specs=specs)) as desk:
        yield desk


def offer(server, command="restart", miner_id="lux", *, command_id="c-1", expires_in=60.0, **more):
    expires = datetime.now(UTC) + timedelta(seconds=expires_in)
    order = {"command_id": command_id, "miner_id": miner_id, "site_id": "north", "zone_id": None, "command": command, "params": {}}
    order |= {"expires_at": expires.isoformat(), "ip_address": "127.0.72.250"}
    server.answers[POLL] = (200, {"success": True, "commands": [{**order, **more}], "count": 1})
    server.answers[f"/api/edge/v1/commands/{command_id}/ack"] = (200, {"success": True})


def answers(server):
    return [body for path, body in server.posted if path.endswith("/ack")]


def carried_out(desk, server, count=1):
    """Poll once and answer until `count` results arrived."""
    desk.poll()
    wait_until(lambda: desk.answer_due() or len(answers(server)) >= count, timeout_s=15, what="a result")
    return answers(server)[-1]


# --- With the real server -------------------------------------------------------------------------------------------------------------


def test_commands_are_carried_out_answered_and_proved(live_web, specs, fleet, tmp_path):
    site = make_site("north", collection="collector")
    _, key = CollectorKey.objects.generate(site=site, name="edge")
    write_inventory(specs, tmp_path / "miners.csv")
    config = write_config(tmp_path, url=live_web.url, key=key, commands={"effect_s": 10})
    wanted = {
        "lux": ("restart", {}),
        "braiins": ("disable", {}),
        "stock": ("set_pool", {"pool_url": "stratum+tcp://new.example.com:3333", "pool_user": "f.1"}),
    }
    for name, (command, params) in wanted.items():
        order = Asked(command=command, params=params)
        dispatch.create_command(make_miner(site, name, ip_address=""), order, requested_by=None, now=timezone.now())
    with running(config):
        wait_until(lambda: not MinerCommand.objects.open().exists(), timeout_s=30, what="the end of all commands")
    results = {command.miner.miner_id: command for command in MinerCommand.objects.select_related("miner")}
    assert {name: command.status for name, command in results.items()} == dict.fromkeys(wanted, CommandStatus.COMPLETED)
    assert results["lux"].result["after"]["uptime_seconds"] < results["lux"].result["before"]["uptime_seconds"]
    assert results["braiins"].result["after"]["hashrate_5s_ghs"] == 0
    assert results["stock"].result["after"]["pool_url"] == "stratum+tcp://new.example.com:3333"
    assert all(command.result["result"]["effect"] == "seen" for command in results.values())
    assert [event.command for event in fleet.control_events if event.miner_id == "lux"].count("resetminer") == 1


# --- Checks ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"site_id": "south"}, "it is for the site south"),
        ({"miner_id": "nobody"}, "not in the inventory"),
        ({"expires_in": -5}, "had expired"),
        ({"expires_in": 60, "expires_at": "soon"}, "had expired"),
        ({"command": "explode"}, "does not know the command"),
    ],
)
def test_command_that_is_not_for_here_is_rejected_and_no_miner_touched(server, desk, fleet, order, words):
    offer(server, **order)
    answer = carried_out(desk, server)
    assert (answer["status"], answer["result_code"]) == ("rejected", 3)
    assert words in answer["result_message"]
    assert fleet.control_events == []


def test_address_in_a_command_is_never_used(server, desk, fleet):
    offer(server, "disable", "braiins", ip_address=fleet.specs[0].host)
    assert carried_out(desk, server)["status"] == "completed"
    assert {event.miner_id for event in fleet.control_events} == {"braiins"}


def test_command_of_another_zone_is_left_to_its_collector(server, specs, fleet, tmp_path):
    with desk_at(make_config(tmp_path, url=server.url, specs=specs, server={"zone_id": "A"})) as desk:
        offer(server, zone_id="B")
        desk.poll()
        offer(server, zone_id=None, miner_id="nobody")
        desk.poll()
        desk.answer_due()
        assert answers(server) == []
        assert desk.journal.open_count() == 0


def test_machine_that_took_over_the_address_is_not_told(server, specs, fleet, tmp_path):
    config = make_config(tmp_path, url=server.url, specs=specs)
    rows = (tmp_path / "miners.csv").read_text().splitlines()
    swapped = [
        row.replace(f"{specs[0].host},", "X,").replace(f"{specs[2].host},", f"{specs[0].host},").replace("X,", f"{specs[2].host},")
        for row in rows
    ]
    (tmp_path / "miners.csv").write_text("\n".join(swapped) + "\n")
    with desk_at(config) as desk:
        offer(server, "disable", "braiins")
        answer = carried_out(desk, server)
    assert answer["status"] == "failed"
    assert "another machine answers" in answer["result_message"]
    assert fleet.control_events == []


# --- Outcomes -------------------------------------------------------------------------------------------------------------------------


def test_firmware_that_cannot_do_it_is_rejected_in_its_own_words(server, desk):
    offer(server, "disable", "stock")
    answer = carried_out(desk, server)
    assert answer["status"] == "rejected"
    assert "cannot do disable" in answer["result_message"]
    assert "127.0.72" not in answer["result_message"]


def test_dead_miner_is_a_failure_that_changed_nothing(server, desk, fleet):
    fleet.set_state("lux", State.REFUSED)
    offer(server)
    answer = carried_out(desk, server)
    assert (answer["status"], answer["result_code"], answer["error_class"]) == ("failed", 1, "PortClosed")
    assert "Nothing was changed" in answer["result_message"]
    assert "127.0.72" not in answer["result_message"]


def test_effect_that_does_not_show_is_no_success(server, desk, fleet):
    fleet.set_state("lux", State.OVERHEATED)
    offer(server, "enable", "lux")
    answer = carried_out(desk, server)
    assert (answer["status"], answer["error_class"]) == ("failed", "NoEffect")
    assert answer["result"]["effect"] == "not seen"


def test_command_is_carried_out_once_however_often_it_is_offered(server, desk, fleet):
    offer(server)
    desk.poll()
    desk.poll()
    carried_out(desk, server)
    offer(server)
    again = carried_out(desk, server, count=2)
    assert answers(server)[0] == again
    assert resets(fleet) == 1


def test_result_is_sent_until_it_is_acknowledged(server, desk):
    offer(server, "disable", "braiins")
    ack = "/api/edge/v1/commands/c-1/ack"
    server.answers[ack] = (502, {"error": "bad gateway"})
    desk.poll()
    wait_until(lambda: desk.answer_due() or len(answers(server)) >= 3, timeout_s=10, what="three attempts")
    server.answers[ack] = (200, {"success": True})
    wait_until(lambda: desk.answer_due() > 0, timeout_s=10, what="the acknowledgement")
    assert desk.journal.open_count() == 0
    assert len({json.dumps(body, sort_keys=True) for body in answers(server)}) == 1


def test_unacknowledged_result_survives_a_restart(server, specs, fleet, tmp_path):
    config = make_config(tmp_path, url=server.url, specs=specs)
    with desk_at(config) as first:
        offer(server, "disable", "braiins")
        first.poll()
        wait_until(lambda: first.journal.unanswered(time.time()), timeout_s=10, what="a result")
    with desk_at(config) as second:
        assert second.answer_due() == 1
    assert answers(server)[0]["status"] == "completed"


def test_secrets_of_a_command_are_not_kept_on_disk(server, desk, tmp_path):
    params = {"pool_url": "stratum+tcp://p.example.com:1", "pool_user": "u", "pool_password": "very-secret"}
    offer(server, "set_pool", "stock", params=params)
    assert carried_out(desk, server)["status"] == "completed"
    desk.journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert b"very-secret" not in (desk._config.data / STATE_FILE).read_bytes()
    assert b"p.example.com" in (desk._config.data / STATE_FILE).read_bytes()


def test_older_server_is_asked_rarely(server, desk):
    server.answers[POLL] = (404, {"success": False})
    assert desk.poll() >= 600


# --- Crashes --------------------------------------------------------------------------------------------------------------------------


def test_command_cut_short_by_a_kill_is_proved_and_not_repeated(server, specs, fleet, tmp_path):
    config = make_config(tmp_path, url=server.url, specs=specs)
    offer(server, command_id="c-9")
    with running(tmp_path / "edge-collector.toml") as process:
        wait_until(lambda: resets(fleet) > 0, timeout_s=15, what="the restart at the miner")
        process.kill()
        process.wait()
    assert answers(server) == []
    with desk_at(config) as desk:
        desk.report_interrupted()
        desk.poll()
        wait_until(lambda: desk.answer_due() > 0, timeout_s=15, what="the result")
    (answer,) = answers(server)
    assert (answer["status"], answer["result_code"]) == ("completed", 0)
    assert "the collector stopped meanwhile" in answer["result_message"]
    assert answer["after"]["uptime_seconds"] < answer["before"]["uptime_seconds"]
    assert resets(fleet) == 1


def resets(fleet):
    return [event.command for event in fleet.control_events].count("resetminer")


def test_command_cut_short_that_nothing_proves_is_reported_as_such(server, specs, fleet, tmp_path):
    config = make_config(tmp_path, url=server.url, specs=specs, commands={"effect_s": 1})
    with desk_at(config) as desk:
        desk.journal.begin("c-9", miner_id="lux", command="restart", params={}, before={"uptime_seconds": 5})
        server.answers["/api/edge/v1/commands/c-9/ack"] = (200, {"success": True})
        desk.report_interrupted()
        wait_until(lambda: desk.answer_due() > 0, timeout_s=15, what="the result")
    (answer,) = answers(server)
    assert (answer["status"], answer["result_code"], answer["error_class"]) == ("error", 1, "Interrupted")
    assert fleet.control_events == []
