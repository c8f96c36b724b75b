"""Commands change state by one door, once, and every step is written down."""

from __future__ import annotations

from datetime import timedelta

import pytest

from commands import dispatch
from commands.dispatch import Order, Outcome
from commands.models import CommandStatus, CommandType, MinerCommand
from commands.params import InvalidCommand
from commands.secrets import unseal
from tests.makers import NOON, make_miner, make_site, make_superuser

pytestmark = pytest.mark.django_db
COMPLETED = Outcome(status="Completed", result_code=0, message="done")


def ask(miner, command=CommandType.RESTART, *, now=NOON, **fields):
    return dispatch.create_command(miner, Order(command=command, **fields), requested_by=None, now=now)


def lease(site, *, now=NOON, limit=10, **fields):
    return dispatch.lease_commands(site, limit=limit, now=now, leased_by="key hsc_test", **fields)


def test_an_asked_command_waits_until_it_is_leased():
    command = ask(make_miner())
    assert command.status == CommandStatus.PENDING
    leased = lease(command.site)
    assert [item.pk for item in leased] == [command.pk]
    command.refresh_from_db()
    assert (command.status, command.deliveries, command.sent_at) == (CommandStatus.SENT, 1, NOON)


def test_a_leased_command_is_not_handed_out_again_while_the_lease_lives():
    command = ask(make_miner())
    lease(command.site)
    assert lease(command.site, now=NOON + timedelta(seconds=59)) == []


def test_an_unanswered_command_is_offered_again_under_its_id_when_the_lease_ends():
    command = ask(make_miner())
    lease(command.site)
    again = lease(command.site, now=NOON + timedelta(seconds=61))
    assert [item.pk for item in again] == [command.pk]
    assert MinerCommand.objects.get(pk=command.pk).deliveries == 2


def test_a_miner_gets_one_command_at_a_time_in_the_order_asked():
    miner = make_miner()
    first = ask(miner)
    second = ask(miner, CommandType.REBOOT, now=NOON + timedelta(seconds=1))
    later = NOON + timedelta(seconds=2)
    assert [item.pk for item in lease(miner.site, now=later)] == [first.pk]
    assert lease(miner.site, now=later) == []
    dispatch.record_result(first.pk, site=miner.site, outcome=COMPLETED, actor="agent", now=later)
    assert [item.pk for item in lease(miner.site, now=later)] == [second.pk]


def test_the_more_urgent_command_goes_first():
    miner = make_miner()
    ask(miner)
    urgent = ask(miner, CommandType.DISABLE, priority=5)
    assert [item.pk for item in lease(miner.site)] == [urgent.pk]


def test_many_commands_of_one_miner_do_not_hide_those_of_another():
    site = make_site()
    busy, other = make_miner(site), make_miner(site)
    for number in range(60):
        ask(busy, now=NOON - timedelta(seconds=60 - number))
    wanted = ask(other)
    assert wanted.pk in {item.pk for item in lease(site, limit=2)}


def test_a_lease_can_be_narrowed_to_a_zone():
    site = make_site()
    ask(make_miner(site, zone="east"))
    west = ask(make_miner(site, zone="west"))
    assert [item.pk for item in lease(site, zone="west")] == [west.pk]


def test_another_sites_commands_are_never_leased():
    ask(make_miner())
    assert lease(make_site()) == []


def test_a_result_ends_the_command_and_a_repeat_changes_nothing():
    command = ask(make_miner())
    lease(command.site)
    dispatch.record_result(command.pk, site=command.site, outcome=COMPLETED, actor="agent", now=NOON)
    events = command.events.count()
    repeated = dispatch.record_result(command.pk, site=command.site, outcome=COMPLETED, actor="agent", now=NOON + timedelta(hours=1))
    assert (repeated.status, repeated.finished_at, command.events.count()) == (CommandStatus.COMPLETED, NOON, events)


def test_skipped_means_that_it_was_executed_before():
    command = ask(make_miner())
    lease(command.site)
    outcome = Outcome(status="skipped", result_code=2, message="DUPLICATE_IGNORED")
    assert dispatch.record_result(command.pk, site=command.site, outcome=outcome, actor="agent", now=NOON).status == CommandStatus.COMPLETED


