"""Commands for miners that the server reaches itself: carried out at once, once, one at a time a miner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ

from cgminer.simulator import State
from commands import dispatch
from commands.dispatch import Order
from commands.executor import execute_due
from commands.models import CommandStatus, MinerCommand, MinerCredential
from commands.secrets import seal
from commands.tasks import execute_commands, execute_site_commands
from resilience.leases import acquire
from sites.models import Site
from tests.commands.fleet import Farm
from tests.makers import make_miner, make_site

pytestmark = pytest.mark.django_db(transaction=True)
POOL = {"pool_url": "stratum+tcp://new.example.com:3333", "pool_user": "farm.one", "pool_password": "hunter2"}
S19 = "Antminer S19"


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm(S19, S19, "Whatsminer M50") as farm:
        yield farm


def ask(miner, command="restart", **fields):
    return dispatch.create_command(miner, Order(command=command, **fields), requested_by=None, now=fields.pop("now", timezone.now()))


def fresh(command: MinerCommand) -> MinerCommand:
    return MinerCommand.objects.get(pk=command.pk)


def test_command_is_carried_out_and_its_result_kept(farm: Farm) -> None:
    command = ask(farm.miners[0], "set_pool", params=POOL)
    execute_due(farm.site)
    command = fresh(command)
    assert farm.told() == ["addpool", "switchpool"]
    assert (command.status, command.result_code) == (CommandStatus.COMPLETED, 0)
    assert command.result["before"]["pool_url"] == "stratum+tcp://pool-a.example.com:3333"
    assert command.result["after"]["pool_url"] == POOL["pool_url"]


def test_the_pool_password_reaches_the_miner_and_no_record(farm: Farm) -> None:
    command = ask(farm.miners[0], "set_pool", params=POOL)
    execute_due(farm.site)
    command = fresh(command)
    assert farm.fleet.miner("m1").pools[-1].password == "hunter2"
    told = [command.result_message, str(command.result), str(command.params), *command.events.values_list("message", flat=True)]
    assert "hunter2" not in " ".join(told)


def test_asking_queues_a_task_that_carries_it_out_at_once(farm: Farm) -> None:
    ask(farm.miners[0])
    assert OrmQ.objects.count() == 1
    assert OrmQ.objects.get().task["func"] == "commands.tasks.execute_site_commands"
    assert execute_site_commands(farm.site.code) == "1 completed"
    assert farm.told() == ["restart"]


def test_commands_for_an_edge_collectors_site_are_left_to_it() -> None:
    site = make_site(collection=Site.Collection.COLLECTOR)
    ask(make_miner(site))
    assert not OrmQ.objects.exists()
    assert "no active site" in execute_site_commands(site.code)


def test_commands_of_one_miner_are_carried_out_one_after_the_other_in_order(farm: Farm) -> None:
    for number in (2, 1, 0, 2):
        ask(farm.miners[0], "set_pool", params={"pool_id": number})
    execute_due(farm.site)
    parameters = [event.parameter for event in farm.fleet.control_events]
    assert parameters == ["2", "1", "0", "2"]


def test_miner_that_hangs_does_not_hold_up_the_others(farm: Farm) -> None:
    farm.fleet.set_state("m1", State.DEAD)
    ask(farm.miners[0])
    other = ask(farm.miners[1])
    begun = time.monotonic()
    execute_due(farm.site)
    assert fresh(other).status == CommandStatus.COMPLETED
    assert (fresh(other).finished_at - fresh(other).sent_at).total_seconds() < 2 < time.monotonic() - begun


def test_unreachable_miner_fails_with_plain_words(farm: Farm) -> None:
    farm.fleet.set_state("m1", State.REFUSED)
    command = ask(farm.miners[0])
    execute_due(farm.site)
    command = fresh(command)
    assert command.status == CommandStatus.FAILED
    assert "Nothing was changed" in command.result_message
    assert command.result["error_class"] == "PortClosed"


def test_no_command_is_told_to_the_server_itself(farm: Farm, settings) -> None:
    settings.LOCAL_MINERS = False
    command = ask(farm.miners[0])
    execute_due(farm.site)
    assert fresh(command).status == CommandStatus.FAILED
    assert "this is the server itself" in fresh(command).result_message
    assert farm.fleet.control_events == []


def test_miner_without_an_address_is_told_so_and_not_touched(farm: Farm) -> None:
    command = ask(make_miner(farm.site, ip_address=""))
    execute_due(farm.site)
    assert (fresh(command).status, fresh(command).touched_at) == (CommandStatus.FAILED, None)
    assert "has no address" in fresh(command).result_message


@pytest.mark.parametrize("own", [False, True])
def test_stored_admin_password_opens_a_whatsminer(farm: Farm, own: bool) -> None:
    site_password = "wrong" if own else "admin"
    MinerCredential.objects.create(site=farm.site, sealed=seal({"password": site_password}))
    if own:
        MinerCredential.objects.create(site=farm.site, miner=farm.miners[2], sealed=seal({"password": "admin"}))
    command = ask(farm.miners[2], "disable")
    execute_due(farm.site)
    assert fresh(command).status == CommandStatus.COMPLETED
    assert farm.fleet.miner("m3").asleep


def test_whatsminer_without_a_stored_password_is_rejected(farm: Farm) -> None:
    command = ask(farm.miners[2], "disable")
    execute_due(farm.site)
    assert (fresh(command).status, fresh(command).result_code) == (CommandStatus.FAILED, 3)


def test_mark_is_written_before_the_miner_is_told(farm: Farm) -> None:
    command = ask(farm.miners[0])
    execute_due(farm.site)
    statuses = list(fresh(command).events.values_list("status", flat=True))
    assert statuses == ["pending", "sent", "executing", "completed"]
    assert fresh(command).touched_at.timestamp() <= farm.fleet.control_events[0].at


def test_what_was_about_to_be_told_when_the_server_stopped_is_unknown_and_not_told_again(farm: Farm) -> None:
    command = ask(farm.miners[0])
    leased = dispatch.lease_for_server(farm.site, limit=1, now=timezone.now(), runner="one that dies")[0]
    dispatch.touch(leased, now=timezone.now())
    MinerCommand.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    execute_due(farm.site)
    assert farm.told() == []
    assert fresh(command).status == CommandStatus.EXPIRED
    assert "unknown" in fresh(command).events.last().message


def test_what_was_leased_and_not_touched_when_the_server_stopped_is_carried_out(farm: Farm) -> None:
    command = ask(farm.miners[0])
    dispatch.lease_for_server(farm.site, limit=1, now=timezone.now(), runner="one that dies")
    MinerCommand.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    execute_due(farm.site)
    assert farm.told() == ["restart"]
    assert fresh(command).status == CommandStatus.COMPLETED


def test_lease_that_ran_out_is_not_used_any_more(farm: Farm) -> None:
    ask(farm.miners[0])
    leased = dispatch.lease_for_server(farm.site, limit=1, now=timezone.now(), runner="a slow one")[0]
    later = timezone.now() + timedelta(seconds=settings.COMMAND_LEASE_S + 1)
    dispatch.lease_for_server(farm.site, limit=1, now=later, runner="another")
    assert dispatch.touch(leased, now=later) is False


def test_command_that_an_agent_had_is_not_carried_out_by_the_server(farm: Farm) -> None:
    ask(farm.miners[0])
    dispatch.lease_commands(farm.site, limit=1, now=timezone.now(), leased_by="agent-1")
    MinerCommand.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    execute_due(farm.site)
    assert farm.told() == []


def test_no_more_than_two_runs_of_a_site_are_under_way(farm: Farm) -> None:
    ask(farm.miners[0])
    for slot in (1, 2):
        acquire(f"commands {farm.site.code} {slot}", ttl_s=60, now=timezone.now())
    assert "under way already" in execute_site_commands(farm.site.code)
    assert farm.told() == []


def test_run_that_was_killed_does_not_hold_up_its_site(farm: Farm) -> None:
    ask(farm.miners[0])
    acquire(f"commands {farm.site.code} 1", ttl_s=60, now=timezone.now())
    assert execute_site_commands(farm.site.code) == "1 completed"


def test_the_schedule_takes_up_what_no_task_carried_out(farm: Farm) -> None:
    ask(farm.miners[0])
    OrmQ.objects.all().delete()
    execute_commands()
    assert OrmQ.objects.get().task["args"] == (farm.site.code,)


RUNNER = """
import django
django.setup()
from commands.executor import execute_due
from sites.models import Site
print("ready", flush=True)
execute_due(Site.objects.get())
"""


def test_runner_killed_in_the_middle_leaves_nothing_executing_and_nothing_twice(farm: Farm, child_environment: dict[str, str]) -> None:
    farm.fleet.set_state("m1", State.SLOW)
    slow, waiting = ask(farm.miners[0]), ask(farm.miners[0])
    with subprocess.Popen([sys.executable, "-c", RUNNER], env=child_environment, stdout=subprocess.PIPE, cwd=settings.BASE_DIR) as runner:
        deadline = time.monotonic() + 30
        while fresh(slow).touched_at is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(runner.pid, signal.SIGKILL)
    farm.fleet.set_state("m1", State.HEALTHY)
    MinerCommand.objects.filter(pk=slow.pk).update(leased_until=timezone.now())
    execute_due(farm.site)
    assert fresh(slow).status == CommandStatus.EXPIRED
    assert fresh(waiting).status == CommandStatus.COMPLETED
    assert farm.told().count("restart") <= 2
