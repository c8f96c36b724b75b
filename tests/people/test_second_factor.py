"""The second factor: set up in the console, asked for at each login, enforced where a setting says so, reset by administrators."""

from __future__ import annotations

import io

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from people import second_factor
from people.models import Authenticator, Session
from tests.makers import make_key, make_site, make_staff, make_superuser
from tests.people.phones import RECOVERY_CODE, Phone, enrolled

pytestmark = [pytest.mark.once, pytest.mark.django_db]

PASSWORD = "correct horse battery"
ENROL = "/admin/account/second-factor/"
LOGIN = "/admin/login/"
CODE = "/admin/login/code/"


@pytest.fixture
def person():
    return make_staff(password=PASSWORD)


def log_in(client: Client, user, password: str = PASSWORD, target: str = ""):
    return client.post(LOGIN, {"username": user.username, "password": password, "next": target})


def is_in(client: Client) -> bool:
    return client.get("/admin/account/").status_code == 200


def test_without_a_device_the_password_alone_opens_the_console(client, person):
    assert log_in(client, person).url == "/admin/"
    assert is_in(client)


def test_enrolment_takes_the_code_of_the_shown_key_and_shows_recovery_codes_once(client, person):
    log_in(client, person)
    phone = Phone.that_read(client.get(ENROL).content.decode())

    page = client.post(ENROL, {"code": phone.code()}).content.decode()

    codes = RECOVERY_CODE.findall(page)
    assert len(codes) == second_factor.RECOVERY_CODES
    assert second_factor.authenticator_of(person) is not None
    assert codes[0] not in client.get("/admin/account/").content.decode()
    assert client.get(ENROL).url == "/admin/account/"


def test_enrolment_with_a_wrong_code_changes_nothing_and_shows_the_same_key(client, person):
    log_in(client, person)
    page = client.get(ENROL).content.decode()
    phone = Phone.that_read(page)

    answer = client.post(ENROL, {"code": phone.code(steps_ahead=9)})

    assert "another code" in answer.content.decode()
    assert Phone.that_read(answer.content.decode()).code() == phone.code()
    assert not TOTPDevice.objects.exists()


def test_enrolment_with_digits_that_are_no_number_is_a_wrong_code(client, person):
    log_in(client, person)
    client.get(ENROL)

    assert "another code" in client.post(ENROL, {"code": "\u00b2" * 6}).content.decode()


def test_neither_key_nor_recovery_codes_can_be_read_in_the_database(client, person):
    log_in(client, person)
    page = client.get(ENROL).content.decode()
    phone = Phone.that_read(page)
    codes = RECOVERY_CODE.findall(client.post(ENROL, {"code": phone.code()}).content.decode())

    kept = str(list(TOTPDevice.objects.values())) + str(list(StaticToken.objects.values()))
    kept += str([session.get_decoded() for session in Session.objects.all()])

    assert phone._secret.hex() not in kept.lower()
    assert not [code for code in codes if code in kept or code.replace("-", "") in kept]


def test_after_the_password_nothing_opens_until_the_code_is_right(client, person):
    phone, _codes = enrolled(person)

    assert log_in(client, person, target="/admin/sites/site/").url == CODE
    assert not is_in(client)
    assert client.get("/api/collector/commands/stats").status_code == 401
    assert client.post(CODE, {"code": phone.code()}).url == "/admin/sites/site/"
    assert is_in(client)


def test_code_page_is_not_there_for_whom_the_password_was_not_right(client, person):
    enrolled(person)
    log_in(client, person, "wrong")

    assert client.get(CODE).url == LOGIN
    assert client.post(CODE, {"code": "123456"}).url == LOGIN


def test_password_counts_for_five_minutes_while_the_code_is_awaited(client, person, monkeypatch):
    phone, _codes = enrolled(person)
    log_in(client, person)
    session = client.session
    session["second_factor_of"] = {**session["second_factor_of"], "until": 1.0}
    session.save()

    assert client.post(CODE, {"code": phone.code()}).url == LOGIN
    assert not is_in(client)


