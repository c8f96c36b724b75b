"""Django's own pages as the console has them: keys shown once, what staff may change, and what only superusers reach."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule

from miners.models import Miner, MinerState
from people.models import Session
from sites.models import CollectorKey, Site, digest_of
from telemetry.ingest import ingest_readings
from telemetry.models import MinerTelemetryLive, Source
from tests.makers import (
    make_command,
    make_key,
    make_live,
    make_miner,
    make_miner_model,
    make_miners,
    make_reading,
    make_site,
    make_staff,
    make_superuser,
)

pytestmark = [pytest.mark.once, pytest.mark.django_db]

NO_LANGUAGE = {"preferences-TOTAL_FORMS": 0, "preferences-INITIAL_FORMS": 0}
"""The part of the user's form that says which language they chose, left empty."""
KEY = re.compile(r"hsc_[\w-]{43}")
EVERY_MODEL = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


def staff_with(client: Client, *codenames: str, sites: tuple[Site, ...] = ()) -> User:
    user = make_staff(sites=sites)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return user


# Every page


@pytest.mark.parametrize("model", EVERY_MODEL, ids=lambda model: model._meta.label_lower)
def test_every_list_opens_empty_and_filtered(operator: Client, model: type) -> None:
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    assert operator.get(address).status_code == 200
    assert operator.get(address, {"q": "x"}).status_code == 200


@pytest.mark.parametrize("model", EVERY_MODEL, ids=lambda model: model._meta.label_lower)
def test_form_opens_or_is_refused_but_never_fails(operator: Client, model: type) -> None:
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
    assert operator.get(address).status_code in (200, 403)


def test_command_page_shows_no_secret(operator: Client) -> None:
    command = make_command(make_miner(), secret_params="sealed-pool-password")
    html = operator.get(reverse("admin:commands_minercommand_change", args=[command.pk])).content.decode()
    assert str(command.pk) in html
    assert "sealed-pool-password" not in html


# Keys


