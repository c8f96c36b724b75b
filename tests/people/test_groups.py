"""The five groups, from one table: what each may do at a site that was given to them, and that no one of them does it at another's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django_q.models import Schedule

from commands.models import ApprovalRule, CommandType, MinerCommand, MinerCredential
from commands.permissions import may_ask
from hashinsight.schedules import ALLOWED_CALLABLES
from miners.models import Miner, MinerModel
from people.admin import group_name
from sites.models import CollectorKey, Site
from tests.makers import make_key, make_miner, make_miner_model, make_site, make_staff, make_superuser
from tests.people.phones import enrolled

pytestmark = [pytest.mark.once, pytest.mark.django_db]

VIEWER, TECHNICIAN, OPERATOR, MANAGER, ADMINISTRATOR = "viewer", "technician", "operator", "site manager", "administrator"
GROUPS = (VIEWER, TECHNICIAN, OPERATOR, MANAGER, ADMINISTRATOR)
ALL = set(GROUPS)
Deed = Callable[[Client, Site], bool]


def opens(address: str) -> Deed:
    return lambda client, site: client.get(address).status_code == 200


def changed_rack(client: Client, site: Site) -> bool:
    miner = site.miners.get()
    form = {
        "site": site.pk,
        "miner_id": miner.miner_id,
        "ip_address": miner.ip_address,
        "port": miner.port,
        "rack": "R9",
        "is_enabled": "on",
    }
    client.post(f"/admin/miners/miner/{miner.pk}/change/", form)
    return Miner.objects.filter(pk=miner.pk, rack="R9").exists()


def added_miner(client: Client, site: Site) -> bool:
    client.post("/admin/miners/miner/add/", {"site": site.pk, "miner_id": "new", "port": 4028, "is_enabled": "on"})
    return Miner.objects.filter(site=site, miner_id="new").exists()


def deleted_miner(client: Client, site: Site) -> bool:
    client.post(f"/admin/miners/miner/{site.miners.get().pk}/delete/", {"post": "yes"})
    return not site.miners.exists()


def renamed_site(client: Client, site: Site) -> bool:
    form = {"name": "renamed", "timezone": "UTC", "collection": "server", "interval_seconds": 60, "is_active": "on"}
    client.post(f"/admin/sites/site/{site.pk}/change/", form)
    return Site.objects.get(pk=site.pk).name == "renamed"


def added_site(client: Client, site: Site) -> bool:
    client.post("/admin/sites/site/add/", {"code": "new", "name": "New", "timezone": "UTC", "collection": "server", "interval_seconds": 60})
    return Site.objects.filter(code="new").exists()


def made_key(client: Client, site: Site) -> bool:
    client.post("/admin/sites/collectorkey/add/", {"site": site.pk, "name": "made"})
    return CollectorKey.objects.filter(site=site, name="made").exists()


def revoked_key(client: Client, site: Site) -> bool:
    key = site.collector_keys.get(name="a collector")
    client.post("/admin/sites/collectorkey/", {"action": "revoke", "_selected_action": [key.pk]})
    return CollectorKey.objects.get(pk=key.pk).revoked_at is not None


def set_password(client: Client, site: Site) -> bool:
    client.post("/admin/commands/minercredential/add/", {"site": site.pk, "password": "a miner's password"})
    return MinerCredential.objects.filter(site=site).exists()


def made_rule(client: Client, site: Site) -> bool:
    client.post("/admin/commands/approvalrule/add/", {"site": site.pk, "commands": ["reboot"], "valid_minutes": 60})
    return ApprovalRule.objects.filter(site=site).exists()


def changed_model(client: Client, site: Site) -> bool:
    model = MinerModel.objects.get()
    columns = ("maker", "name", "slug", "hashrate_ghs", "power_consumption", "efficiency", "fans", "cooling", "source")
    form = {**{name: getattr(model, name) for name in columns}, "boards": 7, "aliases": "[]", "capabilities": "[]"}
    client.post(f"/admin/miners/minermodel/{model.pk}/change/", form)
    return MinerModel.objects.get().boards == 7


def added_user(client: Client, site: Site) -> bool:
    form = {"username": "new", "password1": "staple battery 9", "password2": "staple battery 9", "usable_password": "true"}
    client.post("/admin/auth/user/add/", form)
    return User.objects.filter(username="new").exists()


def sent(command: str) -> Deed:
    def deed(client: Client, site: Site) -> bool:
        body = {"site_id": site.code, "miner_id": site.miners.get().miner_id, "command": command, "params": PARAMS.get(command, {})}
        client.post("/api/collector/commands", {**body, "reason": "test"}, content_type="application/json")
        return MinerCommand.objects.filter(miner__site=site, command=command).exists()

    return deed


def imports_miners(client: Client, site: Site) -> bool:
    return client.get("/admin/miners/miner/import/").status_code == 200


PARAMS = {
    CommandType.SET_POOL: {"pools": [{"url": "stratum+tcp://pool.example:3333", "worker": "farm.1", "password": "x"}]},
    CommandType.SET_FAN: {"fan_percent": 80},
    CommandType.SET_FREQUENCY: {"frequency_mhz": 500},
}
SEES = {
    "see sites": opens("/admin/sites/site/"),
    "see miners": opens("/admin/miners/miner/"),
    "see models": opens("/admin/miners/minermodel/"),
    "see keys": opens("/admin/sites/collectorkey/"),
    "see live readings": opens("/admin/telemetry/minertelemetrylive/"),
    "see readings": opens("/admin/telemetry/readings/"),
    "see uploads": opens("/admin/telemetry/collectoruploadlog/"),
    "see commands": opens("/admin/commands/minercommand/"),
    "see batches": opens("/admin/commands/commandbatch/"),
    "see jobs": opens("/admin/resilience/joblease/"),
    "see changes": opens("/admin/changes/"),
    "see alerts": opens("/admin/alerts/alert/"),
    "export miners": opens("/admin/miners/miner/export/"),
}
FROM_TECHNICIAN = {TECHNICIAN, OPERATOR, MANAGER, ADMINISTRATOR}
FROM_OPERATOR = {OPERATOR, MANAGER, ADMINISTRATOR}
FROM_MANAGER = {MANAGER, ADMINISTRATOR}
ONLY_ADMINISTRATOR = {ADMINISTRATOR}
NOBODY: set[str] = set()
TABLE: dict[str, tuple[Deed, set[str]]] = {
    **{name: (deed, ALL) for name, deed in SEES.items()},
    "change a miner": (changed_rack, FROM_TECHNICIAN),
    "add a miner": (added_miner, FROM_OPERATOR),
    "import miners": (imports_miners, FROM_OPERATOR),
    "delete a miner": (deleted_miner, FROM_MANAGER),
    "change a site": (renamed_site, FROM_MANAGER),
    "make a key": (made_key, FROM_MANAGER),
    "revoke a key": (revoked_key, FROM_MANAGER),
    "add a site": (added_site, ONLY_ADMINISTRATOR),
    "change a model": (changed_model, ONLY_ADMINISTRATOR),
    "set a miner password": (set_password, ONLY_ADMINISTRATOR),
    "make a two-person rule": (made_rule, ONLY_ADMINISTRATOR),
    "see users": (opens("/admin/auth/user/"), ONLY_ADMINISTRATOR),
    "add a user": (added_user, ONLY_ADMINISTRATOR),
    "see groups": (opens("/admin/auth/group/"), ONLY_ADMINISTRATOR),
    "change groups": (opens("/admin/auth/group/add/"), NOBODY),
    "see login locks": (opens("/admin/axes/accessattempt/"), NOBODY),
    "see schedules": (opens("/admin/django_q/schedule/"), NOBODY),
    "see failed tasks": (opens("/admin/django_q/failure/"), NOBODY),
    "see finished tasks": (opens("/admin/django_q/success/"), NOBODY),
    "see queued tasks": (opens("/admin/django_q/ormq/"), NOBODY),
}
COMMANDS = {
    CommandType.RESTART: FROM_TECHNICIAN,
    CommandType.REBOOT: FROM_TECHNICIAN,
    **dict.fromkeys(
        (CommandType.ENABLE, CommandType.DISABLE, CommandType.SET_POOL, CommandType.SET_FAN, CommandType.SET_FREQUENCY), FROM_OPERATOR
    ),
}
AT_A_SITE = [
    name
    for name, (deed, _who) in TABLE.items()
    if deed.__name__
    in {"changed_rack", "deleted_miner", "renamed_site", "made_key", "revoked_key", "set_password", "made_rule", "added_miner"}
]


@pytest.fixture
def farm() -> Site:
    site = make_site("north", name="North")
    make_miner(site, "m1", model=make_miner_model())
    make_key(site)
    return site


def member_of(group: str, *sites: Site) -> Client:
    user = make_staff(sites=sites)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("deed", TABLE)
def test_group_may_do_what_the_table_says(farm, deed, group):
    do, allowed = TABLE[deed]

    assert do(member_of(group, farm), farm) is (group in allowed)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("command", COMMANDS)
def test_group_may_send_what_the_table_says(farm, command, group):
    user = make_staff(sites=(farm,))
    user.groups.add(Group.objects.get(name=group))

    assert may_ask(user, command) is (group in COMMANDS[command])


@pytest.mark.parametrize("group", GROUPS)
def test_group_restarts_a_miner_over_the_api_as_the_table_says(farm, group):
    assert sent("restart")(member_of(group, farm), farm) is (group in COMMANDS[CommandType.RESTART])


@pytest.mark.parametrize("deed", AT_A_SITE)
def test_even_an_administrator_does_it_at_their_own_sites_only(farm, deed):
    do, _allowed = TABLE[deed]

    assert do(member_of(ADMINISTRATOR, make_site("south")), farm) is False


# Users and what they are given


def user_form(user: User, **changed) -> dict[str, object]:
    inline = {"preferences-TOTAL_FORMS": 1, "preferences-INITIAL_FORMS": 0, "preferences-0-user": user.pk}
    return {"username": user.username, "is_active": "on", "is_staff": "on", **inline, **changed}


def test_administrator_gives_a_site_a_group_and_a_language(farm):
    ann = make_staff("ann")
    viewer = Group.objects.get(name=VIEWER)

    form = user_form(ann, sites=[farm.pk], groups=[viewer.pk], **{"preferences-0-language": "zh-hans"})
    answer = member_of(ADMINISTRATOR, farm).post(f"/admin/auth/user/{ann.pk}/change/", form)

    assert answer.status_code == 302, answer.context_data["adminform"].form.errors
    assert list(ann.sites.all()) == [farm]
    assert list(ann.groups.all()) == [viewer]
    client = Client()
    client.post("/admin/login/", {"username": "ann", "password": "not a secret"})
    assert 'lang="zh-hans"' in client.get("/admin/sites/site/").content.decode()


def test_site_that_an_administrator_does_not_see_is_neither_given_nor_taken(farm):
    south = make_site("south", name="South")
    ann = make_staff("ann", sites=(south,))
    client = member_of(ADMINISTRATOR, farm)

    page = client.get(f"/admin/auth/user/{ann.pk}/change/").content.decode()
    assert ("North" in page, "South" in page) == (True, False)
    client.post(f"/admin/auth/user/{ann.pk}/change/", user_form(ann, sites=[farm.pk]))
    assert {site.code for site in ann.sites.all()} == {"north", "south"}
    bob = make_staff("bob")
    client.post(f"/admin/auth/user/{bob.pk}/change/", user_form(bob, sites=[south.pk]))
    assert not bob.sites.exists()


def test_administrator_can_not_make_somebody_a_superuser(farm):
    ann = make_staff("ann")

    member_of(ADMINISTRATOR, farm).post(f"/admin/auth/user/{ann.pk}/change/", user_form(ann, is_superuser="on"))

    ann.refresh_from_db()
    assert not ann.is_superuser


def test_site_manager_can_not_put_anybody_into_a_group_that_may_do_more(farm):
    manager = make_staff(sites=(farm,), permissions=("auth.view_user", "auth.change_user"))
    manager.groups.add(Group.objects.get(name=MANAGER))
    ann, client = make_staff("ann"), Client()
    client.force_login(manager)

    client.post(f"/admin/auth/user/{ann.pk}/change/", user_form(ann, groups=[Group.objects.get(name=ADMINISTRATOR).pk]))

    assert not ann.groups.exists()


def password_answers(client: Client, user: User) -> int:
    new = {"password1": "another secret 42", "password2": "another secret 42", "usable_password": "true"}
    return client.post(f"/admin/auth/user/{user.pk}/password/", new).status_code


def test_administrator_does_not_set_the_password_of_somebody_with_sites_beyond_their_own(farm):
    ann, bob = make_staff("ann", sites=(farm, make_site("south"))), make_staff("bob", sites=(farm,))
    client = member_of(ADMINISTRATOR, farm)

    assert [password_answers(client, user) for user in (ann, bob)] == [403, 302]
    assert [client.post(f"/admin/auth/user/{user.pk}/reset-now/").status_code for user in (ann, bob)] == [403, 302]
    ann.refresh_from_db()
    assert ann.check_password("not a secret")
    enrolled(ann)
    assert "reset-now" not in client.get(f"/admin/auth/user/{ann.pk}/change/").content.decode()


def test_administrator_changes_nothing_of_somebody_with_sites_beyond_their_own(farm):
    ann, client = make_staff("ann", sites=(farm, make_site("south"))), member_of(ADMINISTRATOR, farm)
    form = {
        **user_form(ann, email="mine@example.com", sites=[farm.pk], groups=[]),
        "username": "renamed",
        "preferences-0-language": "zh-hans",
    }
    form.pop("is_active")

    assert client.post(f"/admin/auth/user/{ann.pk}/change/", form).status_code == 302
    ann.refresh_from_db()
    assert (ann.username, ann.email, ann.is_active) == ("ann", "ann@example.com", True)
    assert [client.post(f"/admin/auth/user/{ann.pk}/{what}-now/").status_code for what in ("log-out", "unlock")] == [403, 403]
    assert ann.password not in client.get(f"/admin/auth/user/{ann.pk}/change/").content.decode()


def test_nobody_deletes_somebody_with_sites_or_rights_beyond_their_own(farm):
    admin = make_staff(sites=(farm,), permissions=("auth.view_user", "auth.change_user", "auth.delete_user"))
    ann, bob = make_staff("ann", sites=(farm, make_site("south"))), make_staff("bob", sites=(farm,))
    eve, client = make_staff("eve", sites=(farm,), permissions=("auth.add_user",)), Client()
    client.force_login(admin)
    chosen = {"action": "delete_selected", "_selected_action": [ann.pk, bob.pk], "post": "yes"}

    assert [client.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"}).status_code for user in (ann, eve)] == [403, 403]
    client.post("/admin/auth/user/", chosen)
    assert set(User.objects.filter(pk__in=[ann.pk, bob.pk, eve.pk])) == {ann, bob, eve}
    assert client.post(f"/admin/auth/user/{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=bob.pk).exists()


def test_somebody_who_may_do_more_is_not_taken_over_while_switched_off(farm):
    gone = make_staff("gone", sites=(farm,), permissions=("auth.delete_user",))
    User.objects.filter(pk=gone.pk).update(is_active=False)
    client = member_of(ADMINISTRATOR, farm)

    assert password_answers(client, gone) == 403
    assert client.post(f"/admin/auth/user/{gone.pk}/change/", user_form(gone)).status_code == 403
    gone.refresh_from_db()
    assert not gone.is_active


def test_group_is_given_no_rights_that_its_editor_does_not_have(farm):
    editor = make_staff(sites=(farm,), permissions=("auth.view_group", "auth.change_group", "sites.view_site"))
    own, more, client = Group.objects.create(name="own"), Group.objects.get(name=ADMINISTRATOR), Client()
    client.force_login(editor)
    mine, beyond = (Permission.objects.get(codename=name) for name in ("view_site", "delete_site"))

    refused = client.post(f"/admin/auth/group/{own.pk}/change/", {"name": "own", "permissions": [mine.pk, beyond.pk]})
    assert "permissions" in refused.context_data["adminform"].form.errors
    assert client.post(f"/admin/auth/group/{own.pk}/change/", {"name": "own", "permissions": [mine.pk]}).status_code == 302
    assert client.post(f"/admin/auth/group/{more.pk}/change/", {"name": "taken", "permissions": [mine.pk]}).status_code == 403
    assert list(own.permissions.all()) == [mine]


def test_superuser_schedules_functions_of_the_list_only(client):
    client.force_login(make_superuser())
    form = {"name": "mine", "schedule_type": "O", "repeats": -1, "next_run_0": "2030-01-01", "next_run_1": "00:00"}
    address = reverse("admin:django_q_schedule_add")

    client.post(address, {**form, "func": "os.system"})
    assert not Schedule.objects.filter(name="mine").exists()
    client.post(address, {**form, "func": sorted(ALLOWED_CALLABLES)[0]})
    assert Schedule.objects.filter(name="mine").exists()


def test_built_in_groups_are_named_in_the_readers_language(client: Client):
    user = make_staff()
    client.force_login(make_superuser())
    client.cookies["django_language"] = "zh-hans"
    with translation.override("zh-hans"):
        names = {group_name(group) for group in Group.objects.all()}
        choices = client.get(f"/admin/auth/user/{user.pk}/change/").context["adminform"].form.fields["groups"].choices

        assert names == {label for _pk, label in choices} == {translation.gettext(name) for name in GROUPS}


def test_page_before_a_user_is_deleted_names_no_table_between_two_others(client: Client):
    user = make_staff(sites=(make_site(),))
    user.groups.add(Group.objects.get(name=VIEWER))
    client.force_login(make_superuser())

    assert "relationship" not in client.get(f"/admin/auth/user/{user.pk}/delete/").content.decode()
