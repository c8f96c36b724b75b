"""The console as each person wants it: language, time zone, theme, saved filters, columns."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import Display, ListColumns, SavedFilter
from tests.makers import make_command, make_live, make_miner, make_site, make_superuser

pytestmark = [pytest.mark.once, pytest.mark.django_db]
MINERS = "miners.miner"


@pytest.fixture
def person(client: Client) -> User:
    user = make_superuser()
    client.force_login(user)
    return user


def miners_page(client: Client, **query: object) -> str:
    return client.get(reverse("admin:miners_miner_changelist"), query).content.decode()


# Language, time zone, theme


def test_preferences_are_kept_for_the_person(client: Client, person: User) -> None:
    client.post(reverse("console:preferences"), {"language": "zh-hans", "timezone": "Asia/Shanghai", "theme": "dark"})
    wish = Display.objects.get(user=person)
    assert (wish.timezone, wish.theme, person.preferences.language) == ("Asia/Shanghai", "dark", "zh-hans")
    assert 'lang="zh-hans"' in client.get(reverse("console:preferences")).content.decode()


def test_time_zone_that_does_not_exist_is_refused(client: Client, person: User) -> None:
    html = client.post(reverse("console:preferences"), {"timezone": "Mars/Olympus"}).content.decode()
    assert "is not a time zone" in html
    assert not Display.objects.exists()


def test_theme_is_handed_to_the_browser(client: Client, person: User) -> None:
    Display.objects.create(user=person, theme="dark")
    client.get(reverse("admin:index"))
    assert client.cookies["hashinsight_theme"].value == "dark"


def timeline(client: Client) -> str:
    """Of a miner in Denver that was told something at noon UTC."""
    miner = make_miner(make_site(timezone="America/Denver"))
    at = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    make_command(miner, created_at=at)
    return client.get(reverse("console:miner_timeline", args=[miner.pk]), {"days": "7"}).content.decode()


def test_time_is_the_sites_and_utc_shows_on_hover(client: Client, person: User) -> None:
    html = timeline(client)
    assert " 12:00:00 UTC" in html
    assert " 05:00:00<" in html or " 06:00:00<" in html  # winter, summer


def test_own_time_zone_goes_before_the_sites(client: Client, person: User) -> None:
    Display.objects.create(user=person, timezone="Asia/Shanghai")
    assert " 20:00:00<" in timeline(client)


# Saved filters


def test_filter_is_saved_and_offered_again(client: Client, person: User) -> None:
    answer = client.post(reverse("console:save_filter"), {"list": MINERS, "name": "Hot ones", "query": "hotter=85&state=online"})
    assert answer["Location"] == reverse("admin:miners_miner_changelist") + "?hotter=85&state=online"
    html = miners_page(client)
    assert "Hot ones" in html
    assert "?hotter=85&amp;state=online" in html


def test_name_that_is_taken_is_given_the_new_filter(client: Client, person: User) -> None:
    for query in ("hotter=85", "hotter=90"):
        client.post(reverse("console:save_filter"), {"list": MINERS, "name": "Hot ones", "query": query})
    assert SavedFilter.objects.get().query == "hotter=90"


def test_filter_of_somebody_else_is_neither_shown_nor_removed(client: Client, person: User) -> None:
    other = SavedFilter.objects.create(user=make_superuser(), list_name=MINERS, name="Private", query="q=x")
    assert "Private" not in miners_page(client)
    assert client.post(reverse("console:remove_filter", args=[other.pk])).status_code == 404


def test_filter_is_removed(client: Client, person: User) -> None:
    saved = SavedFilter.objects.create(user=person, list_name=MINERS, name="Hot ones", query="hotter=85")
    client.post(reverse("console:remove_filter", args=[saved.pk]))
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize("name", ["auth.user", "nothing", "", "miners.miner/../../"])
def test_list_without_saved_filters_takes_none(client: Client, person: User, name: str) -> None:
    assert client.post(reverse("console:save_filter"), {"list": name, "name": "x", "query": ""}).status_code == 404


# Columns


def headers(html: str) -> list[str]:
    return [name for name in ("column-miner_id", "column-state", "column-pool", "column-serial_number", "column-place") if name in html]


def test_chosen_columns_are_shown_and_no_others(client: Client, person: User) -> None:
    make_live(make_miner(serial_number="SN-1"))
    client.post(reverse("console:choose_columns"), {"list": MINERS, "column": ["state", "serial_number"]})
    assert headers(miners_page(client)) == ["column-miner_id", "column-state", "column-serial_number"]


def test_usual_columns_come_back(client: Client, person: User) -> None:
    make_miner()
    ListColumns.objects.create(user=person, list_name=MINERS, columns=["serial_number"])
    client.post(reverse("console:choose_columns"), {"list": MINERS, "reset": "1"})
    assert headers(miners_page(client)) == ["column-miner_id", "column-state", "column-pool"]


def test_column_that_does_not_exist_is_left_out(client: Client, person: User) -> None:
    make_miner()
    ListColumns.objects.create(user=person, list_name=MINERS, columns=["password", "state"])
    assert headers(miners_page(client)) == ["column-miner_id", "column-state"]


def test_columns_of_one_person_are_not_anothers(client: Client, person: User) -> None:
    make_miner()
    ListColumns.objects.create(user=make_superuser(), list_name=MINERS, columns=["serial_number"])
    assert "column-serial_number" not in miners_page(client)