def test_password_changed_meanwhile_ends_the_wait_for_the_code(client, person):
    phone, _codes = enrolled(person)
    log_in(client, person)
    person.set_password("another password")
    person.save()

    assert client.post(CODE, {"code": phone.code()}).url == LOGIN


def test_wrong_code_is_refused_in_words(client, person):
    enrolled(person)
    log_in(client, person)

    answer = client.post(CODE, {"code": "000000"})

    assert answer.status_code == 200
    assert "This code is not right" in answer.content.decode()
    assert not is_in(client)


def test_code_works_once(person):
    phone, _codes = enrolled(person)
    first, second = Client(), Client()
    log_in(first, person)
    log_in(second, person)
    code = phone.code()

    assert first.post(CODE, {"code": code}).status_code == 302
    assert second.post(CODE, {"code": code}).status_code == 200
    assert not is_in(second)


def test_code_that_a_new_secret_key_makes_unreadable_is_refused_in_words(client, person, settings):
    phone, _codes = enrolled(person)
    settings.SECRET_KEY = "a key that this server did not have when the app was enrolled"
    log_in(client, person)

    assert "ask for a reset" in client.post(CODE, {"code": phone.code()}).content.decode()


def test_right_code_just_after_a_wrong_one_is_told_to_wait(client, person):
    phone, _codes = enrolled(person)
    log_in(client, person)
    client.post(CODE, {"code": "000000"})

    answer = client.post(CODE, {"code": phone.code()})

    assert "Wait 1 second" in answer.content.decode()


def test_recovery_code_opens_once_and_works_however_it_is_typed(person):
    _phone, codes = enrolled(person)
    first, second = Client(), Client()
    log_in(first, person)
    log_in(second, person)

    assert first.post(CODE, {"code": codes[0].upper().replace("-", " ")}).status_code == 302
    assert is_in(first)
    assert second.post(CODE, {"code": codes[0]}).status_code == 200
    assert second_factor.recovery_codes_left(person) == second_factor.RECOVERY_CODES - 1


def test_new_recovery_codes_replace_the_old_and_leave_the_session_open(client, person):
    _phone, codes = enrolled(person)
    log_in(client, person)
    client.post(CODE, {"code": codes[0]})

    client.post("/admin/account/recovery-codes/", {"code": codes[0]})  # used up by the login
    assert second_factor.recovery_codes_left(person) == second_factor.RECOVERY_CODES - 1
    StaticDevice.objects.update(throttling_failure_timestamp=None)
    page = client.post("/admin/account/recovery-codes/", {"code": codes[1]}).content.decode()

    assert len(set(RECOVERY_CODE.findall(page)) - set(codes)) == second_factor.RECOVERY_CODES
    assert second_factor.verify(person, codes[2]) is None
    assert is_in(client)


def test_enrolment_ends_sessions_that_were_begun_without_it(person):
    here, elsewhere = Client(), Client()
    log_in(here, person)
    log_in(elsewhere, person)
    phone = Phone.that_read(here.get(ENROL).content.decode())

    here.post(ENROL, {"code": phone.code()})

    assert is_in(here)
    assert not is_in(elsewhere)


def test_second_factor_is_removed_against_a_code_only(client, person):
    phone, _codes = enrolled(person)
    log_in(client, person)
    client.post(CODE, {"code": phone.code()})

    client.post("/admin/account/second-factor/remove/", {"code": "abcde-fghjk"})
    assert second_factor.authenticator_of(person) is not None
    TOTPDevice.objects.filter(user=person).update(last_t=-1)
    client.post("/admin/account/second-factor/remove/", {"code": phone.code()})
    assert second_factor.authenticator_of(person) is None


# Enforced


def test_required_of_all_leads_to_the_enrolment_and_nowhere_else(client, person, settings):
    settings.REQUIRE_2FA = ["all"]
    log_in(client, person)

    for address in ("/admin/", "/admin/sites/site/", "/admin/account/", "/admin/password_change/", "/api/docs/"):
        assert client.get(address)["Location" if "/api/" not in address else "Content-Type"] in (ENROL, "application/json")
    assert client.get(ENROL).status_code == 200
    assert client.get("/api/collector/commands/stats").status_code == 403


