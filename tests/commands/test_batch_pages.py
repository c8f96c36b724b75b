"""What operators see and press: a batch's page, a command's page, passwords and rules."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from commands import dispatch
from commands.batch_wording import PHRASES, in_readers_words
from commands.dispatch import Outcome
from commands.models import ApprovalRule, CommandBatch, CommandStatus, MinerCommand, MinerCredential, Verification
from commands.secrets import unseal
from miners.models import Miner
from sites.models import Site
from tests.hashinsight.console import export
from tests.makers import make_command, make_live, make_miner, make_miners, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db
ORDER = "/admin/commands/minercommand/order/"
State = CommandBatch.State


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser("boss"))
    return client


def order(client: Client, miners: list[Miner], **fields: object) -> CommandBatch:
    form = {"miners": ",".join(str(miner.pk) for miner in miners), "key": "a-key", "command": "reboot", "reason": "storm", **fields}
    answer = client.post(ORDER, form)
    assert answer.status_code == 302, answer.context["form"].errors
    return CommandBatch.objects.get()


def page(client: Client, batch: CommandBatch, name: str = "progress") -> str:
    return client.get(reverse(f"admin:commands_commandbatch_{name}", args=[batch.pk])).content.decode()


def press(client: Client, batch: CommandBatch, button: str) -> CommandBatch:
    client.post(reverse("admin:commands_commandbatch_act", args=[batch.pk]), {"act": button})
    batch.refresh_from_db()
    return batch


def a_farm(count: int = 3, **site: object) -> list[Miner]:
    return make_miners(make_site(collection=Site.Collection.COLLECTOR, **site), count)


def test_order_for_many_goes_out_as_a_batch_with_the_canary_first(operator: Client) -> None:
    pacing = {"canary_size": 1, "group_size": 2, "pause_seconds": 60, "megawatts_a_minute": 1.5, "stop_above_percent": 10}
    batch = order(operator, a_farm(), **pacing)
    assert {name: getattr(batch, name) for name in pacing} == pacing
    assert batch.commands.filter(is_released=True).count() == 1


def test_page_shows_how_far_the_batch_is_and_refreshes_itself(operator: Client) -> None:
    batch = order(operator, a_farm(4))
    command = dispatch.lease_commands(batch.commands.first().site, limit=1, now=timezone.now(), leased_by="agent")[0]
    dispatch.record_result(command.pk, site=command.site, outcome=Outcome(status="completed"), actor="agent", now=timezone.now())
    text = page(operator, batch)
    assert "25 % of 4 done" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert f'data-refresh="{reverse("admin:commands_commandbatch_live", args=[batch.pk])}"' in text
    assert 'id="batch-progress"' in page(operator, batch, "live")


def test_all_that_is_noted_of_a_batch_can_be_said_in_the_readers_language(operator: Client) -> None:
    batch = order(operator, a_farm())
    for button in ("pause", "resume", "stop"):
        press(operator, batch, button)
    messages = [event.message for event in batch.events.all()]
    assert {"asked for 3 miners", "paused", "resumed", "stopped: stopped by hand"} <= set(messages)
    assert [text for text in messages if not any(pattern.fullmatch(text) for pattern, _phrase in PHRASES)] == []
    assert [in_readers_words(text) for text in messages] == messages
    with translation.override("zh-hans"):
        assert in_readers_words("paused") == "已暂停"


def test_share_that_went_wrong_is_said_as_it_was_noted() -> None:
    noted = "stopped: 3 of 10 sent went wrong, more than 20 %"
    assert in_readers_words(noted) == noted


def test_buttons_pause_resume_and_stop(operator: Client) -> None:
    batch = order(operator, a_farm())
    assert press(operator, batch, "pause").state == State.PAUSED
    assert press(operator, batch, "resume").state == State.RUNNING
    assert press(operator, batch, "stop").state == State.STOPPED
    assert set(batch.commands.values_list("status", flat=True)) == {CommandStatus.CANCELLED}


def test_a_button_needs_the_right_to_give_the_command(client: Client, operator: Client) -> None:
    batch = order(operator, a_farm())
    viewer = make_staff(sites=(batch.commands.first().site,), permissions=("commands.view_commandbatch",))
    client.force_login(viewer)
    assert 'value="stop"' not in page(client, batch)
    assert press(client, batch, "stop").state == State.RUNNING


def test_batch_of_other_sites_does_not_exist_for_staff(client: Client, operator: Client) -> None:
    batch = order(operator, a_farm())
    client.force_login(make_staff(sites=(make_site(),), permissions=("commands.view_commandbatch",)))
    assert client.get(reverse("admin:commands_commandbatch_progress", args=[batch.pk])).status_code == 404
    assert str(batch.pk) not in client.get(reverse("admin:commands_commandbatch_changelist")).content.decode()


def test_results_are_a_csv_file_that_no_spreadsheet_runs(operator: Client) -> None:
    site = make_site(collection=Site.Collection.COLLECTOR)
    batch = order(operator, [make_miner(site, "=cmd()"), make_miner(site, "m2")])
    another = make_command(make_miner())
    address = reverse("admin:commands_minercommand_export")
    assert f'href="{address}?batch={batch.pk}"' in page(operator, batch)
    text = b"".join(export(operator, address, batch=str(batch.pk)).streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    told = sorted((row["miner__miner_id"], row["command"], row["status"], row["requested_by__username"]) for row in rows)
    assert told == [("'=cmd()", "reboot", "pending", "boss"), ("m2", "reboot", "pending", "boss")]
    assert str(another.pk) not in text


def test_miners_that_cannot_are_named_and_can_be_left_out(operator: Client) -> None:
    site = make_site()
    able, unable = make_miner(site, "able"), make_miner(site, "unable")
    make_live(able, model="Whatsminer M50", firmware_version="20230911.12.REL")
    make_live(unable, model="Antminer S19", firmware_version="49.0.1.3")
    form = {"miners": f"{able.pk},{unable.pk}", "key": "a-key", "command": "disable", "reason": "storm"}
    answer = operator.post(ORDER, form)
    assert "unable: stock Antminer firmware cannot do disable" in answer.content.decode()
    operator.post(ORDER, {**form, "leave_out": "on"})
    assert [command.miner for command in MinerCommand.objects.all()] == [able]


def test_single_command_under_a_rule_waits_too_and_says_so(operator: Client, client: Client) -> None:
    miner = make_miner(make_site(collection=Site.Collection.COLLECTOR))
    ApprovalRule.objects.create(site=miner.site, commands=["reboot"])
    batch = order(operator, [miner])
    assert batch.state == State.WAITING
    assert 'value="approve"' not in page(operator, batch)
    client.force_login(make_superuser("second"))
    assert 'value="approve"' in page(client, batch)
    assert press(client, batch, "approve").state == State.RUNNING
    assert "approved by second" in page(client, batch)


def test_actions_of_the_site_list_lead_to_the_same_page(operator: Client) -> None:
    miners = a_farm(3)
    picked = {"action": "send_command", "_selected_action": [miners[0].site_id]}
    assert "For 3 miners" in operator.post(reverse("admin:sites_site_changelist"), picked).content.decode()


def test_commands_page_shows_the_claim_beside_the_evidence(operator: Client) -> None:
    command = make_command(
        make_miner(),
        status=CommandStatus.FAILED,
        sent_at=timezone.now(),
        verified_at=timezone.now(),
        verification=Verification.VERIFIED,
        result_message="restart failed, says the agent",
        result={"before": {"uptime_seconds": 86_401}, "after": "nonsense"},
        evidence={"before": {"uptime_seconds": 86_402}, "after": {"uptime_seconds": 17}},
    )
    text = operator.get(reverse("admin:commands_minercommand_change", args=[command.pk])).content.decode()
    assert "restart failed, says the agent" in text
    assert "86401 → –" in text
    assert "86402 → 17" in text


def test_waiting_command_is_cancelled_from_its_page(operator: Client) -> None:
    command = make_command(make_miner())
    address = reverse("admin:commands_minercommand_cancel", args=[command.pk])
    assert address in operator.get(reverse("admin:commands_minercommand_change", args=[command.pk])).content.decode()
    operator.post(address)
    command.refresh_from_db()
    assert command.status == CommandStatus.CANCELLED


def test_miner_password_is_stored_encrypted_and_never_shown(operator: Client) -> None:
    site = make_site()
    operator.post(reverse("admin:commands_minercredential_add"), {"site": site.pk, "miner": "", "password": "tops3cret"})
    credential = MinerCredential.objects.get()
    assert "tops3cret" not in credential.sealed
    assert unseal(credential.sealed) == {"password": "tops3cret"}
    assert "tops3cret" not in operator.get(reverse("admin:commands_minercredential_change", args=[credential.pk])).content.decode()


def test_miner_password_belongs_to_a_miner_of_its_site(operator: Client) -> None:
    operator.post(
        reverse("admin:commands_minercredential_add"), {"site": make_site().pk, "miner": make_miner().pk, "password": "tops3cret"}
    )
    assert not MinerCredential.objects.exists()


def test_rule_is_made_with_its_types(operator: Client) -> None:
    site = make_site()
    fields = {"site": site.pk, "commands": ["reboot", "disable"], "above_miners": "50", "valid_minutes": "30"}
    operator.post(reverse("admin:commands_approvalrule_add"), fields)
    rule = ApprovalRule.objects.get()
    assert (sorted(rule.commands), rule.above_miners, rule.valid_minutes) == (["disable", "reboot"], 50, 30)
    assert "reboot" in operator.get(reverse("admin:commands_approvalrule_changelist")).content.decode()


def test_api_order_under_a_rule_becomes_a_waiting_batch(operator: Client) -> None:
    miner = make_miner(make_site(collection=Site.Collection.COLLECTOR))
    ApprovalRule.objects.create(site=miner.site, commands=["reboot"])
    order_ = {"site_id": miner.site.code, "miner_id": miner.miner_id, "command": "reboot"}
    answer = operator.post("/api/collector/commands", order_, content_type="application/json").json()
    batch = CommandBatch.objects.get()
    assert answer["batch"] == {"batch_id": str(batch.pk), "state": "waiting"}
