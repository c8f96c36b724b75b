"""Who may do what, from one table: every address, every method, every kind of caller. An address that is not in it fails the test."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from alerts.models import RuleKind
from commands.models import CommandStatus, CommandType
from miners.models import Miner
from sites.keys import ask_for_replacement
from sites.models import CollectorKey, Site
from tests.alerts.farm import make_alert, make_rule
from tests.makers import make_command, make_key, make_live, make_miner, make_site

pytestmark = [pytest.mark.once, pytest.mark.django_db]

OWN_KEY, OTHER_KEY = "key of the site", "key of another site"
BAD_KEYS = ("unknown key", "revoked key", "expired key", "key of a closed site", "malformed key")
ANONYMOUS, VISITOR = "anonymous", "person without staff status"
OWN_STAFF, OTHER_STAFF, SUPERUSER = "staff of the site", "staff of another site", "superuser"
CALLERS = (ANONYMOUS, *BAD_KEYS, OWN_KEY, OTHER_KEY, VISITOR, OWN_STAFF, OTHER_STAFF, SUPERUSER)
SECRET = "the north farm"
"""The site's name: in no answer to somebody who may not see the site."""


@dataclass(frozen=True)
class Rule:
    """What each caller is answered: the status of those who are named, `otherwise` of everybody else."""

    otherwise: int
    named: dict[str, int] = field(default_factory=dict)
    body: object = None

    def status_for(self, caller: str) -> int:
        return self.named.get(caller, self.otherwise)


def for_anybody(status: int = 200) -> Rule:
    return Rule(status)


def for_keys(own: int, other: int, body: object = None) -> Rule:
    return Rule(401, {OWN_KEY: own, OTHER_KEY: other}, body)


def for_staff(own: int, other: int, body: object = None) -> Rule:
    return Rule(401, {VISITOR: 403, OWN_STAFF: own, OTHER_STAFF: other, SUPERUSER: own}, body)


def for_both(own: int, other: int) -> Rule:
    staff = for_staff(own, other).named
    return Rule(401, {**staff, OWN_KEY: own, OTHER_KEY: other})


def for_pages() -> Rule:
    """Pages of the admin's kind send whoever is not staff to the login."""
    return Rule(302, {OWN_STAFF: 200, OTHER_STAFF: 200, SUPERUSER: 200})


COMMAND = {"site_id": "north", "miner_id": "m1", "command": "restart", "reason": "test"}
BATCH = {"site_id": "north", "miner_ids": ["m1"], "command": "restart", "reason": "test"}
RESULT = {"status": "completed", "result_code": 0, "result_message": "done"}
RECORDS = [{"miner_id": "m1", "hashrate_ghs": 1}]
HEARTBEAT = {"device_id": "edge-7"}
EVENTS = {"device_id": "edge-7", "events": []}
NEW_KEY = {"site_id": "north", "name": "new"}

