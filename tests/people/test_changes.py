"""The history of configuration: who changed what, from what to what; scoped, without secrets, and without observed facts."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from commands.models import ApprovalRule, MinerCredential
from miners.models import Miner
from sites.changes import read_changes
from sites.keys import revoke_key, rotate_key
from sites.models import CollectorKey, Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from tests.makers import make_key, make_miner, make_miner_model, make_reading, make_site, make_staff, make_superuser

pytestmark = [pytest.mark.once, pytest.mark.django_db]


@pytest.fixture
def boss(client: Client) -> User:
    user = make_superuser("boss")
    client.force_login(user)
    return user


def diff(change) -> dict[str, tuple[str, str]]:
    return {field.label: (field.before, field.after) for field in change.fields}


def site_form(site: Site, **changed) -> dict[str, object]:
    columns = ("name", "timezone", "collection", "interval_seconds")
    return {**{name: getattr(site, name) for name in columns}, "is_active": "on", "register_unknown_miners": "on", **changed}


def test_change_in_the_admin_says_who_what_and_from_what_to_what(client, boss):
    site = make_site(name="North", interval_seconds=60)
    client.post(f"/admin/sites/site/{site.pk}/change/", site_form(site, name="North Valley", collection="collector"))

    newest = read_changes(Site.changes.all())[0]

    assert (newest.who, newest.kind, newest.name) == ("boss", "~", "North Valley")
    assert diff(newest)["Name"] == ("North", "North Valley")
    assert diff(newest)["Readings come from"] == ("this server polls the miners", "an edge collector uploads")
    assert "Interval, s" not in diff(newest)


def test_history_page_shows_it(client, boss):
    site = make_site(name="North")
    client.post(f"/admin/sites/site/{site.pk}/change/", site_form(site, name="North Valley"))

    page = client.get(f"/admin/sites/site/{site.pk}/history/").content.decode()

    assert "<del>North</del> → <ins>North Valley</ins>" in page
    assert "boss" in page


def test_saving_without_a_change_leaves_no_record(client, boss):
    site = make_site()
    client.post(f"/admin/sites/site/{site.pk}/change/", site_form(site))

    assert Site.changes.count() == 1


def test_sites_given_to_a_user_are_a_change_of_the_site_from_either_side():
    site, ann = make_site(), make_staff("ann")
    ann.sites.add(site)
    site.users.remove(ann)

    taken, given, *_ = read_changes(Site.changes.all())

    assert diff(given)["Staff"] == ("–", "ann")
    assert diff(taken)["Staff"] == ("ann", "–")


def test_groups_of_a_user_and_permissions_of_a_group_are_recorded():
    ann = make_staff("ann")
    ann.groups.add(Group.objects.get(name="viewer"))
    group = Group.objects.get(name="viewer")
    group.permissions.clear()

    assert diff(read_changes(User.changes.all())[0])["Groups"] == ("–", "viewer")
    assert diff(read_changes(Group.changes.all())[0]) == {}  # the group was made before there was a history to compare with


def test_login_is_no_change_of_the_user_and_a_new_password_is_one_without_its_hash(client):
    ann = make_staff("ann", password="correct horse battery")
    before = User.changes.count()
    client.post("/admin/login/", {"username": "ann", "password": "correct horse battery"})
    assert User.changes.count() == before

    ann.set_password("staple battery horse")
    ann.save()

    newest = read_changes(User.changes.all())[0]
    assert newest.reason == "new password"
    ann.refresh_from_db()
    assert ann.password not in str(list(User.changes.values()))


def test_key_is_recorded_without_its_digest_through_its_whole_life():
    key, _secret = make_key()
    rotate_key(key)
    revoke_key(key)

    changes = read_changes(CollectorKey.changes.filter(id=key.pk))

    assert [list(diff(change)) for change in changes] == [["Revoked"], ["Expires"], []]
    assert key.digest not in str(list(CollectorKey.changes.values()))


def test_use_of_a_key_is_no_change(client):
    key, secret = make_key()
    client.get("/api/collector/status", headers={"X-Collector-Key": secret})

    key.refresh_from_db()
    assert key.last_used_at is not None
    assert CollectorKey.changes.filter(id=key.pk).count() == 1


def test_revoking_in_the_list_says_who(client, boss):
    key, _secret = make_key()
    client.post("/admin/sites/collectorkey/", {"action": "revoke", "_selected_action": [key.pk]})

    assert read_changes(CollectorKey.changes.all())[0].who == "boss"


def test_uploads_write_no_history_even_of_miners_they_register():
    site = make_site()
    make_miner(site, "m1")
    before = Miner.changes.count()

    readings = [make_reading("m1", model="Antminer S19"), make_reading("new one")]
    ingest_readings(site, readings, source=Source.COLLECTOR, received_at=timezone.now())

    assert Miner.objects.count() == 2
    assert Miner.changes.count() == before


def test_miner_password_is_recorded_as_changed_and_not_kept(client, boss):
    site = make_site()
    client.post("/admin/commands/minercredential/add/", {"site": site.pk, "password": "hunter2-hunter2"})
    credential = MinerCredential.objects.get()
    client.post(f"/admin/commands/minercredential/{credential.pk}/change/", {"site": site.pk, "password": "hunter3-hunter3"})

    changes = read_changes(MinerCredential.changes.all())

    assert [(change.who, change.kind) for change in changes] == [("boss", "~"), ("boss", "+")]
    credential.refresh_from_db()
    assert credential.sealed not in str(list(MinerCredential.changes.values()))


def test_rule_and_model_are_recorded(client, boss):
    rule = ApprovalRule.objects.create(site=make_site(), commands=["reboot"])
    rule.commands = ["reboot", "disable"]
    rule.save()
    model = make_miner_model()
    model.boards = 4
    model.save()

    assert diff(read_changes(ApprovalRule.changes.all())[0])["Commands"] == ("reboot", "reboot, disable")
    assert list(diff(read_changes(model.changes.all())[0]).values()) == [("3", "4")]


def test_deleted_miner_stays_in_the_history_with_who_deleted_it(client, boss):
    miner = make_miner(make_site(), "A17")
    pk = miner.pk
    client.post(f"/admin/miners/miner/{pk}/delete/", {"post": "yes"})

    page = client.get(f"/admin/miners/miner/{pk}/history/").content.decode()

    assert not Miner.objects.exists()
    assert "A17" in page
    assert "deleted" in page


def test_all_changes_are_on_one_page_with_links_and_can_be_narrowed(client, boss):
    site = make_site(name="North")
    miner = make_miner(site, "A17")
    miner.rack = "R1"
    miner.save()
    client.post(f"/admin/sites/site/{site.pk}/change/", site_form(site, name="North Valley"))

    everything = client.get("/admin/changes/").content.decode()
    of_miners = client.get("/admin/changes/", {"what": "miners.miner"}).content.decode()
    of_boss = client.get("/admin/changes/", {"who": "boss"}).content.decode()

    assert f"/admin/miners/miner/{miner.pk}/history/" in everything
    assert "North Valley" in everything
    assert "North Valley" not in of_miners
    assert ("North Valley" in of_boss, "A17" in of_boss) == (True, False)


def test_changes_of_other_sites_are_seen_by_nobody_else(client):
    north, south = make_site(name="the north farm"), make_site(name="the south farm")
    miner = make_miner(north, "secret-miner")
    key, _secret = make_key(north, name="secret-key")
    permissions = ("sites.view_site", "miners.view_miner", "sites.view_collectorkey")
    client.force_login(make_staff(sites=(south,), permissions=permissions))
    Miner.objects.filter(pk=miner.pk).first().delete()

    page = client.get("/admin/changes/").content.decode()

    assert "the south farm" in page
    assert not [secret for secret in ("the north farm", "secret-miner", "secret-key") if secret in page]
    for address in (f"miners/miner/{miner.pk}", f"sites/site/{north.pk}", f"sites/collectorkey/{key.pk}"):
        assert client.get(f"/admin/{address}/history/").status_code == 404


def test_superusers_history_is_seen_by_superusers_only(client):
    root = make_superuser("root-of-all")
    client.force_login(make_staff(permissions=("auth.view_user",)))

    assert client.get(f"/admin/auth/user/{root.pk}/history/").status_code == 404
    assert "root-of-all" not in client.get("/admin/changes/").content.decode()


def test_staff_without_any_of_it_see_no_changes(client):
    client.force_login(make_staff(permissions=("telemetry.view_minertelemetrylive",)))

    assert client.get("/admin/changes/").status_code == 403


def test_page_of_changes_takes_few_queries_however_many_there_are(client, boss, django_assert_max_num_queries):
    site = make_site()
    for number in range(60):
        miner = make_miner(site, f"m{number}")
        miner.rack = f"R{number}"
        miner.save()

    with django_assert_max_num_queries(30):
        assert client.get("/admin/changes/").status_code == 200
