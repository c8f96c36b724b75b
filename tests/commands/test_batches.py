"""Orders for many miners go out in groups, the canary first, and stop by themselves when too much goes wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from commands import batches, dispatch
from commands.batches import NotAllowed, Pacing
from commands.dispatch import Order, Outcome
from commands.models import ApprovalRule, CommandBatch, CommandStatus, CommandType, MinerCommand, Verification
from commands.params import InvalidCommand
from sites.models import Site
from tests.makers import NOON, make_live, make_miners, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db
State = CommandBatch.State
DONE = Outcome(status="completed", result_code=0)
FAILED = Outcome(status="failed", result_code=1)


def after(seconds: float):
    return NOON + timedelta(seconds=seconds)


def make_batch(miners=7, *, site=None, command=CommandType.REBOOT, requested_by=None, **pacing):
    site = site or make_site(collection=Site.Collection.COLLECTOR)
    defaults = {"canary_size": 1, "group_size": 3, "pause_seconds": 30}
    return batches.create_batch(
        make_miners(site, miners),
        Order(command=command, reason="a storm"),
        Pacing(**defaults | pacing),
        requested_by=requested_by,
        now=NOON,
    )


def released(batch: CommandBatch) -> int:
    return batch.commands.filter(is_released=True).count()


def answer(batch: CommandBatch, outcome: Outcome = DONE, *, now=NOON, verification=Verification.VERIFIED) -> None:
    """The agent takes what was released and answers; telemetry judges it, unless `verification` is None."""
    site = batch.commands.first().site
    for command in dispatch.lease_commands(site, limit=1_000, now=now, leased_by="agent-1"):
        dispatch.record_result(command.pk, site=site, outcome=outcome, actor="agent-1", now=now)
        if verification:
            dispatch.record_verification(command, verification, evidence={}, now=now)


def advance(batch: CommandBatch, seconds: float) -> CommandBatch:
    return batches.advance(batch, now=after(seconds))


def test_the_canary_goes_first_and_alone():
    batch = make_batch()
    assert released(batch) == 1
    assert len(dispatch.lease_commands(batch.commands.first().site, limit=10, now=NOON, leased_by="agent-1")) == 1


def test_groups_follow_when_the_canary_is_proved_and_the_pause_is_over():
    batch = make_batch()
    answer(batch, verification=None)
    advance(batch, 60)
    assert released(batch) == 1
    dispatch.record_verification(batch.commands.filter(is_released=True).get(), Verification.VERIFIED, evidence={}, now=after(61))
    advance(batch, 61)
    assert released(batch) == 4


def test_no_group_goes_before_its_pause_or_before_the_last_one_has_ended():
    batch = make_batch()
    answer(batch)
    advance(batch, 29)
    assert released(batch) == 1
    advance(batch, 30)
    advance(batch, 90)
    assert released(batch) == 4
    answer(batch, now=after(95))
    advance(batch, 96)
    assert released(batch) == 7


def test_batch_ends_when_every_command_has():
    batch = make_batch(2, canary_size=0, group_size=2)
    answer(batch)
    assert advance(batch, 1).state == State.FINISHED
    assert [event.message for event in batch.events.all()] == [
        "asked for 2 miners",
        "2 released, 0.000 MW",
        "finished: every command came to an end",
    ]


def test_canary_that_is_not_proved_stops_the_batch_and_cancels_the_rest():
    batch = make_batch()
    answer(batch, verification=Verification.NOT_VERIFIED)
    batch = advance(batch, 60)
    assert batch.state == State.STOPPED
    assert batch.commands.filter(status=CommandStatus.CANCELLED).count() == 6


def test_share_of_failures_above_the_limit_stops_the_batch():
    batch = make_batch(10, canary_size=0, group_size=5, stop_above_percent=20)
    site = batch.commands.first().site
    for number, command in enumerate(dispatch.lease_commands(site, limit=5, now=NOON, leased_by="agent-1")):
        dispatch.record_result(command.pk, site=site, outcome=DONE, actor="agent-1", now=NOON)
        verdict = Verification.NOT_VERIFIED if number < 1 else Verification.VERIFIED
        dispatch.record_verification(command, verdict, evidence={}, now=NOON)
    assert advance(batch, 10).state == State.RUNNING
    MinerCommand.objects.filter(pk=batch.commands.filter(verification="verified").first().pk).update(verification="not_verified")
    batch = advance(batch, 11)
    assert batch.state == State.STOPPED
    batch.refresh_from_db()
    assert batch.stop_reason == "2 of 5 sent went wrong, more than 20 %"


def test_agent_that_calls_every_restart_failed_does_not_stop_the_batch():
    batch = make_batch()
    answer(batch, FAILED, verification=Verification.VERIFIED)
    assert advance(batch, 60).state == State.RUNNING
    assert released(batch) == 4


def test_failure_that_nothing_can_prove_stops_at_once():
    miners = make_miners(make_site(collection=Site.Collection.COLLECTOR), 5)
    order = Order(command=CommandType.SET_FAN, params={"speed": 70})
    batch = batches.create_batch(miners, order, Pacing(), requested_by=None, now=NOON)
    answer(batch, FAILED, verification=None)
    assert advance(batch, 1).state == State.STOPPED


def test_paused_batch_releases_nothing_until_it_is_resumed():
    batch, boss = make_batch(), make_superuser()
    answer(batch)
    batches.pause(batch, actor=boss, now=NOON)
    advance(batch, 60)
    assert released(batch) == 1
    batches.resume(batch, actor=boss, now=after(61))
    assert released(batch) == 4


def test_stopped_batch_cancels_what_was_not_handed_out():
    batch, boss = make_batch(), make_superuser("boss")
    dispatch.lease_commands(batch.commands.first().site, limit=1, now=NOON, leased_by="agent-1")
    assert batches.stop(batch, actor=boss, now=after(1)) == 6
    assert batch.events.last().actor == "boss"
    with pytest.raises(NotAllowed, match="already"):
        batches.stop(batch, actor=boss, now=after(2))


def test_held_commands_do_not_grow_old():
    batch = make_batch(3, canary_size=0, group_size=1)
    dispatch.expire_due(after(100_000))
    assert batch.commands.filter(status=CommandStatus.PENDING).count() == 2


def test_time_to_live_begins_with_the_release():
    batch = make_batch()
    answer(batch)
    advance(batch, 5_000)
    assert set(batch.commands.filter(status=CommandStatus.PENDING, is_released=True).values_list("expires_at", flat=True)) == {after(5_900)}


def test_megawatts_a_minute_stretch_the_pause():
    site = make_site(collection=Site.Collection.COLLECTOR)
    miners = make_miners(site, 4)
    for miner in miners:
        make_live(miner, power_consumption=3_000.0)
    pacing = Pacing(canary_size=0, group_size=2, pause_seconds=10, megawatts_a_minute=0.003)
    batch = batches.create_batch(miners, Order(command="reboot"), pacing, requested_by=None, now=NOON)
    batch.refresh_from_db()
    assert batch.next_group_at == after(120)


def test_same_order_again_is_the_same_batch():
    miners = make_miners(make_site(), 3)
    order = Order(command="restart", idempotency_key="click-1")
    one, again = (batches.create_batch(miners, order, Pacing(), requested_by=None, now=NOON) for _ in range(2))
    assert one == again
    assert MinerCommand.objects.count() == 3


# --- Two persons ---


def ruled_site(**rule) -> Site:
    site = make_site(collection=Site.Collection.COLLECTOR)
    ApprovalRule.objects.create(site=site, **rule)
    return site


def test_order_under_a_rule_waits_for_somebody_else():
    site = ruled_site(commands=["reboot"])
    asker, second = make_staff(sites=(site,), permissions=("commands.can_reboot",)), make_superuser()
    batch = make_batch(site=site, requested_by=asker)
    assert (batch.state, released(batch)) == (State.WAITING, 0)
    with pytest.raises(NotAllowed, match="you asked for it"):
        batches.approve(batch, actor=asker, now=after(1))
    batches.approve(batch, actor=second, now=after(2))
    batch.refresh_from_db()
    assert (batch.state, batch.approved_by, released(batch)) == (State.RUNNING, second, 1)
    assert "approved" in batch.events.values_list("message", flat=True)


@pytest.mark.parametrize(("miners", "state"), [(3, State.RUNNING), (4, State.WAITING)])
def test_rule_can_count_miners(miners, state):
    assert make_batch(miners, site=ruled_site(above_miners=3)).state == state


def test_approval_comes_from_who_may_give_the_command_and_sees_the_site():
    site = ruled_site(commands=["reboot"])
    batch = make_batch(site=site)
    with pytest.raises(NotAllowed, match="may not give"):
        batches.approve(batch, actor=make_staff(sites=(site,)), now=NOON)
    with pytest.raises(NotAllowed, match="not yours"):
        batches.approve(batch, actor=make_staff(permissions=("commands.can_reboot",)), now=NOON)


def test_approval_that_comes_too_late_is_none():
    batch = make_batch(site=ruled_site(commands=["reboot"], valid_minutes=10))
    with pytest.raises(NotAllowed, match="no longer"):
        batches.approve(batch, actor=make_superuser(), now=after(601))
    assert batches.advance(batch, now=after(601)).state == State.STOPPED
    assert batch.commands.filter(status=CommandStatus.CANCELLED).count() == 7


def test_rule_cannot_be_gone_round_with_a_single_command():
    site = ruled_site(commands=["reboot"])
    with pytest.raises(InvalidCommand, match="second person"):
        dispatch.create_command(make_miners(site, 1)[0], Order(command="reboot"), requested_by=make_superuser(), now=NOON)
