"""Finding miners in their list, and doing something with all that were found."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from miners.models import Miner
from sites.models import Site
from tests.makers import make_live, make_miner, make_miners, make_site, make_superuser

pytestmark = pytest.mark.django_db
LIST = "admin:miners_miner_changelist"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


@pytest.fixture
def site() -> Site:
    """`right` mines at the right pool, `wrong` elsewhere, `late` was last seen two hours ago, `never` never."""
    site, now = make_site(), timezone.now()
    for name, pool, seen in (
        ("right", "stratum+tcp://btc.pool.example:3333", now),
        ("wrong", "stratum+tcp://other.example:3333", now),
        ("late", "stratum+tcp://btc.pool.example:3333", now - timedelta(hours=2)),
    ):
        make_live(make_miner(site, name, mac_address=f"02:00:5E:10:00:{len(name):02}"), pool_url=pool, last_online_at=seen, timestamp=seen)
    make_miner(site, "never", ip_address="10.0.3.17", serial_number="202411240001")
    return site


def found(client: Client, **query: str) -> set[str]:
    return {miner.miner_id for miner in client.get(reverse(LIST), query).context["cl"].result_list}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"pool_not": "btc.pool.example"}, {"wrong"}),
        ({"pool": "btc.pool"}, {"right", "late"}),
        ({"unseen": "3600"}, {"late"}),
        ({"unseen": "604800"}, set()),
        ({"unseen": "never"}, {"never"}),
        ({"unseen": "nonsense"}, {"right", "wrong", "late", "never"}),
        ({"q": "02-00-5e-10-00-04"}, {"late"}),
        ({"q": "02005E100004"}, {"late"}),
        ({"q": "rig"}, {"right"}),
        ({"q": "10.0.3.17:4028"}, {"never"}),
        ({"q": "202411240001"}, {"never"}),
        ({"model": "9" * 30}, set()),
    ],
)
def test_filter_leaves_the_miners_that_are_meant(operator: Client, site: Site, query: dict[str, str], names: set[str]) -> None:
    assert found(operator, **query) == names


def test_command_goes_to_all_that_match_and_not_only_to_the_page(operator: Client) -> None:
    make_miners(make_site(), 60, zone="A")
    make_miner(zone="B")
    shown = operator.get(reverse(LIST), {"zone": "A"}).context["cl"].result_list
    asked = {"action": "send_command", "select_across": "1", "index": "0", "_selected_action": [shown[0].pk]}
    html = operator.post(f"{reverse(LIST)}?zone=A", asked).content.decode()
    assert "For 60 miners" in html


def test_more_miners_than_an_address_holds_are_picked_on_the_map(operator: Client) -> None:
    make_miners(make_site(), 3_000)
    keys = ",".join(str(pk) for pk in Miner.objects.values_list("pk", flat=True))
    html = operator.post(reverse("admin:commands_minercommand_order"), {"miners": keys, "open": "1"}).content.decode()
    assert "For 3000 miners" in html
    assert "This field is required" not in html


def test_palette_finds_a_miner_by_its_mac_however_it_is_written(operator: Client, site: Site) -> None:
    html = operator.get(reverse("admin:search"), {"s": "02-00-5e-10-00-04", "extended": "1"}).content.decode()
    assert "late" in html