def test_enrolment_opens_the_rest(client, person, settings):
    settings.REQUIRE_2FA = ["all"]
    log_in(client, person)
    phone = Phone.that_read(client.get(ENROL).content.decode())

    client.post(ENROL, {"code": phone.code()})

    assert client.get("/admin/").status_code == 200
    assert client.get("/api/collector/commands/stats").status_code == 200


@pytest.mark.parametrize(
    ("required", "concerned"), [(["administrator"], True), (["operator"], False), (["superusers"], False), ([], False)]
)
def test_group_is_asked_for_it_by_name(client, person, settings, required, concerned):
    settings.REQUIRE_2FA = required
    person.groups.add(Group.objects.get(name="administrator"))
    log_in(client, person)

    assert (client.get("/admin/").status_code == 302) is concerned


def test_superusers_are_asked_for_it_by_that_word(client, settings):
    settings.REQUIRE_2FA = ["superusers"]
    client.force_login(make_superuser())

    assert client.get("/admin/").url == ENROL


def test_session_that_never_showed_the_device_is_ended_where_it_is_required(client, person, settings):
    settings.REQUIRE_2FA = ["all"]
    client.force_login(person)
    second_factor.enrol(person, b"k" * 20, Phone(b"k" * 20).code(), keep_session=client.session.session_key)

    assert client.get("/admin/").url == LOGIN
    assert not is_in(client)


def test_where_it_is_required_it_can_not_be_removed(client, person, settings):
    settings.REQUIRE_2FA = ["all"]
    phone, codes = enrolled(person)
    log_in(client, person)
    client.post(CODE, {"code": codes[0]})

    client.post("/admin/account/second-factor/remove/", {"code": phone.code()})

    assert second_factor.authenticator_of(person) is not None


def test_collector_is_asked_for_nothing_but_its_key(settings):
    settings.REQUIRE_2FA = ["all"]
    _key, secret = make_key(make_site())

    assert Client(headers={"X-Collector-Key": secret}).get("/api/collector/status").status_code == 200


# Reset


def administrator() -> Client:
    boss = make_staff("boss")
    boss.groups.add(Group.objects.get(name="administrator"))
    client = Client()
    client.force_login(boss)
    return client


def test_administrator_resets_a_lost_device_and_it_is_written_down(person):
    enrolled(person)
    theirs = Client()
    theirs.force_login(person)

    administrator().post(f"/admin/auth/user/{person.pk}/reset-now/")

    assert second_factor.authenticator_of(person) is None
    assert second_factor.recovery_codes_left(person) == 0
    assert not is_in(theirs)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("boss", str(person.pk))
    assert "Second factor removed" in entry.get_change_message()


def test_administrator_can_not_reset_the_device_of_somebody_who_may_do_more():
    root = make_superuser()
    enrolled(root)

    answer = administrator().post(f"/admin/auth/user/{root.pk}/reset-now/")

    assert answer.status_code == 403
    assert second_factor.authenticator_of(root) is not None


def test_operator_resets_nobodys_device(client, person):
    enrolled(person)
    client.force_login(make_staff(permissions=("auth.view_user",)))

    assert client.post(f"/admin/auth/user/{person.pk}/reset-now/").status_code == 403


def test_reset_is_not_done_by_following_a_link(person):
    enrolled(person)

    assert administrator().get(f"/admin/auth/user/{person.pk}/reset-now/").status_code == 405


def test_command_resets_the_only_superuser(person):
    enrolled(person)
    out = io.StringIO()

    call_command("reset_second_factor", person.username, stdout=out)

    assert second_factor.authenticator_of(person) is None
    assert "Second factor removed" in out.getvalue()


def test_pages_of_the_devices_with_their_keys_do_not_exist(client, person):
    enrolled(person)
    client.force_login(make_superuser())
    device = Authenticator.objects.get()

    for address in (f"otp_totp/totpdevice/{device.pk}/change/", f"otp_totp/totpdevice/{device.pk}/config/", "otp_static/staticdevice/"):
        assert client.get(f"/admin/{address}").status_code == 404
