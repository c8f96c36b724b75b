"""Asking a miner now, from its page, over a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cgminer.address import Address
from cgminer.errors import MinerReplyError, MinerTimeout
from cgminer.poll import Outcome, Target
from cgminer.simulator import MinerSpec, SimulatedFleet
from miners.models import Miner
from sites.models import Site
from telemetry.models import MinerRawReply, MinerTelemetryHistory
from telemetry.poller import poll_site
from telemetry.probe import probe_within
from telemetry.raw_replies import Heard, readable, store_replies
from tests.commands.fleet import Farm
from tests.makers import make_live, make_miner, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm("Antminer S19", network="127.0.61") as farm:
        yield farm


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []
        threading.Thread(target=lambda: kept.append(server.accept()[0]), daemon=True).start()
        yield server.getsockname()[1]
        for connection in kept:
            connection.close()


def probe(client: Client, miner: Miner) -> str:
    answer = client.post(reverse("console:miner_probe", args=[miner.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def page(client: Client, miner: Miner) -> str:
    return client.get(reverse("console:miner", args=[miner.pk])).content.decode()


def test_probe_shows_the_raw_reply_and_stores_nothing(client: Client, farm: Farm) -> None:
    client.force_login(make_superuser())
    html = probe(client, farm.miners[0])
    assert "GHS av" in html or "GHS 5s" in html
    assert "hashrate_ghs" in html
    assert not MinerTelemetryHistory.objects.exists()


def test_probe_of_a_dead_miner_says_what_happened(client: Client) -> None:
    client.force_login(make_superuser())
    assert "refused" in probe(client, make_miner(ip_address="127.9.9.9", port=1))


def test_probe_asks_at_the_port_of_a_newer_firmware_when_the_old_one_is_closed(client: Client) -> None:
    client.force_login(make_superuser())
    spec = MinerSpec(miner_id="w1", host="127.0.62.1", port=4433, model="Whatsminer M60")
    with SimulatedFleet([spec], latency=(0, 0)):
        html = probe(client, make_miner(ip_address=spec.host))
    assert "get.miner.status summary+pools+edevs" in html
    assert "M60_VK30" in html
    assert not any(chr(code) in html for code in range(1, 9))


def test_probe_of_a_machine_with_both_ports_closed_names_both(client: Client) -> None:
    client.force_login(make_superuser())
    assert "127.9.9.9:4028: refused the connection, and so did port 4433" in probe(client, make_miner(ip_address="127.9.9.9"))


def test_probe_does_not_ask_at_the_server_itself(client: Client, farm: Farm, settings) -> None:
    settings.LOCAL_MINERS = False
    client.force_login(make_superuser())
    html = probe(client, farm.miners[0])
    assert "this is the server itself" in html
    assert "GHS" not in html


def test_probe_gives_up_in_time(silent_port: int) -> None:
    started = time.monotonic()
    with pytest.raises(MinerTimeout):
        probe_within(Address("127.0.0.1", silent_port), seconds=0.5)
    assert time.monotonic() - started < 2


def test_miner_behind_a_collector_is_not_asked_and_the_page_says_why(client: Client) -> None:
    miner = make_miner(make_site(collection=Site.Collection.COLLECTOR))
    client.force_login(make_superuser())
    assert "collector reads this miner" in probe(client, miner)
    html = page(client, miner)
    assert "collector reads this miner" in html
    assert "Probe now" not in html


def test_who_may_only_look_may_not_probe(client: Client) -> None:
    miner = make_miner()
    client.force_login(make_staff(sites=(miner.site,), permissions=("miners.view_miner",)))
    assert client.post(reverse("console:miner_probe", args=[miner.pk])).status_code == 403


def test_miner_of_another_site_does_not_exist(client: Client) -> None:
    client.force_login(make_staff(sites=(make_site(),), permissions=("miners.view_miner", "commands.can_restart")))
    assert client.post(reverse("console:miner_probe", args=[make_miner().pk])).status_code == 404


def test_a_link_does_not_probe(client: Client) -> None:
    client.force_login(make_superuser())
    assert client.get(reverse("console:miner_probe", args=[make_miner().pk])).status_code == 405


def test_newest_reading_is_shown_as_it_is_stored(client: Client) -> None:
    miner = make_miner()
    make_live(miner, firmware_version="2026.03.1")
    client.force_login(make_superuser())
    html = page(client, miner)
    assert "&quot;firmware_version&quot;: &quot;2026.03.1&quot;" in html


@pytest.mark.parametrize(
    "raw",
    [
        b'{"Pass":"hunter2","URL":"x"}',
        b'{"password": "hunter2"}',
        b'{"admin_pwd": "hunter2"}',
        b'{"api_key":"hunter2"}',
        b"POOL=0,Password=hunter2,User=x|",
        b'{"token": "hunter2"}',
    ],
)
def test_passwords_in_a_reply_are_blacked_out(raw: bytes) -> None:
    text = readable(raw)
    assert "hunter2" not in text
    assert "***" in text


def test_reply_without_its_password_still_reads_line_by_line() -> None:
    text = readable(b'{"Pass":"hunter2","URL":"x"}\0')
    assert Heard(command="pools", size_bytes=29, text=text).indented == '{\n  "Pass": "***",\n  "URL": "x"\n}'


def test_hostile_reply_is_blacked_out_in_no_time() -> None:
    started = time.monotonic()
    readable(b"pass" * 16_000 + b'"' * 1_000)
    assert time.monotonic() - started < 1


def test_page_shows_the_reply_the_poller_kept_and_how_old_it_is(client: Client, farm: Farm) -> None:
    miner = farm.miners[0]
    client.force_login(make_superuser())
    assert "No reply is kept yet" in page(client, miner)
    poll_site(miner.site, now=timezone.now())
    MinerRawReply.objects.filter(miner=miner).update(received_at=timezone.now() - timedelta(hours=3))
    html = page(client, miner)
    assert "3 h 0 min ago" in html
    assert "&quot;GHS" in html


def test_page_says_why_a_kept_reply_could_not_be_read(client: Client) -> None:
    miner = make_miner()
    target = Target(miner.pk, Address("127.0.0.1", 1))
    error = MinerReplyError("not a miner's words")
    raw = {"summary": b"<html>"}
    store_replies([Outcome(target=target, error=error, raw=raw, attempts=1, finished_at=timezone.now())])
    client.force_login(make_superuser())
    html = page(client, miner)
    assert "It could not be read: not a miner&#x27;s words" in html
    assert "&lt;html&gt;" in html
