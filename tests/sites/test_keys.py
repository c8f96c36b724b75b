"""Keys are made, rotated and revoked: by code, from the command line and over the API."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from sites.keys import KeyNotActive, create_key, revoke_key, rotate_key
from sites.models import CollectorKey, Site
from tests.makers import make_key, make_site, make_staff

pytestmark = pytest.mark.django_db


def works(secret):
    return Client(headers={"X-Collector-Key": secret}).get("/api/collector/status").status_code == 200


def run(*arguments):
    out, errors = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def test_key_has_the_contracts_form_and_only_its_digest_is_stored():
    key, secret = create_key(make_site(), name="container 3")

    assert re.fullmatch(r"hsc_[A-Za-z0-9_-]{43}", secret)
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret.startswith(key.prefix)
    assert all(secret not in str(value) for value in CollectorKey.objects.values().get().values())


def test_rotation_leaves_the_old_key_working_for_the_overlap():
    key, old = make_key()

    new_key, new = rotate_key(key, overlap=timedelta(hours=2))

    assert works(old)
    assert works(new)
    assert (new_key.site, new_key.name) == (key.site, key.name)
    key.refresh_from_db()
    assert timedelta(hours=1, minutes=59) < key.expires_at - timezone.now() <= timedelta(hours=2)


def test_rotation_without_overlap_ends_the_old_key_at_once():
    key, old = make_key()
    rotate_key(key, overlap=timedelta(0))

    assert not works(old)


def test_rotation_never_lengthens_a_life():
    soon = timezone.now() + timedelta(minutes=5)
    key, _ = make_key(expires_at=soon)
    rotate_key(key)

    assert CollectorKey.objects.get(pk=key.pk).expires_at == soon


def test_key_that_does_not_work_is_not_rotated():
    key, _ = make_key(expires_at=timezone.now())

    with pytest.raises(KeyNotActive, match="expired"):
        rotate_key(key)


def test_revoked_key_stops_at_once_and_keeps_the_time_of_its_revocation():
    key, secret = make_key()
    assert revoke_key(key) is True
    revoked_at = CollectorKey.objects.get().revoked_at

    assert revoke_key(key) is False
    assert CollectorKey.objects.get().revoked_at == revoked_at
    assert not works(secret)


def test_command_prints_the_key_alone_on_standard_output():
    make_site("north")
    out, errors = run("create_collector_key", "--site", "north", "--name", "container 3")

    assert re.fullmatch(r"hsc_[A-Za-z0-9_-]{43}\n", out)
    assert "north" in errors
    assert works(out.strip())


def test_command_makes_the_site_when_asked_to():
    out, errors = run("create_collector_key", "--site", "new-farm", "--create-site", "--name", "edge")
    run("create_collector_key", "--site", "new-farm", "--create-site", "--name", "edge 2")

    assert works(out.strip())
    assert "Site new-farm made." in errors
    assert Site.objects.get().collection == Site.Collection.COLLECTOR


@pytest.mark.parametrize(("known", "hint"), [(["north", "south"], "Known sites: north, south."), ([], "There are no sites yet")])
def test_unknown_site_is_one_line_that_says_what_to_do(known, hint):
    for code in known:
        make_site(code)

    with pytest.raises(CommandError) as caught:
        run("create_collector_key", "--site", "nroth", "--name", "edge")

    message = str(caught.value)
    assert "There is no site 'nroth'." in message
    assert hint in message
    assert "--create-site" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("--site", "a b", "--create-site", "--name", "x"),
        ("--site", "ok", "--create-site", "--name", " "),
        ("--site", "é", "--create-site", "--name", "x"),
    ],
)
def test_bad_words_are_refused_and_nothing_is_made(arguments):
    with pytest.raises(CommandError):
        run("create_collector_key", *arguments)

    assert not Site.objects.exists() or Site.objects.get().code == "ok"
    assert not CollectorKey.objects.exists()


def test_keys_are_listed_and_revoked_by_their_id():
    key, secret = make_key(make_site("north"))
    other, other_secret = make_key(make_site("south"))
    listed, _ = run("list_collector_keys")
    assert f"{key.pk}  north" in listed
    assert secret not in listed

    out, _ = run("revoke_collector_key", str(key.pk))

    assert out == f"Revoked key {key.pk} ({key.prefix}…, {key.name}) of site north.\n"
    assert not works(secret)
    assert works(other_secret)
    assert "revoked" in run("list_collector_keys", "--site", "north")[0]
    assert str(other.prefix) not in run("list_collector_keys", "--site", "north")[0]


def test_revoking_a_key_that_is_not_there_says_where_to_look():
    with pytest.raises(CommandError, match="list_collector_keys"):
        run("revoke_collector_key", "12345")


@pytest.fixture
def staff():
    site = make_site("north")
    client = Client()
    rights = tuple(f"sites.{action}_collectorkey" for action in ("view", "add", "change"))
    client.force_login(make_staff(sites=(site,), permissions=rights))
    return client


@pytest.mark.parametrize(
    ("right", "status"), [("view", [200, 403, 403, 403]), ("add", [403, 201, 403, 403]), ("change", [403, 403, 403, 200])]
)
def test_staff_do_with_keys_what_they_may_in_the_admin(right, status):
    site, client = make_site("north"), Client()
    key, _secret = make_key(site)
    client.force_login(make_staff(sites=(site,), permissions=(f"sites.{right}_collectorkey",)))

    answers = [
        client.get("/api/collector/keys"),
        client.post("/api/collector/keys", {"site_id": "north", "name": "edge"}, content_type="application/json"),
        client.post(f"/api/collector/keys/{key.pk}/rotate", {}, content_type="application/json"),
        client.delete(f"/api/collector/keys/{key.pk}"),
    ]

    assert [answer.status_code for answer in answers] == status


def test_staff_make_a_key_whose_secret_is_shown_once(staff):
    made = staff.post("/api/collector/keys", {"site_id": "north", "name": "edge"}, content_type="application/json")

    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    secret = made.json()["secret"]
    assert works(secret)
    assert secret not in staff.get("/api/collector/keys").content.decode()
    assert CollectorKey.objects.get().created_by is not None


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "x",
        "",
        '{"site_id": "north"}',
        '{"site_id": "north", "name": ""}',
        '{"site_id": "north", "name": "' + "x" * 101 + '"}',
        '{"site_id": "north", "name": "a\\u0000b"}',
        '{"site_id": "north", "name": "a", "expires_at": "2001-01-01T00:00:00Z"}',
        '{"site_id": "north", "name": "a", "expires_at": "soon"}',
        "[" * 50_000,
    ],
)
def test_bad_order_for_a_key_is_400_and_says_why(staff, body):
    answer = staff.post("/api/collector/keys", body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not CollectorKey.objects.exists()


def test_staff_rotate_and_revoke_by_id(staff):
    key, old = make_key(Site.objects.get())
    rotated = staff.post(f"/api/collector/keys/{key.pk}/rotate", {"overlap_hours": 0}, content_type="application/json")
    new = rotated.json()

    assert (rotated.status_code, works(old), works(new["secret"])) == (201, False, True)
    assert staff.post(f"/api/collector/keys/{key.pk}/rotate", {}, content_type="application/json").status_code == 409
    revoked = staff.delete(f"/api/collector/keys/{new['key']['id']}")
    assert (revoked.json()["revoked"], works(new["secret"])) == (True, False)
    assert staff.delete(f"/api/collector/keys/{new['key']['id']}").json()["revoked"] is False