def make_key_in_admin(client: Client, site: Site) -> str:
    answer = client.post(reverse("admin:sites_collectorkey_add"), {"site": site.pk, "name": "container 3"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_key_is_shown_once_and_works(operator: Client) -> None:
    secret = KEY.search(make_key_in_admin(operator, make_site())).group()
    key = CollectorKey.objects.get()
    assert key.digest == digest_of(secret)
    assert secret not in operator.get(reverse("admin:sites_collectorkey_change", args=[key.pk])).content.decode()
    assert secret not in operator.get(reverse("admin:sites_collectorkey_changelist")).content.decode()


def test_key_is_kept_neither_in_the_session_nor_in_the_log(operator: Client) -> None:
    secret = KEY.search(make_key_in_admin(operator, make_site())).group()
    kept = [str(session.get_decoded()) for session in Session.objects.all()]
    kept += [f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all()]
    assert not [text for text in kept if secret in text]


def test_page_with_the_key_is_not_cached(operator: Client) -> None:
    answer = operator.post(reverse("admin:sites_collectorkey_add"), {"site": make_site().pk, "name": "x"})
    assert "no-store" in answer["Cache-Control"]


def test_revoked_key_stays_listed_and_no_longer_works(operator: Client) -> None:
    key, _secret = make_key()
    operator.post(reverse("admin:sites_collectorkey_changelist"), {"action": "revoke", "_selected_action": [key.pk]})
    assert not CollectorKey.objects.usable(timezone.now()).exists()
    assert "Revoked" in operator.get(reverse("admin:sites_collectorkey_changelist")).content.decode().title()


def test_key_can_not_be_made_for_a_site_of_others(client: Client) -> None:
    own, other = make_site("own"), make_site("other")
    staff_with(client, "add_collectorkey", "view_collectorkey", sites=(own,))
    answer = client.post(reverse("admin:sites_collectorkey_add"), {"site": other.pk, "name": "x"})
    assert not CollectorKey.objects.exists()
    assert not KEY.search(answer.content.decode())


def test_key_of_a_site_of_others_can_not_be_revoked(client: Client) -> None:
    own = make_site("own")
    key, _secret = make_key(make_site("other"))
    staff_with(client, "change_collectorkey", sites=(own,))
    client.post(reverse("admin:sites_collectorkey_changelist"), {"action": "revoke", "_selected_action": [key.pk]})
    assert CollectorKey.objects.usable(timezone.now()).count() == 1


# Miners


def shown_ids(client: Client, **query: str) -> list[str]:
    answer = client.get(reverse("admin:miners_miner_changelist"), query)
    assert answer.status_code == 200
    return [miner.miner_id for miner in answer.context["cl"].result_list]


@pytest.fixture
def farm() -> Site:
    """One miner in each state, and one that is weak and hot."""
    site = make_site("farm", interval_seconds=60)
    model = make_miner_model(hashrate_ghs=100_000.0)
    well = {"hashrate_ghs": 98_000.0, "temperature_max": 70.0}
    for name in ("online", "sleeping", "offline", "stale", "never", "disabled", "weak"):
        make_miner(
            site, name, model=model, is_enabled=name != "disabled", rack="R7" if name == "weak" else "R1", serial_number=f"SN-{name}"
        )
    now = timezone.now()
    states = {"online": {}, "sleeping": {"mining_state": "sleeping"}, "offline": {"online": False}, "disabled": {}}
    readings = [make_reading(name, timestamp=now, **{**well, **fields}) for name, fields in states.items()]
    readings.append(make_reading("stale", timestamp=now - timezone.timedelta(minutes=4), **well))
    readings.append(make_reading("weak", timestamp=now, hashrate_ghs=60_000.0, temperature_max=88.0, boards_total=3, boards_healthy=2))
    ingest_readings(site, readings, source=Source.POLLER, received_at=now)
    return site


@pytest.mark.parametrize("state", ["sleeping", "offline", "stale", "never", "disabled"])
def test_miners_are_found_by_state(operator: Client, farm: Site, state: str) -> None:
    assert shown_ids(operator, state=state) == [state]


def test_filter_by_state_and_the_state_shown_agree(farm: Site) -> None:
    now = timezone.now()
    shown = {miner.miner_id: miner.state for miner in Miner.objects.with_state(now)}
    found = {miner.miner_id: str(state) for state in MinerState for miner in Miner.objects.in_state(state, now)}
    assert found == shown
    assert len(found) == Miner.objects.count()


def test_miners_are_found_by_what_is_wrong(operator: Client, farm: Site) -> None:
    assert shown_ids(operator, under="90") == ["weak"]
    assert shown_ids(operator, hotter="85") == ["weak"]
    assert shown_ids(operator, trouble="boards") == ["weak"]
    assert shown_ids(operator, rack="r7") == ["weak"]


def test_miners_are_found_by_serial_number_whatever_the_case(operator: Client, farm: Site) -> None:
    assert shown_ids(operator, q="sn-wea") == ["weak"]


def test_hash_rate_of_a_silent_miner_is_not_shown_as_if_it_were_now(operator: Client, farm: Site) -> None:
    html = operator.get(reverse("admin:miners_miner_changelist"), {"state": "stale"}).content.decode()
    assert "98.00" not in html


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"under": "x"}, {"site": "9" * 30}, {"site": "x"}, {"hotter": "-1"}])
def test_mangled_filter_does_not_break_the_list(operator: Client, farm: Site, query: dict[str, str]) -> None:
    assert operator.get(reverse("admin:miners_miner_changelist"), query).status_code in (200, 302)


def test_miner_list_opens_the_miners_own_page(operator: Client) -> None:
    miner = make_miner()
    assert reverse("console:miner", args=[miner.pk]) in operator.get(reverse("admin:miners_miner_changelist")).content.decode()


