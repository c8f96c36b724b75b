"""The page on which commands are asked for: what it shows first, what it refuses, what it sends."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from commands.models import CommandStatus, MinerCommand
from miners.models import Miner
from sites.models import Site
from tests.makers import make_command, make_live, make_miner, make_miner_model, make_miners, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/commands/minercommand/order/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


def staff(client: Client, site: Site, *codenames: str) -> Client:
    user = make_staff(sites=(site,))
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_miner", "view_minercommand", *codenames]))
    client.force_login(user)
    return client


def fields(*miners: Miner, **others: object) -> dict[str, object]:
    return {"miners": ",".join(str(miner.pk) for miner in miners), "key": "a-key", "command": "restart", "reason": "board out", **others}


def test_page_shows_what_a_command_will_hit_before_it_is_sent(operator: Client) -> None:
    site = make_site()
    for name in ("m1", "m2"):
        make_live(make_miner(site, name), hashrate_ghs=90_000.0, power_consumption=3_000.0)
    answer = operator.post(
        reverse("admin:miners_miner_changelist"), {"action": "send_command", "_selected_action": [miner.pk for miner in site.miners.all()]}
    )
    text = answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "For 2 miners" in text
    assert "180.0 TH/s" in text
    assert "6.00 kW" in text
    assert not MinerCommand.objects.exists()


def test_power_that_nobody_measures_counts_by_nameplate_where_a_miner_hashes(operator: Client) -> None:
    site, model = make_site(), make_miner_model(power_consumption=3_250.0)
    make_live(make_miner(site, "tells", model=model), hashrate_ghs=90_000.0, power_consumption=3_000.0)
    make_live(make_miner(site, "hashes", model=model), hashrate_ghs=90_000.0, power_consumption=None)
    make_live(make_miner(site, "idle", model=model), hashrate_ghs=0.0, power_consumption=None)
    picked = {"action": "send_command", "_selected_action": [miner.pk for miner in site.miners.all()]}
    text = operator.post(reverse("admin:miners_miner_changelist"), picked).content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "6.25 kW, 3.25 kW of it by nameplate" in text


def test_all_that_match_are_meant_and_not_only_the_page(operator: Client) -> None:
    make_miners(make_site(), 120)
    picked = {"action": "send_command", "_selected_action": [Miner.objects.first().pk], "select_across": "1"}
    assert "For 120 miners" in operator.post(reverse("admin:miners_miner_changelist"), picked).content.decode()


def test_command_is_stored_with_who_asked_and_why(operator: Client) -> None:
    miner = make_miner()
    answer = operator.post(ADDRESS, fields(miner))
    command = MinerCommand.objects.get()
    assert answer["Location"] == reverse("console:miner", args=[miner.pk])
    assert (command.miner, command.command, command.reason) == (miner, "restart", "board out")
    assert command.requested_by.is_superuser


def test_form_sent_twice_asks_once(operator: Client) -> None:
    miner = make_miner()
    for _ in range(2):
        operator.post(ADDRESS, fields(miner))
    assert MinerCommand.objects.count() == 1


def test_many_miners_need_their_number_typed(operator: Client) -> None:
    miners = make_miners(make_site(), 21)
    assert operator.post(ADDRESS, fields(*miners, count="20")).status_code == 200
    assert not MinerCommand.objects.exists()
    operator.post(ADDRESS, fields(*miners, count="21"))
    assert MinerCommand.objects.count() == 21


def test_parameter_out_of_bounds_is_said_at_its_field(operator: Client) -> None:
    answer = operator.post(ADDRESS, fields(make_miner(), command="set_fan", speed="140"))
    assert answer.context["form"].errors["speed"]
    assert not MinerCommand.objects.exists()


def test_pool_password_is_not_shown_again(operator: Client) -> None:
    miner = make_miner()
    pool = {"command": "set_pool", "pool_url": "ftp://x", "pool_user": "farm.1", "pool_password": "hunter2-pool"}
    assert "hunter2-pool" not in operator.post(ADDRESS, fields(miner, **pool)).content.decode()
    operator.post(ADDRESS, fields(miner, **{**pool, "pool_url": "stratum+tcp://pool.example:3333"}))
    command = MinerCommand.objects.get()
    assert "hunter2-pool" not in operator.get(reverse("admin:commands_minercommand_change", args=[command.pk])).content.decode()


def test_only_allowed_commands_are_offered_and_taken(client: Client) -> None:
    miner = make_miner()
    technician = staff(client, miner.site, "can_restart")
    offered = re.findall(r'<option value="(\w+)"', technician.get(ADDRESS, {"miners": miner.pk}).content.decode())
    assert offered == ["restart"]  # beside the empty choice
    technician.post(ADDRESS, fields(miner, command="reboot"))
    assert not MinerCommand.objects.exists()


def test_who_may_give_no_command_is_refused(client: Client) -> None:
    miner = make_miner()
    assert staff(client, miner.site).get(ADDRESS, {"miners": miner.pk}).status_code == 403


def test_miners_of_others_are_not_hit(client: Client) -> None:
    own, other = make_miner(), make_miner()
    staff(client, own.site, "can_restart").post(ADDRESS, fields(own, other))
    assert [command.miner for command in MinerCommand.objects.all()] == [own]


@pytest.mark.parametrize("miners", ["", "x", "9" * 40, "-1", "1;drop"])
def test_mangled_choice_leads_back_to_the_list(operator: Client, miners: str) -> None:
    assert operator.get(ADDRESS, {"miners": miners})["Location"] == reverse("admin:miners_miner_changelist")


def test_waiting_command_is_cancelled_and_one_on_its_way_is_not(operator: Client) -> None:
    waiting, sent = make_command(make_miner()), make_command(make_miner(), status=CommandStatus.SENT)
    operator.post(
        reverse("admin:commands_minercommand_changelist"), {"action": "cancel", "_selected_action": [str(waiting.pk), str(sent.pk)]}
    )
    waiting.refresh_from_db()
    sent.refresh_from_db()
    assert (waiting.status, sent.status) == (CommandStatus.CANCELLED, CommandStatus.SENT)
