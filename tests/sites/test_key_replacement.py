"""A collector replaces its key: an administrator asks for it, the old key fetches the new one, a heartbeat with that confirms it."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from sites.keys import WAITING_AT_MOST, ask_for_replacement, revoke_key
from sites.models import CollectorKey, digest_of
from tests.makers import make_key, make_site, make_staff, make_superuser
from tests.telemetry.collector import Collector as Agent

pytestmark = pytest.mark.django_db

ROTATE, HEARTBEAT = "/api/edge/v1/key/rotate", "/api/edge/v1/heartbeat"
NAMES = {"X-Device-ID": "edge-7", "X-Zone-ID": "B"}


@pytest.fixture
def old():
    """A key, its secret beside it."""
    key, key.secret = make_key(make_site("north"))
    return key


@pytest.fixture
def asked(old):
    ask_for_replacement(old, asked_by="root")
    return old


def fetch(secret, **names):
    return Agent(secret, **(names or NAMES)).send({}, url=ROTATE)


def beat(secret, **names):
    return Agent(secret, **(names or NAMES)).send({}, url=HEARTBEAT)


def works(secret):
    return Agent(secret).get("/api/collector/status").status_code == 200


def ends_in(key):
    key.refresh_from_db()
    return None if key.expires_at is None else key.expires_at - timezone.now()


def test_key_that_nobody_asked_to_replace_stays(old):
    answer = fetch(old.secret)

    assert (answer.status_code, answer.data["success"]) == (409, False)
    assert CollectorKey.objects.count() == 1
    assert beat(old.secret).data["key_rotation_available"] is False


def test_replacement_works_beside_the_old_key_for_a_week(asked):
    assert beat(asked.secret).data["key_rotation_available"] is True
    answer = fetch(asked.secret)

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    new = answer.data["key"]
    assert re.fullmatch(r"hsc_[A-Za-z0-9_-]{43}", new)
    assert works(new)
    assert works(asked.secret)
    assert timedelta(days=6, hours=23) < ends_in(asked) <= timedelta(days=7)
    assert timezone.datetime.fromisoformat(answer.data["expires_old_at"]) == asked.expires_at
    made = CollectorKey.objects.get(digest=digest_of(new))
    assert (made.site, made.name, made.replaces, made.fetched_by, made.expires_at) == (asked.site, asked.name, asked, "edge-7/B", None)


def test_old_key_ends_soon_after_a_heartbeat_with_the_new_one(asked):
    new = fetch(asked.secret).data["key"]
    works(new)
    assert ends_in(asked) > timedelta(days=6)

    assert beat(new).data["key_rotation_available"] is False

    assert ends_in(asked) <= timedelta(minutes=10)
    assert asked.replacement_asked_at is None
    assert fetch(asked.secret).status_code == 409


def test_asking_again_before_the_first_use_voids_the_former_answer(asked):
    first = fetch(asked.secret).data["key"]
    second = fetch(asked.secret).data["key"]

    assert (works(first), works(second), works(asked.secret)) == (False, True, True)
    assert CollectorKey.objects.count() == 2


def test_old_key_lives_on_while_another_collector_still_beats_with_it(asked):
    beat(asked.secret, **{"X-Device-ID": "edge-8"})
    first = fetch(asked.secret).data["key"]
    beat(first)
    assert ends_in(asked) > timedelta(days=6)

    second = fetch(asked.secret, **{"X-Device-ID": "edge-8"}).data["key"]
    assert (works(first), works(second)) == (True, True)
    beat(second, **{"X-Device-ID": "edge-8"})

    assert ends_in(asked) <= timedelta(minutes=10)


def test_replacement_lives_no_longer_than_the_key_was_given_to(old):
    ends_at = timezone.now() + timedelta(days=2)
    CollectorKey.objects.filter(pk=old.pk).update(expires_at=ends_at)
    old.refresh_from_db()
    ask_for_replacement(old, asked_by="root")
    fetch(old.secret)
    new = fetch(old.secret).data["key"]

    assert CollectorKey.objects.get(digest=digest_of(new)).expires_at == ends_at
    assert CollectorKey.objects.get(pk=old.pk).expires_at == ends_at


def test_replacements_of_one_key_are_bounded(asked, settings):
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**6)
    for number in range(WAITING_AT_MOST):
        assert fetch(asked.secret, **{"X-Device-ID": f"d{number}"}).status_code == 200

    assert fetch(asked.secret, **{"X-Device-ID": "one more"}).status_code == 409


def test_secret_is_neither_stored_nor_logged(asked, caplog):
    with caplog.at_level(logging.DEBUG):
        new = fetch(asked.secret).data["key"]
        beat(new)

    assert "collector_key_replacement_fetched" in caplog.text
    assert new not in caplog.text
    assert asked.secret not in caplog.text
    assert all(new not in str(value) for row in CollectorKey.objects.values() for value in row.values())


def test_revoked_key_fetches_nothing(asked):
    revoke_key(asked)

    assert fetch(asked.secret).status_code == 401


# Who asks for it


def run(*arguments):
    out = StringIO()
    call_command("rotate_collector_key", *arguments, stdout=out)
    return out.getvalue()


def test_command_asks_and_takes_it_back(old):
    assert f"key {old.pk} ({old.prefix}…, {old.name}) of site north, from now on" in run(str(old.pk))
    assert "since 20" in run(str(old.pk))
    new = fetch(old.secret).data["key"]

    assert "Kept key" in run(str(old.pk), "--cancel")

    assert (works(old.secret), works(new), ends_in(old)) == (True, False, None)
    assert "stays as it is" in run(str(old.pk), "--cancel")


def test_command_says_where_to_look_for_a_key_that_is_not_there_and_refuses_a_revoked_one(old):
    with pytest.raises(CommandError, match="list_collector_keys"):
        run("12345")
    revoke_key(old)
    with pytest.raises(CommandError, match="make a new key"):
        run(str(old.pk))


def choose(client, key, action):
    return client.post(reverse("admin:sites_collectorkey_changelist"), {"action": action, "_selected_action": [key.pk]}, follow=True)


def test_administrator_asks_in_the_list_of_keys_and_it_is_kept_who_did(client, old):
    root = make_superuser("root")
    client.force_login(root)
    assert "1 key" in choose(client, old, "ask_for_replacement").content.decode()

    old.refresh_from_db()
    assert (old.replacement_asked_by, old.replacement_asked_at is not None) == ("root", True)
    history = client.get(reverse("admin:sites_collectorkey_history", args=[old.pk])).content.decode()
    assert "collectors may fetch a new key" in history

    choose(client, old, "withdraw_replacement")
    old.refresh_from_db()
    assert old.replacement_asked_at is None


def test_staff_can_not_ask_for_keys_of_other_sites(client, old):
    client.force_login(make_staff(sites=(make_site("south"),), permissions=("sites.change_collectorkey",)))
    choose(client, old, "ask_for_replacement")

    old.refresh_from_db()
    assert old.replacement_asked_at is None