def test_staff_can_not_move_a_miner_to_a_site_of_others(client: Client) -> None:
    own, other = make_site("own"), make_site("other")
    miner = make_miner(own, "m1")
    staff_with(client, "change_miner", "view_miner", sites=(own,))
    client.post(
        reverse("admin:miners_miner_change", args=[miner.pk]), {"site": other.pk, "miner_id": "m1", "port": 4028, "is_enabled": "on"}
    )
    assert Miner.objects.get().site == own


def test_live_reading_can_be_looked_at_and_not_changed(operator: Client) -> None:
    live = make_live(make_miner())
    address = reverse("admin:telemetry_minertelemetrylive_change", args=[live.pk])
    assert operator.get(address).status_code == 200
    assert operator.post(address, {"hashrate_ghs": "1"}).status_code == 403
    assert MinerTelemetryLive.objects.get().hashrate_ghs == live.hashrate_ghs


def test_autocompletion_offers_no_miner_of_others(client: Client) -> None:
    own = make_site("own")
    make_miners(own, 2)
    make_miner(make_site("other"), "m-secret")
    staff_with(client, "view_miner", "view_minermodel", sites=(own,))
    assert "m-secret" not in client.get(reverse("admin:miners_miner_changelist"), {"q": "m"}).content.decode()


# Sites and people


def test_site_with_miners_can_not_be_deleted(operator: Client) -> None:
    site = make_miner().site
    assert operator.post(reverse("admin:sites_site_delete", args=[site.pk]), {"post": "yes"}).status_code == 403


def test_who_makes_a_site_sees_it(client: Client) -> None:
    user = staff_with(client, "add_site", "view_site")
    fields = {"name": "New", "code": "new", "timezone": "UTC", "collection": "server", "interval_seconds": 60, "is_active": "on"}
    client.post(reverse("admin:sites_site_add"), fields)
    assert list(Site.objects.visible_to(user)) == [Site.objects.get(code="new")]


def test_staff_who_manage_users_can_not_become_superusers(client: Client) -> None:
    user = staff_with(client, "change_user", "view_user")
    fields = {
        "username": user.username,
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "user_permissions": [Permission.objects.first().pk],
        **NO_LANGUAGE,
    }
    client.post(reverse("admin:auth_user_change", args=[user.pk]), fields)
    user.refresh_from_db()
    assert not user.is_superuser
    assert user.user_permissions.count() == 2


@pytest.fixture
def administrator(client: Client) -> User:
    user = make_staff("administrator")
    user.groups.add(Group.objects.get(name="administrator"))
    client.force_login(user)
    return user


def test_administrator_puts_staff_into_a_group(client: Client, administrator: User) -> None:
    staff = make_staff()
    fields = {
        "username": staff.username,
        "is_active": "on",
        "is_staff": "on",
        "groups": [Group.objects.get(name="operator").pk],
        **NO_LANGUAGE,
    }
    client.post(reverse("admin:auth_user_change", args=[staff.pk]), fields)
    assert staff.has_perm("commands.can_restart")


def test_staff_can_not_put_themselves_into_a_group_that_may_do_more(client: Client) -> None:
    user = staff_with(client, "change_user", "view_user")
    fields = {
        "username": user.username,
        "is_active": "on",
        "is_staff": "on",
        "groups": [Group.objects.get(name="administrator").pk],
        **NO_LANGUAGE,
    }
    client.post(reverse("admin:auth_user_change", args=[user.pk]), fields)
    assert not user.groups.exists()


def test_groups_are_made_with_what_each_may_do() -> None:
    may_restart = Group.objects.filter(permissions__codename="can_restart").values_list("name", flat=True)
    may_make_keys = Group.objects.filter(permissions__codename="add_collectorkey").values_list("name", flat=True)
    assert sorted(may_restart) == ["administrator", "operator", "site manager", "technician"]
    assert sorted(may_make_keys) == ["administrator", "site manager"]
    assert not Group.objects.filter(permissions__content_type__app_label="django_q").exists()