def test_a_late_result_of_an_expired_command_is_kept_as_evidence_only():
    command = ask(make_miner(), ttl_s=60)
    lease(command.site)
    dispatch.expire_due(NOON + timedelta(seconds=61))
    late = dispatch.record_result(command.pk, site=command.site, outcome=COMPLETED, actor="agent", now=NOON + timedelta(minutes=5))
    assert late.status == CommandStatus.EXPIRED
    assert command.events.filter(message__startswith="late: answered Completed").count() == 1


def test_a_result_from_another_site_finds_no_command():
    command = ask(make_miner())
    with pytest.raises(MinerCommand.DoesNotExist):
        dispatch.record_result(command.pk, site=make_site(), outcome=COMPLETED, actor="agent", now=NOON)


def test_an_executing_command_keeps_its_lease_alive():
    command = ask(make_miner())
    lease(command.site)
    working = NOON + timedelta(seconds=50)
    dispatch.record_result(command.pk, site=command.site, outcome=Outcome(status="executing"), actor="agent", now=working)
    assert lease(command.site, now=NOON + timedelta(seconds=70)) == []


def test_an_expired_command_is_no_longer_handed_out():
    command = ask(make_miner(), ttl_s=60)
    assert lease(command.site, now=NOON + timedelta(seconds=60)) == []
    assert MinerCommand.objects.get(pk=command.pk).status == CommandStatus.EXPIRED


def test_only_what_was_not_handed_out_can_be_cancelled():
    site = make_site()
    sent = ask(make_miner(site))
    lease(site)
    waiting = ask(make_miner(site))
    assert dispatch.cancel(MinerCommand.objects.filter(site=site), actor="operator", now=NOON) == 1
    assert MinerCommand.objects.get(pk=waiting.pk).status == CommandStatus.CANCELLED
    assert MinerCommand.objects.get(pk=sent.pk).status == CommandStatus.SENT


def test_the_same_request_twice_makes_one_command():
    miner = make_miner()
    first = ask(miner, idempotency_key="click-1")
    assert ask(miner, idempotency_key="click-1").pk == first.pk
    assert MinerCommand.objects.count() == 1


def test_every_step_is_in_the_event_log_with_its_actor():
    operator = make_superuser("wei")
    command = dispatch.create_command(make_miner(), Order(command="restart", reason="hung"), requested_by=operator, now=NOON)
    lease(command.site)
    dispatch.record_result(command.pk, site=command.site, outcome=COMPLETED, actor="agent pi-3", now=NOON)
    assert list(command.events.values_list("actor", "message")) == [
        ("wei", "asked: hung"),
        ("key hsc_test", "handed out, delivery 1"),
        ("agent pi-3", "answered Completed: done"),
    ]


def test_a_pool_password_is_not_stored_in_the_clear():
    params = {"pool_url": "stratum+tcp://pool.example.com:3333", "pool_user": "farm.1", "pool_password": "hunter2"}
    command = ask(make_miner(), CommandType.SET_POOL, params=params)
    command.refresh_from_db()
    assert "pool_password" not in command.params
    assert "hunter2" not in command.secret_params
    assert unseal(command.secret_params) == {"pool_password": "hunter2"}


@pytest.mark.parametrize(
    ("command", "params", "field"),
    [
        ("explode", {}, "command"),
        ("restart", {"now": True}, "now"),
        ("set_fan", {}, "speed"),
        ("set_fan", {"speed": 101}, "speed"),
        ("set_fan", {"speed": True}, "speed"),
        ("set_frequency", {"frequency": "nan"}, "frequency"),
        ("set_pool", {"pool_url": "http://pool.example.com"}, "pool_url"),
        ("set_pool", {"pool_url": "stratum+tcp://pool.example.com:99999", "pool_user": "a"}, "pool_url"),
        ("set_pool", {"pool_url": "stratum+tcp://pool.example.com:3333"}, "pool_user"),
        ("set_pool", {"pool_id": 1, "pool_url": "stratum+tcp://pool.example.com:3333"}, "pool_id"),
    ],
)
def test_an_impossible_command_is_refused_before_it_is_stored(command, params, field):
    with pytest.raises(InvalidCommand) as refusal:
        ask(make_miner(), command, params=params)
    assert refusal.value.field == field
    assert not MinerCommand.objects.exists()
