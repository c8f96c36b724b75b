"""Sessions: 24 hours, in the database with the cache before it, ended everywhere at once."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.core.cache import caches
from django.test import Client
from django.utils import timezone

from people.models import Preferences, Session
from people.sessions import forget_expired
from people.tasks import forget_sessions
from tests.makers import make_staff, make_superuser

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
HOME = "/admin/account/"


@pytest.fixture
def person():
    return make_staff("ann", password=PASSWORD)


def browser(user=None, **headers) -> Client:
    client = Client(headers=headers)
    if user:
        client.post("/admin/login/", {"username": user.username, "password": PASSWORD}, REMOTE_ADDR="198.51.100.7")
    return client


def is_in(client: Client) -> bool:
    return client.get(HOME).status_code == 200


def test_login_opens_a_session_of_24_hours_that_says_from_where(person):
    client = browser(person, user_agent="Firefox on the workbench")

    session = Session.objects.get()
    assert timedelta(hours=23, minutes=59) < session.expire_date - timezone.now() <= timedelta(hours=24)
    assert (session.user, session.address, session.browser) == (person, "198.51.100.7", "Firefox on the workbench")
    assert "Firefox on the workbench" in client.get(HOME).content.decode()


def test_session_of_yesterday_opens_nothing(person):
    client = browser(person)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    caches["sessions"].clear()

    assert not is_in(client)


@pytest.mark.parametrize("way", ["/admin/logout/", "/admin/account/log-out-everywhere/"])
def test_session_that_was_logged_out_is_gone_from_database_and_cache(person, way):
    client = browser(person)
    key = client.session.session_key

    client.post(way)

    assert not Session.objects.filter(session_key=key).exists()
    assert caches["sessions"].get(f"user_session:{key}") is None
    again = Client()
    again.cookies[configured.SESSION_COOKIE_NAME] = key
    assert not is_in(again)


@pytest.mark.skipif("not os.environ.get('REDIS_URL')")
def test_cache_holds_a_session_under_its_id(person):
    client = browser(person)

    assert os.environ["REDIS_URL"]
    assert caches["sessions"].get(f"user_session:{client.session.session_key}")["_auth_user_id"] == str(person.pk)


def test_log_out_everywhere_ends_every_browser(person):
    here, phone = browser(person), browser(person)

    here.post("/admin/account/log-out-everywhere/")

    assert (is_in(here), is_in(phone)) == (False, False)


def test_log_out_the_others_keeps_this_browser(person):
    here, phone = browser(person), browser(person)
    somebody_else = browser(make_staff("bob", password=PASSWORD))

    here.post("/admin/account/log-out-elsewhere/")

    assert (is_in(here), is_in(phone), is_in(somebody_else)) == (True, False, True)


def test_new_password_ends_the_other_sessions(person):
    here, phone = browser(person), browser(person)

    here.post(
        "/admin/password_change/", {"old_password": PASSWORD, "new_password1": "staple-battery-9", "new_password2": "staple-battery-9"}
    )

    assert (is_in(here), is_in(phone)) == (True, False)


def test_administrator_logs_somebody_out(person, client):
    theirs = browser(person)
    client.force_login(make_superuser())

    client.post(f"/admin/auth/user/{person.pk}/log-out-now/")

    assert not is_in(theirs)


def test_somebody_switched_off_is_out_at_once(person):
    client = browser(person)
    person.is_active = False
    person.save()

    assert not is_in(client)


def test_cookies_are_out_of_the_reach_of_scripts_and_other_sites(person):
    client = browser(person)

    cookie = client.cookies[configured.SESSION_COOKIE_NAME]
    assert (bool(cookie["httponly"]), cookie["samesite"], cookie["max-age"]) == (True, "Lax", 86_400)


def test_expired_sessions_are_deleted_and_no_others(person):
    browser(person)
    now = timezone.now()

    assert forget_expired(now) == 0
    assert forget_expired(now + timedelta(hours=25)) == 1
    assert forget_sessions() == "0 expired sessions deleted"


def test_chosen_language_holds_in_the_next_browser(person):
    here = browser(person)
    here.post("/i18n/setlang/", {"language": "zh-hans", "next": "/admin/"})

    elsewhere = browser(person)

    assert 'lang="zh-hans"' in elsewhere.get(HOME).content.decode()
    assert Preferences.objects.get(user=person).language == "zh-hans"


def test_language_that_does_not_exist_is_not_kept(person):
    browser(person).post("/i18n/setlang/", {"language": "tlh", "next": "/admin/"})

    assert not Preferences.objects.exists()