def test_staff_can_not_set_the_password_of_an_administrator(client: Client, administrator: User) -> None:
    staff_with(client, "change_user", "view_user")
    client.post(
        reverse("admin:auth_user_password_change", args=[administrator.pk]), {"password1": "taken over 1", "password2": "taken over 1"}
    )
    administrator.refresh_from_db()
    assert not administrator.check_password("taken over 1")


def test_staff_can_not_set_the_password_of_a_superuser(client: Client) -> None:
    boss = make_superuser()
    staff_with(client, "change_user", "view_user")
    answer = client.post(
        reverse("admin:auth_user_password_change", args=[boss.pk]), {"password1": "taken over 1", "password2": "taken over 1"}
    )
    boss.refresh_from_db()
    assert answer.status_code in (302, 403, 404)
    assert not boss.check_password("taken over 1")


# django-q2


@pytest.mark.parametrize("model", ["schedule", "success", "failure", "ormq"])
def test_pages_of_the_task_queue_are_for_superusers(client: Client, model: str) -> None:
    user = make_staff()
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="django_q"))
    client.force_login(user)
    assert client.get(reverse(f"admin:django_q_{model}_changelist")).status_code == 403


def test_schedule_of_a_foreign_function_is_refused(operator: Client) -> None:
    fields = {
        "name": "evil",
        "func": "os.system",
        "args": "'true'",
        "schedule_type": "O",
        "repeats": 1,
        "next_run_0": "2030-01-01",
        "next_run_1": "00:00",
    }
    assert operator.post(reverse("admin:django_q_schedule_add"), fields).status_code == 200
    assert not Schedule.objects.filter(name="evil").exists()


# Languages


def test_console_can_be_read_in_chinese(operator: Client) -> None:
    make_site()
    operator.post(reverse("set_language"), {"language": "zh-hans"})
    assert operator.get(reverse("admin:index")).content.decode().count('lang="zh-hans"') == 1


# Deleting


def test_miner_that_was_read_is_deleted_with_its_readings(operator: Client) -> None:
    miner = make_miner()
    make_live(miner)
    make_command(miner)
    page = reverse("admin:miners_miner_delete", args=[miner.pk])
    html = operator.get(page).content.decode()
    assert "Are you sure" in html
    assert "Live readings: 1" in html
    operator.post(page, {"post": "yes"})
    assert not Miner.objects.exists()


def test_page_that_deletes_many_miners_counts_them_and_does_not_list_them_all(operator: Client) -> None:
    make_miners(make_site(), 120)
    asked = {"action": "delete_selected", "select_across": "1", "index": "0", "_selected_action": [Miner.objects.first().pk]}
    html = operator.post(reverse("admin:miners_miner_changelist"), asked).content.decode()
    assert "Miners: 120" in html
    assert html.count("<li>Miner: ") + len(re.findall(r"<li>\s*m\d+", html)) <= 100
    operator.post(reverse("admin:miners_miner_changelist"), {**asked, "post": "yes"})
    assert not Miner.objects.exists()


def test_page_that_deletes_somebody_shows_no_key_of_their_sessions(operator: Client) -> None:
    somebody = make_staff("somebody")
    Client().force_login(somebody)
    html = operator.get(reverse("admin:auth_user_delete", args=[somebody.pk])).content.decode()
    assert "Sessions: 1" in html
    assert Session.objects.get(user=somebody).session_key not in html


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_moments_of_forms_are_written_as_everywhere_else(operator: Client, language: str) -> None:
    key = make_key(make_site())[0]
    CollectorKey.objects.filter(pk=key.pk).update(created_at=datetime(2030, 1, 2, 15, 4, tzinfo=UTC))
    operator.cookies["django_language"] = language
    assert "2030-01-02 15:04" in operator.get(reverse("admin:sites_collectorkey_change", args=[key.pk])).content.decode()