# Of `commands/pending` each key is answered for its own site; what is in the answer is checked apart.
TABLE: dict[tuple[str, str], Rule] = {
    ("GET", ""): for_anybody(302),
    ("GET", "i18n/setlang/"): for_anybody(302),
    ("GET", "health"): for_anybody(),
    ("GET", "health/ready"): for_anybody(503),  # nothing polls the test's site
    ("GET", "metrics"): for_anybody(),  # of this machine: no token is set
    ("GET", "api/schema/"): for_pages(),
    ("GET", "api/docs/"): for_pages(),
    ("GET", "^api/"): for_anybody(404),
    ("POST", "api/collector/upload"): for_keys(200, 200, RECORDS),
    ("POST", "api/edge/v1/telemetry/ingest"): for_keys(200, 200, RECORDS),
    ("POST", "api/edge/v1/telemetry/batch"): for_keys(200, 200, RECORDS),
    ("GET", "api/collector/status"): for_keys(200, 200),
    ("GET", "api/collector/stats"): for_both(200, 200),
    ("GET", "api/collector/live/<str:site_id>"): for_both(200, 404),
    ("GET", "api/collector/summary/<str:site_id>"): for_both(200, 404),
    ("GET", "api/collector/miners/<str:miner_id>/status"): for_both(200, 404),
    ("GET", "api/collector/alerts"): for_both(200, 200),
    ("GET", "api/collector/keys"): for_staff(200, 200),
    ("POST", "api/collector/keys"): for_staff(201, 404, NEW_KEY),
    ("DELETE", "api/collector/keys/<int:key_id>"): for_staff(200, 404),
    ("POST", "api/collector/keys/<int:key_id>/rotate"): for_staff(201, 404, {}),
    ("POST", "api/edge/v1/heartbeat"): for_keys(200, 200, HEARTBEAT),
    ("POST", "api/edge/v1/events"): for_keys(200, 200, EVENTS),
    ("POST", "api/edge/v1/key/rotate"): for_keys(200, 409, {}),  # asked for the site's key only
    ("GET", "api/collector/commands/pending"): for_keys(200, 200),
    ("GET", "api/edge/v1/commands/poll"): for_keys(200, 200),
    ("POST", "api/collector/commands/<uuid:command_id>/result"): for_keys(200, 404, RESULT),
    ("POST", "api/edge/v1/commands/<uuid:command_id>/ack"): for_keys(200, 404, RESULT),
    ("POST", "api/collector/commands"): for_staff(201, 404, COMMAND),
    ("POST", "api/collector/commands/batch"): for_staff(201, 404, BATCH),
    ("GET", "api/collector/commands/history"): for_staff(200, 200),
    ("GET", "api/collector/commands/stats"): for_staff(200, 200),
    ("GET", "api/collector/commands/<uuid:command_id>"): for_staff(200, 404),
    ("DELETE", "api/collector/commands/<uuid:command_id>"): for_staff(200, 404),
}
METHODS = ("get", "post", "put", "patch", "delete")
OPEN_ADMIN_ROUTES = {"admin/login/", "admin/logout/", "admin/jsi18n/"}


@dataclass
class World:
    """A site with a miner, a key and a command, and a neighbour that must not see any of it."""

    site: Site
    miner: Miner
    key: CollectorKey
    command_id: uuid.UUID
    keys: dict[str, str]

    def address(self, route: str) -> str:
        parts = {
            "<str:site_id>": self.site.code,
            "<str:miner_id>": self.miner.miner_id,
            "<int:key_id>": str(self.key.pk),
            "<uuid:command_id>": str(self.command_id),
        }
        for part, value in parts.items():
            route = route.replace(part, value)
        return "/" + route.removeprefix("^")

    def client(self, caller: str) -> Client:
        if caller in self.keys:
            return Client(headers={"X-Collector-Key": self.keys[caller]})
        client = Client()
        people = {VISITOR: (False, self.site), OWN_STAFF: (True, self.site), OTHER_STAFF: (True, Site.objects.get(code="south"))}
        if caller in people:
            is_staff, site = people[caller]
            person = get_user_model().objects.create(username="person", is_staff=is_staff)
            person.sites.add(site)
            person.user_permissions.set(Permission.objects.filter(content_type__app_label__in=("commands", "sites", "alerts")))
            client.force_login(person)
        if caller == SUPERUSER:
            client.force_login(get_user_model().objects.create(username="root", is_staff=True, is_superuser=True))
        return client


@pytest.fixture
def world() -> World:
    site = make_site("north", name=SECRET)
    other = make_site("south", name="the south farm")
    closed = make_site("closed", is_active=False)
    miner = make_miner(site, "m1")
    make_live(miner)
    past = timezone.now() - timedelta(seconds=1)
    key, secret = make_key(site)
    ask_for_replacement(key, asked_by="root")
    keys = {
        OWN_KEY: secret,
        OTHER_KEY: make_key(other)[1],
        "unknown key": "hsc_" + "a" * 43,
        "malformed key": "\u00e9 not a key",
        "revoked key": make_key(site, expires_at=None)[1],
        "expired key": make_key(site, expires_at=past)[1],
        "key of a closed site": make_key(closed)[1],
    }
    CollectorKey.objects.filter(prefix=keys["revoked key"][:12]).update(revoked_at=past)
    command = make_command(miner, CommandType.RESTART, status=CommandStatus.PENDING)
    return World(site, miner, key, command.pk, keys)


