"""What staff see in the console, page by page, from rows that came through ingest."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from commands.models import CommandStatus
from miners.models import Miner
from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.readings import Board, Pool, Upload
from telemetry.rollups import roll_up
from tests.makers import make_command, make_miner, make_miner_model, make_miners, make_reading, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


def viewer(client: Client, *sites: Site) -> Client:
    """A client of staff who may look at everything, in `sites` only."""
    user: User = make_staff(sites=sites)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def read(site: Site, *miner_ids: str, **fields: object) -> None:
    """One reading of each miner, as a collector brings it."""
    now = timezone.now()
    readings = [make_reading(miner_id, **{"timestamp": now, **fields}) for miner_id in miner_ids]
    upload = Upload(key_id=None, client_address="127.0.0.1", size_bytes=1, received=len(readings))
    ingest_readings(site, readings, source=Source.COLLECTOR, received_at=now, upload=upload)


def page(client: Client, name: str, *args: object, **query: object) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")


# The overview


def test_overview_adds_up_the_sites(operator: Client) -> None:
    model = make_miner_model(hashrate_ghs=100_000.0)
    for code in ("east", "west"):
        site = make_site(code)
        make_miner(site, "m1", model=model)
        read(site, "m1", hashrate_ghs=90_000.0, power_consumption=3_000.0)
    html = page(operator, "admin:index")
    assert "180.0 TH/s" in html
    assert "90 % of 200.0 TH/s expected" in html
    assert "6.00 kW" in html


def test_site_that_loses_most_stands_first(operator: Client) -> None:
    model = make_miner_model(hashrate_ghs=100_000.0)
    for code, hashrate in (("well", 99_000.0), ("ill", 20_000.0)):
        site = make_site(code)
        make_miner(site, "m1", model=model)
        read(site, "m1", hashrate_ghs=hashrate)
    html = page(operator, "console:overview")
    assert html.index("Farm ill") < html.index("Farm well")


def test_silent_site_does_not_look_healthy(operator: Client) -> None:
    site = make_site(interval_seconds=60)
    make_miner(site, "m1")
    read(site, "m1", timestamp=timezone.now() - timedelta(minutes=4))
    html = page(operator, "admin:index")
    assert "1 stale" in html
    assert "94.80 TH/s" not in html


def test_fresh_installation_shows_the_first_steps(operator: Client) -> None:
    html = page(operator, "admin:index")
    assert "Add a site" in html
    assert "See the first reading" in html
    assert reverse("console:import_miners") in html


def test_first_steps_are_not_offered_to_who_may_not_take_them(client: Client) -> None:
    client.force_login(User.objects.create(username="viewer", is_staff=True))
    assert reverse("admin:sites_site_add") not in page(client, "admin:index")


def test_collector_that_stopped_is_called_silent(operator: Client) -> None:
    site = make_site(collection=Site.Collection.COLLECTOR, interval_seconds=10)
    read(site, "m1")
    site.upload_logs.update(upload_time=timezone.now() - timedelta(minutes=10))
    assert "silent" in page(operator, "admin:index")


def test_overview_says_that_no_job_has_run(operator: Client) -> None:
    make_site()
    assert "no job has run yet" in page(operator, "admin:index")


# A site and a miner


def test_site_page_lists_what_to_look_at_first(operator: Client) -> None:
    site = make_site()
    model = make_miner_model(hashrate_ghs=100_000.0)
    for name in ("well", "weak", "gone"):
        make_miner(site, name, model=model)
    read(site, "well", hashrate_ghs=99_000.0)
    read(site, "weak", hashrate_ghs=50_000.0)
    read(site, "gone", online=False, hashrate_ghs=None, error_type="timeout")
    html = page(operator, "console:site", site.pk)
    assert html.index(">gone<") < html.index(">weak<")
    assert ">well<" not in html


def test_links_under_the_head_of_a_site_lead_to_its_parts(operator: Client) -> None:
    site = make_site()
    make_miner(site, "m1")

    html = page(operator, "console:site", site.pk)

    assert re.findall(r'<a href="#([\w-]+)"', html.partition("hi-jumps")[2].partition("</nav>")[0]) == ["floor", "charts", "site-lists"]
    assert [html.count(f'id="{part}"') for part in ("floor", "charts", "site-lists")] == [1, 1, 1]


def test_empty_site_says_how_miners_come(operator: Client) -> None:
    polled, fed = make_site("polled"), make_site("fed", collection=Site.Collection.COLLECTOR)
    assert reverse("console:search_network", args=[polled.pk]) in page(operator, "console:site", polled.pk)
    assert "Make a collector key" in page(operator, "console:site", fed.pk)


def test_miner_page_shows_boards_and_pools(operator: Client) -> None:
    site = make_site()
    boards = [Board(id=0, hashrate=47_000.0, temp=71.0, chips_ok=76, chips_total=76), Board(id=1, hashrate=0.0, chips_ok=0, chips_total=76)]
    pools = [Pool(url="stratum+tcp://pool.example:3333", user="farm.1", status="alive", active=True)]
    read(site, "m1", boards=boards, pools=pools, fan_speeds=[5_010, 5_020])
    html = page(operator, "console:miner", Miner.objects.get().pk)
    assert "47.00 TH/s" in html
    assert "0 / 76" in html
    assert "stratum+tcp://pool.example:3333" in html
    assert "5,010 · 5,020 rpm" in html


def test_miner_never_seen_says_how_to_try_it(operator: Client) -> None:
    miner = make_miner(ip_address="127.9.9.9")
    assert "probe_miner 127.9.9.9:4028" in page(operator, "console:miner", miner.pk)


def test_timeline_shows_the_commands_of_the_miner(operator: Client) -> None:
    command = make_command(make_miner(), status=CommandStatus.FAILED, result_message="connection refused")
    assert "connection refused" in page(operator, "console:miner_timeline", command.miner_id)


# Charts


def test_chart_of_a_site_has_a_gap_where_nothing_was_read(operator: Client) -> None:
    site = make_site(interval_seconds=60)
    now = timezone.now()
    for minutes in (180, 60):
        read(site, "m1", timestamp=now - timedelta(minutes=minutes), hashrate_ghs=90_000.0)
    roll_up(now + timedelta(minutes=1))
    data = operator.get(reverse("console:site_series", args=[site.pk])).json()
    values = data["charts"]["hashrate"]["lines"][0]["values"]
    assert len(values) == len(data["timestamps"]) == len(data["coverage"])
    assert [value for value in values if value is not None] == [90.0, 90.0]


def test_chart_of_a_new_site_begins_with_it_and_misses_nothing_before(operator: Client) -> None:
    site = make_site(interval_seconds=60)
    now = timezone.now()
    for minutes in range(20):
        read(site, "m1", timestamp=now - timedelta(minutes=minutes), hashrate_ghs=90_000.0)
    roll_up(now + timedelta(minutes=1))
    data = operator.get(reverse("console:site_series", args=[site.pk])).json()
    assert data["end"] - data["start"] < 26 * 60
    assert "0 %" not in data["coverage_text"].split()


def test_chart_refuses_a_span_it_does_not_know(operator: Client) -> None:
    address = reverse("console:site_series", args=[make_site().pk])
    assert [operator.get(address, {"hours": hours}).status_code for hours in ("2", "-1", "day", "999999999")] == [404] * 4


def test_chart_of_the_farm_adds_up_the_sites_of_the_user(client: Client) -> None:
    own, other = make_site("own"), make_site("other")
    for site in (own, other):
        read(site, "m1", hashrate_ghs=90_000.0)
    roll_up(timezone.now() + timedelta(minutes=1))
    data = viewer(client, own).get(reverse("console:farm_series")).json()
    assert max(value or 0 for value in data["charts"]["hashrate"]["lines"][0]["values"]) == 90.0


def test_floor_map_stands_in_the_order_of_the_floor(operator: Client) -> None:
    site = make_site()
    for rack, slot in (("R10", "1"), ("R2", "10"), ("R2", "9"), ("", "")):
        make_miner(site, f"{rack}-{slot}", zone="A", rack=rack, slot=slot)
    floor = operator.get(reverse("console:site_floor", args=[site.pk])).json()
    names = [[cell[1] for cell in rack["cells"]] for zone in floor["zones"] for rack in zone["racks"]]
    assert names == [["R2-9", "R2-10"], ["R10-1"]]
    assert [cell[1] for cell in floor["tray"]] == ["-"]


# Readings


def test_readings_of_a_miner_go_on_page_by_page(operator: Client) -> None:
    site = make_site()
    start = timezone.now() - timedelta(hours=5)
    readings = [make_reading("m1", timestamp=start + timedelta(minutes=minute)) for minute in range(150)]
    ingest_readings(site, readings, source=Source.POLLER, received_at=timezone.now())
    first = operator.get(reverse("console:readings"), {"miner": "m1"})
    second = operator.get(reverse("console:readings") + first.context["next_address"])
    shown = [row.timestamp for answer in (first, second) for row in answer.context["rows"]]
    assert shown == sorted((reading.timestamp for reading in readings), reverse=True)


def test_readings_without_a_miner_show_each_miner_at_that_moment(operator: Client) -> None:
    site = make_site()
    noon = timezone.now() - timedelta(hours=3)
    for minutes, hashrate in ((-5, 80_000.0), (-1, 81_000.0), (5, 99_000.0)):
        read(site, "m1", timestamp=noon + timedelta(minutes=minutes), hashrate_ghs=hashrate)
    html = page(operator, "console:readings", until=f"{noon:%Y-%m-%d %H:%M:%S}")
    assert "81.00 TH/s" in html
    assert "80.00 TH/s" not in html
    assert "99.00 TH/s" not in html


@pytest.mark.parametrize("query", [{"next": "nonsense", "miner": "m1"}, {"next": "2026-99-99T00:00"}, {"next": "9" * 40}, {"site": "999"}])
def test_readings_page_survives_a_mangled_address(operator: Client, query: dict[str, str]) -> None:
    read(make_site(), "m1")
    assert operator.get(reverse("console:readings"), query).status_code == 200


# Whose sites


PAGES_OF_A_SITE = ["console:site", "console:site_live", "console:site_series", "console:site_floor"]
PAGES_OF_A_MINER = ["console:miner", "console:miner_live", "console:miner_series", "console:miner_timeline"]
LISTS = [
    "admin:index",
    "console:overview",
    "console:readings",
    "admin:sites_site_changelist",
    "admin:sites_collectorkey_changelist",
    "admin:miners_miner_changelist",
    "admin:telemetry_minertelemetrylive_changelist",
    "admin:telemetry_collectoruploadlog_changelist",
    "admin:commands_minercommand_changelist",
]


@pytest.fixture
def two_sites() -> tuple[Site, Site]:
    sites = make_site("mine", name="Mine"), make_site("theirs", name="Theirs", collection=Site.Collection.COLLECTOR)
    for site in sites:
        read(site, f"miner-of-{site.code}")
        make_command(site.miners.get())
    return sites


@pytest.mark.parametrize("name", LISTS)
def test_list_shows_only_the_sites_of_the_user(client: Client, two_sites: tuple[Site, Site], name: str) -> None:
    html = page(viewer(client, two_sites[0]), name)
    assert "Theirs" not in html
    assert "miner-of-theirs" not in html


@pytest.mark.parametrize("name", PAGES_OF_A_SITE)
def test_page_of_another_site_does_not_exist_for_the_user(client: Client, two_sites: tuple[Site, Site], name: str) -> None:
    staff = viewer(client, two_sites[0])
    assert [staff.get(reverse(name, args=[site.pk])).status_code for site in two_sites] == [200, 404]


@pytest.mark.parametrize("name", PAGES_OF_A_MINER)
def test_page_of_a_miner_of_another_site_does_not_exist_for_the_user(client: Client, two_sites: tuple[Site, Site], name: str) -> None:
    staff = viewer(client, two_sites[0])
    assert [staff.get(reverse(name, args=[site.miners.get().pk])).status_code for site in two_sites] == [200, 404]


@pytest.mark.parametrize("name", ["console:readings", *LISTS[3:]])
def test_staff_without_the_permission_are_refused(client: Client, name: str) -> None:
    client.force_login(make_staff(sites=(make_site(),)))
    assert client.get(reverse(name)).status_code == 403


@pytest.mark.parametrize("name", ["admin:index", "console:overview", "console:farm_series", "console:readings"])
def test_nobody_sees_anything_without_logging_in(client: Client, name: str) -> None:
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("admin:login"))


def test_command_palette_finds_miners_of_the_own_sites_only(client: Client, two_sites: tuple[Site, Site]) -> None:
    html = viewer(client, two_sites[0]).get(reverse("admin:search"), {"s": "MINER-OF", "extended": "1"}).content.decode()
    assert "miner-of-mine" in html
    assert "miner-of-theirs" not in html


def test_command_palette_forgets_a_site_that_was_taken_away(client: Client, two_sites: tuple[Site, Site]) -> None:
    person = viewer(client, two_sites[0])
    asked = {"s": "MINER-OF", "extended": "1"}
    assert "miner-of-mine" in person.get(reverse("admin:search"), asked).content.decode()
    User.objects.get().sites.clear()
    assert "miner-of-mine" not in person.get(reverse("admin:search"), asked).content.decode()


def test_command_palette_answers_whatever_is_typed(operator: Client) -> None:
    for term in ("", "   ", "\0", "x" * 5_000, "%", "'"):
        assert operator.get(reverse("admin:search"), {"s": term, "extended": "1", "page": "x"}).status_code == 200


# Size


@pytest.mark.parametrize("count", [3, 120])
@pytest.mark.parametrize("name", [*LISTS, "console:site", "console:miner"])
def test_page_needs_few_queries_whatever_the_size(operator: Client, django_assert_max_num_queries, name: str, count: int) -> None:
    site = make_site(collection=Site.Collection.COLLECTOR)
    make_miners(site, count, model=make_miner_model())
    read(site, *Miner.objects.values_list("miner_id", flat=True))
    for miner in Miner.objects.all()[:count]:
        make_command(miner)
    args = {"console:site": [site.pk], "console:miner": [Miner.objects.first().pk]}.get(name, [])
    with django_assert_max_num_queries(30):
        page(operator, name, *args)
