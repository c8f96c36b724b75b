"""The layout as its pages change it: by hand, and from a file that is shown first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from hashinsight.pages import inventory
from miners.models import Miner
from sites.models import Site
from tests.makers import make_miner, make_site, make_staff, make_superuser

pytestmark = [pytest.mark.once, pytest.mark.django_db]
FILE = "miner_id,zone,rack,slot\nm1,B,R7,4\nnobody,A,R1,1\n"


@pytest.fixture
def site(client: Client) -> Site:
    client.force_login(make_superuser())
    site = make_site("north")
    make_miner(site, "m1", zone="A", rack="R1", slot="1")
    make_miner(site, "m2", zone="A", rack="R1", slot="2")
    return site


def place(client: Client, site: Site, said: Any) -> Any:
    return client.post(reverse("console:site_layout", args=[site.pk]), json.dumps(said), content_type="application/json")


def place_of(name: str) -> str:
    return Miner.objects.get(miner_id=name).place


def test_map_moves_a_miner(client: Client, site: Site) -> None:
    answer = place(client, site, {"moves": [[Miner.objects.get(miner_id="m1").pk, "A", "R2", "5"]]})
    assert answer.json() == {"moved": 1}
    assert place_of("m1") == "A / R2 / 5"


def test_picked_miners_get_a_rack_together(client: Client, site: Site) -> None:
    place(client, site, {"miners": [miner.pk for miner in Miner.objects.order_by("pk")], "zone": "C", "rack": "R1", "slot": "10"})
    assert (place_of("m1"), place_of("m2")) == ("C / R1 / 10", "C / R1 / 11")


def test_taken_slot_is_told_and_nothing_moves(client: Client, site: Site) -> None:
    answer = place(client, site, {"moves": [[Miner.objects.get(miner_id="m1").pk, "A", "R1", "2"]]})
    assert answer.status_code == 409
    assert "m2 stands there" in answer.json()["error"]
    assert place_of("m1") == "A / R1 / 1"


@pytest.mark.parametrize(
    "said",
    [
        *("text", [], {}, {"moves": 3}, {"moves": [[1]]}, {"miners": ["x"], "zone": "", "rack": "", "slot": ""}),
        {"moves": [[float("inf"), "A", "R1", "9"]]},
    ],
)
def test_nonsense_is_answered_as_such(client: Client, site: Site, said: Any) -> None:
    assert place(client, site, said).status_code == 400


def test_who_may_not_change_miners_may_not_move_them(client: Client, site: Site) -> None:
    client.force_login(make_staff(sites=(site,), permissions=("sites.view_site", "miners.view_miner")))
    assert place(client, site, {"moves": []}).status_code == 403
    assert client.get(reverse("console:site_layout_import", args=[site.pk])).status_code == 403


def test_site_of_others_does_not_exist(client: Client, site: Site) -> None:
    client.force_login(make_staff(sites=(make_site(),), permissions=("sites.view_site", "miners.change_miner")))
    assert place(client, site, {"moves": []}).status_code == 404


def test_file_is_shown_before_anything_is_stored(client: Client, site: Site) -> None:
    address = reverse("console:site_layout_import", args=[site.pk])
    html = client.post(address, {"file": SimpleUploadedFile("places.csv", FILE.encode())}).content.decode()
    assert "1 miner gets a new place" in html
    assert "Row 3, miner_id: nobody is no miner of this site" in html
    assert place_of("m1") == "A / R1 / 1"
    client.post(address, {"text": FILE, "apply": "1"})
    assert place_of("m1") == "B / R7 / 4"


def test_file_that_is_too_large_is_not_read(client: Client, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "MAX_BYTES", 2_000_000)
    file = SimpleUploadedFile("layout.csv", b"miner_id,zone\n" + b"m1,B\n" * 500_000)
    html = client.post(reverse("console:site_layout_import", args=[site.pk]), {"file": file}).content.decode()
    assert "The file is larger than 2 MB." in html


@pytest.mark.parametrize(("text", "said"), [("", "The file is empty"), ("a,b\n1,2\n", "miner_id is missing")])
def test_file_that_is_none_says_so(client: Client, site: Site, text: str, said: str) -> None:
    html = client.post(reverse("console:site_layout_import", args=[site.pk]), {"text": text}).content.decode()
    assert said in html