def routes(patterns=None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route, pattern


def methods_of(pattern: URLPattern) -> list[str]:
    view = getattr(pattern.callback, "cls", None)
    named = [method.upper() for method in METHODS if hasattr(view, method)]
    return named or ["GET"]


def walked() -> set[tuple[str, str]]:
    """Every method of every address outside the admin; the twin with a slash at its end is the same address."""
    plain = {route for route, _ in routes()}
    found = set()
    for route, pattern in routes():
        if route.startswith(("admin/", "static/", "media/")):
            continue
        twin = route.removesuffix("/")
        found |= {(method, twin if twin != route and twin in plain else route) for method in methods_of(pattern)}
    return found


def test_every_address_and_method_has_a_rule():
    assert walked() == set(TABLE), "add each new address to TABLE, with who may call it"


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "route"), TABLE)
def test_caller_is_answered_by_the_rule(world, method, route, caller):
    rule = TABLE[method, route]
    kind = {"content_type": "application/json"} if rule.body is not None else {}

    response = world.client(caller).generic(method, world.address(route), json.dumps(rule.body) if rule.body is not None else b"", **kind)

    assert response.status_code == rule.status_for(caller), response.content[:300]
    if route.startswith(("api/collector", "api/edge", "^api")):
        assert json.loads(response.content)["success"] is (response.status_code < 300)
        assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(response.headers)
    if caller not in (OWN_KEY, OWN_STAFF, SUPERUSER):
        assert SECRET.encode() not in response.content


def test_answers_to_missing_and_bad_keys_are_all_alike(world):
    answers = {world.client(caller).get("/api/collector/status").content for caller in (ANONYMOUS, *BAD_KEYS)}

    assert len(answers) == 1


@pytest.mark.parametrize("caller", [caller for caller in CALLERS if caller not in (OWN_STAFF, OTHER_STAFF, SUPERUSER)])
def test_no_page_of_the_admin_opens_to_anybody_but_staff(world, caller):
    client = world.client(caller)
    admin = {route for route, _ in routes() if route.startswith("admin/")} - OPEN_ADMIN_ROUTES

    opened = {}
    for route in sorted(admin):
        address = "/" + route.replace("<path:object_id>", "1").replace("<url>", "x/")
        response = client.get(address.replace("<app_label>", "sites"))
        if response.status_code not in (301, 302, 404):
            opened[route] = response.status_code

    assert opened == {}


def test_stats_hold_the_callers_sites_and_no_others(world):
    seen = {}
    for caller in (OWN_KEY, OTHER_KEY, SUPERUSER):
        rows = world.client(caller).get("/api/collector/stats").json()["sites"]
        seen[caller] = [row["site_id"] for row in rows]

    assert seen == {OWN_KEY: ["north"], OTHER_KEY: ["south"], SUPERUSER: ["closed", "north", "south"]}


@pytest.mark.parametrize(("caller", "seen"), [(OWN_KEY, 1), (OTHER_KEY, 0), (OWN_STAFF, 1), (OTHER_STAFF, 0), (SUPERUSER, 2)])
def test_alerts_are_listed_of_the_callers_sites_and_the_servers_own_for_superusers(world, caller, seen):
    for site in (world.site, None):
        make_alert(make_rule(RuleKind.COVERAGE_LOW), site=site)

    assert world.client(caller).get("/api/collector/alerts").json()["count"] == seen


@pytest.mark.parametrize("caller", [OWN_STAFF, OTHER_STAFF])
def test_keys_are_listed_of_the_callers_sites_only(world, caller):
    keys = world.client(caller).get("/api/collector/keys").json()["keys"]

    assert {key["site_id"] for key in keys} == {"north" if caller == OWN_STAFF else "south"}


def test_upload_with_a_key_lands_at_its_own_site_whatever_the_envelope_says(world):
    envelope = {"site_id": "north", "records": [{"miner_id": "from-the-south"}]}

    world.client(OTHER_KEY).post("/api/collector/upload", json.dumps(envelope), content_type="application/json")

    assert Miner.objects.get(miner_id="from-the-south").site.code == "south"


def test_post_of_a_person_without_a_csrf_token_is_refused(world):
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.create(username="root", is_staff=True, is_superuser=True))

    assert client.post("/api/collector/keys", NEW_KEY, content_type="application/json").status_code == 403
