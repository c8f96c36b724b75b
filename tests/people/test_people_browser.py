"""Logging in with the second factor in a real browser, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django_otp.plugins.otp_totp.models import TOTPDevice

from people import second_factor
from tests.makers import make_staff
from tests.people.phones import Phone, enrolled
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

PASSWORD = "correct horse battery"
LANGUAGES = ("en", "zh-hans")


def speak(page: Page, address: str, language: str) -> None:
    page.context.add_cookies([{"name": "django_language", "value": language, "url": address}])


def give_password(page: Page, address: str, user, password: str = PASSWORD) -> None:
    page.goto(f"{address}/admin/login/")
    page.fill("input[name=username]", user.username)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")


@pytest.mark.parametrize("language", LANGUAGES)
def test_person_sets_up_the_app_and_logs_in_with_it(live_web: WebServer, browser_page: Page, language: str) -> None:
    page = browser_page
    person = make_staff(password=PASSWORD)
    speak(page, live_web.url, language)
    give_password(page, live_web.url, person)
    page.wait_for_url("**/admin/")
    page.goto(f"{live_web.url}/admin/account/second-factor/")
    assert page.get_attribute("html", "lang") == language
    assert page.evaluate("document.querySelector('.hi-qr').naturalWidth") > 100
    phone = Phone.that_read(page.content())
    page.fill("input[name=code]", phone.code())
    page.click("#enrol-form button[type=submit]")
    page.wait_for_selector("#recovery-codes")
    page.context.clear_cookies()
    TOTPDevice.objects.update(last_t=-1)

    speak(page, live_web.url, language)
    give_password(page, live_web.url, person)
    page.wait_for_url("**/admin/login/code/")
    page.fill("input[name=code]", phone.code())
    page.click("#code-form button[type=submit]")

    page.wait_for_url("**/admin/")
    assert page.get_attribute("html", "lang") == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_locked_out_person_reads_for_how_long(
    live_web: WebServer, browser_page: Page, expected_complaints: list[str], language: str
) -> None:
    expected_complaints.append("status of 429")
    person = make_staff(password=PASSWORD)
    speak(browser_page, live_web.url, language)

    for _ in range(5):
        give_password(browser_page, live_web.url, person, "wrong")

    assert browser_page.get_attribute("html", "lang") == language
    assert "15" in browser_page.inner_text("#page")


def test_administrator_resets_a_lost_phone_from_the_users_page(live_web: WebServer, browser_page: Page) -> None:
    from tests.makers import make_superuser

    person = make_staff(password=PASSWORD)
    enrolled(person)
    boss = make_superuser(password=PASSWORD)
    give_password(browser_page, live_web.url, boss)
    browser_page.wait_for_url("**/admin/")
    browser_page.goto(f"{live_web.url}/admin/auth/user/{person.pk}/change/")
    browser_page.click("form[action$='reset-now/'] button")
    browser_page.wait_for_selector("text=Second factor removed")
    assert second_factor.authenticator_of(person) is None
