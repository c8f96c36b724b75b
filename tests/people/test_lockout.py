"""Wrong passwords and codes lock a name out from an address, for a quarter of an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from tests.makers import make_staff, make_superuser
from tests.people.phones import enrolled

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
LOGIN = "/admin/login/"
HERE, ELSEWHERE = "198.51.100.7", "198.51.100.8"


@pytest.fixture
def person():
    return make_staff("ann", password=PASSWORD)


def attempt(password: str = "wrong", *, username: str = "ann", address: str = HERE, client: Client | None = None, **headers):
    client = client or Client()
    return client.post(LOGIN, {"username": username, "password": password}, REMOTE_ADDR=address, headers=headers)


def lock(address: str = HERE) -> None:
    for _ in range(5):
        attempt(address=address)


def test_fifth_wrong_password_locks_and_the_right_one_no_longer_helps(person):
    answers = [attempt().status_code for _ in range(5)]

    assert answers == [200, 200, 200, 200, 429]
    assert attempt(PASSWORD).status_code == 429


def test_page_says_for_how_long(person):
    lock()

    assert "For 15 minutes" in attempt().content.decode()
    assert attempt().headers["Retry-After"] == "900"


def test_other_address_and_other_names_are_not_locked(person):
    make_staff("bob", password=PASSWORD)
    lock()

    assert attempt(PASSWORD, address=ELSEWHERE).status_code == 302
    assert attempt(PASSWORD, username="bob").status_code == 302


def test_lock_is_over_after_a_quarter_of_an_hour(person):
    lock()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))

    assert attempt(PASSWORD).status_code == 302


def test_trying_on_does_not_make_the_lock_longer(person):
    lock()
    began = timezone.now() - timedelta(minutes=14)
    AccessAttempt.objects.update(attempt_time=began)

    attempt()

    assert AccessAttempt.objects.get().attempt_time == began


def test_right_password_forgets_the_wrong_ones(person):
    for _ in range(4):
        attempt()
    attempt(PASSWORD)

    assert [attempt().status_code for _ in range(4)] == [200] * 4


def test_wrong_codes_lock_like_wrong_passwords(person):
    _phone, codes = enrolled(person)
    client = Client()
    attempt(PASSWORD, client=client)
    answers = []
    for number in range(5):
        answers.append(client.post("/admin/login/code/", {"code": f"abcde-fghj{number + 2}"}, REMOTE_ADDR=HERE).status_code)
        person.staticdevice_set.update(throttling_failure_timestamp=timezone.now() - timedelta(minutes=5))

    assert answers == [200, 200, 200, 200, 429]
    assert client.post("/admin/login/code/", {"code": codes[0]}, REMOTE_ADDR=HERE).status_code == 429


def test_behind_a_proxy_of_ours_the_client_is_locked_and_not_the_proxy(person, settings):
    settings.TRUSTED_PROXIES = 1
    for _ in range(5):
        attempt(address="127.0.0.1", x_forwarded_for=f"203.0.113.9, {HERE}")

    assert attempt(PASSWORD, address="127.0.0.1", x_forwarded_for=HERE).status_code == 429
    assert attempt(PASSWORD, address="127.0.0.1", x_forwarded_for=ELSEWHERE).status_code == 302


def test_without_a_proxy_a_header_of_the_client_changes_nothing(person):
    for number in range(5):
        attempt(x_forwarded_for=f"203.0.113.{number}")

    assert attempt(PASSWORD).status_code == 429


def test_neighbours_in_an_ipv6_network_count_as_one_address(person):
    for number in range(5):
        attempt(address=f"2001:db8::{number + 1}")

    assert attempt(PASSWORD, address="2001:db8::99").status_code == 429


def test_password_is_kept_neither_with_the_attempt_nor_in_the_log(person, capfd, caplog):
    for _ in range(5):
        attempt("hunter2-hunter2")

    kept = str(list(AccessAttempt.objects.values())) + caplog.text + "".join(capfd.readouterr())

    assert "hunter2" not in kept
    assert "login_failed" in kept
    assert "login_locked" in kept
    assert HERE in kept


def test_superuser_lifts_a_lock_in_the_console(person, client):
    lock()
    client.force_login(make_superuser())
    page = client.get("/admin/axes/accessattempt/").content.decode()
    attempts = list(AccessAttempt.objects.values_list("pk", flat=True))

    client.post("/admin/axes/accessattempt/", {"action": "lift", "_selected_action": attempts})

    assert "ann" in page
    assert HERE in page
    assert attempt(PASSWORD).status_code == 302


def test_locks_are_for_superusers_only(client):
    client.force_login(make_staff(permissions=("axes.view_accessattempt", "axes.delete_accessattempt")))

    assert client.get("/admin/axes/accessattempt/").status_code == 403


def test_administrator_lifts_the_lock_of_one_user(person, client):
    lock()
    client.force_login(make_staff(permissions=("auth.view_user", "auth.change_user")))

    client.post(f"/admin/auth/user/{person.pk}/unlock-now/")

    assert attempt(PASSWORD).status_code == 302
