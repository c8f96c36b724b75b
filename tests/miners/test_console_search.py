"""Searching for miners in the console: asked for at a site, run by the cluster, looked at, taken into the inventory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from cgminer.simulator import MinerSpec, SimulatedFleet
from hashinsight.schedules import ALLOWED_CALLABLES
from miners.models import Miner, NetworkSearch
from miners.tasks import run_search
from sites.changes import read_changes
from sites.models import Site
from tests.makers import make_miner, make_miner_model, make_site, make_staff
from tests.ports import free_port

pytestmark = pytest.mark.django_db
PERMISSIONS = ("sites.view_site", "miners.view_miner", "miners.add_miner", "miners.change_miner")


@pytest.fixture
def site() -> Site:
    return make_site("A", name="North")


@pytest.fixture
def operator(client: Client, site: Site) -> Client:
    client.force_login(make_staff("ann", sites=(site,), permissions=PERMISSIONS))
    return client


def start(site: Site) -> str:
    return f"/admin/sites/site/{site.pk}/overview/search/"


def page(search: NetworkSearch) -> str:
    return f"/admin/miners/search/{search.pk}/"


def asked(client: Client, site: Site, ranges: str, *, port: int = 4028) -> NetworkSearch:
    response = client.post(start(site), {"ranges": ranges, "port": port})
    search = NetworkSearch.objects.latest("pk")
    assert response.url == page(search)
    return search


def test_what_is_found_is_shown_and_taken_into_the_inventory_once_somebody_says_so(operator, site):
    make_miner_model("Antminer S19")
    port = free_port()
    make_miner(site, "moved", ip_address="127.0.81.77", port=port, worker_name="farm.m2")
    specs = [MinerSpec(miner_id=f"m{number}", host=f"127.0.81.{number}", port=port, seed=number) for number in (1, 2)]
    search = asked(operator, site, "127.0.81.0/29\n127.0.81.12", port=port)
    assert OrmQ.objects.get().func() in ALLOWED_CALLABLES
    with SimulatedFleet(specs, latency=(0, 0)):
        run_search(search.pk)

    html = operator.get(page(search)).content.decode()
    assert "2 miners found" in html
    assert "7 addresses asked in 127.0.81.0/29, 127.0.81.12" in html
    assert f"127.0.81.1:{port}" in html
    assert f"127.0.81.77:{port}" in html, "where the moved one was"
    assert Miner.objects.count() == 1, "nothing is stored before"

    operator.post(page(search))
    operator.post(page(search))
    assert set(Miner.objects.values_list("ip_address", flat=True)) == {"127.0.81.1", "127.0.81.2"}
    assert Miner.objects.get(miner_id="moved").ip_address == "127.0.81.2"
    assert "taken into the inventory" in operator.get(page(search)).content.decode()
    assert read_changes(Miner.changes.filter(miner_id="moved").order_by("-pk"))[0].who == "ann"


def test_range_that_cannot_be_searched_is_refused_beside_its_field(operator, site):
    for ranges, reason in (
        ("8.8.8.0/24", "public internet"),
        ("10.0.0.0/8", "the largest range is a /16"),
        ("farm", "not an address range"),
    ):
        response = operator.post(start(site), {"ranges": ranges, "port": 4028})
        assert reason in response.content.decode()
    assert not NetworkSearch.objects.exists()


def test_server_itself_is_not_asked_and_that_is_said(operator, site, settings):
    settings.LOCAL_MINERS = False
    assert "this server itself" in operator.post(start(site), {"ranges": "127.0.0.1", "port": 4028}).content.decode()


def test_how_far_it_is_is_shown_and_that_nobody_searches(operator, site):
    search = asked(operator, site, "10.0.0.0/24")
    progress = f"{page(search)}progress/"
    NetworkSearch.objects.filter(pk=search.pk).update(state="running", asked=127, answered=3)
    html = operator.get(progress).content.decode()
    assert 'aria-valuenow="50"' in html
    assert "Is the cluster running?" not in html
    NetworkSearch.objects.filter(pk=search.pk).update(touched_at=timezone.now() - timedelta(minutes=3))
    assert "Is the cluster running?" in operator.get(progress).content.decode()


def test_action_of_the_list_of_sites_leads_to_the_one_that_was_chosen(operator, site):
    action = {"action": "search_network", "_selected_action": [site.pk]}
    assert operator.post("/admin/sites/site/", action).url == start(site)


@pytest.mark.parametrize("permissions", [PERMISSIONS[:2], PERMISSIONS[:3]])
def test_who_may_not_add_and_change_miners_searches_for_none(client, site, permissions):
    client.force_login(make_staff("eve", sites=(site,), permissions=permissions))
    assert client.get(start(site)).status_code == 403
    assert "Search for miners" not in client.get(f"/admin/sites/site/{site.pk}/overview/").content.decode()


def test_search_of_another_site_does_not_exist(operator, client, site):
    search = asked(operator, site, "10.0.0.0/30")
    client.force_login(make_staff("bob", sites=(make_site("B"),), permissions=PERMISSIONS))
    for address in (start(site), page(search), f"{page(search)}progress/"):
        assert client.get(address).status_code == 404
