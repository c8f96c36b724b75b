"""Agents fetch and answer commands by both generations of the protocol; staff ask for them."""

from __future__ import annotations

import gzip
import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from commands.models import CommandStatus, CommandType, MinerCommand
from tests.makers import make_command, make_key, make_miner, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db
PENDING = ["/api/collector/commands/pending", "/api/edge/v1/commands/poll"]
ANSWER = ["/api/collector/commands/{}/result", "/api/edge/v1/commands/{}/ack"]


@pytest.fixture
def site():
    return make_site()


@pytest.fixture
def key(site):
    return {"x-collector-key": make_key(site)[1]}


@pytest.mark.parametrize("url", PENDING)
def test_an_agent_is_handed_what_its_site_waits_for(client, site, key, url):
    command = make_command(make_miner(site, "m1", zone="east"), CommandType.SET_FAN, params={"speed": 70})
    body = client.get(url, headers=key).json()
    assert (body["success"], body["count"]) == (True, 1)
    handed = body["commands"][0]
    assert (handed["command_id"], handed["miner_id"], handed["site_id"]) == (str(command.pk), "m1", site.code)
    assert (handed["command"], handed["params"], handed["zone_id"]) == ("set_fan", {"speed": 70}, "east")
    assert client.get(url, headers=key).json()["commands"] == []


@pytest.mark.parametrize("url", PENDING)
@pytest.mark.parametrize(("query", "zone"), [("", "west"), ("?zone_id=west", ""), ("?zone_id=west", "east")])
def test_an_agent_is_handed_its_own_zone_whether_it_names_it_in_the_query_or_in_the_header(client, site, key, url, query, zone):
    for place in ("east", "west", ""):
        make_command(make_miner(site, f"in {place}", zone=place))
    handed = client.get(url + query, headers={**key, "x-zone-id": zone}).json()["commands"]
    assert sorted(item["miner_id"] for item in handed) == ["in ", "in west"]


def test_an_agent_is_handed_the_password_that_staff_never_see(client, site, key):
    make_miner(site, "m1")
    client.force_login(make_superuser())
    params = {"pool_url": "stratum+tcp://pool.example.com:3333", "pool_user": "farm.1", "pool_password": "hunter2"}
    asked = {"site_id": site.code, "miner_id": "m1", "command": "set_pool", "params": params}
    created = client.post("/api/collector/commands", asked, content_type="application/json")
    assert created.status_code == 201
    assert "hunter2" not in created.content.decode()
    assert "hunter2" not in client.get("/api/collector/commands/history").content.decode()
    handed = client.get(PENDING[0], headers=key).json()["commands"][0]
    assert handed["params"]["pool_password"] == "hunter2"


@pytest.mark.parametrize("url", PENDING)
def test_a_look_without_a_body_takes_no_command_away(client, site, key, url):
    make_command(make_miner(site))
    assert client.head(url, headers=key).status_code == 405
    assert client.get(url, headers=key).json()["count"] == 1


@pytest.mark.parametrize("limit", ["2", "0", "-1", "many", "9999999999999999999999"])
def test_a_limit_is_kept_within_bounds(client, site, key, limit):
    for _ in range(3):
        make_command(make_miner(site))
    count = client.get(f"{PENDING[1]}?limit={limit}", headers=key).json()["count"]
    assert count == {"2": 2, "0": 1}.get(limit, 3)


@pytest.mark.parametrize("url", ANSWER)
@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"status": "COMPLETED", "result_code": 0}, CommandStatus.COMPLETED),
        ({"status": "success"}, CommandStatus.COMPLETED),
        ({"status": "skipped", "result_code": 2, "result_message": "DUPLICATE_IGNORED"}, CommandStatus.COMPLETED),
        ({"status": "Failed", "result_code": 1, "error_message": "no answer"}, CommandStatus.FAILED),
        ({"status": "timeout"}, CommandStatus.FAILED),
        ({"status": "rejected", "result_code": 3}, CommandStatus.FAILED),
        ({"status": "finished", "result_code": 0}, CommandStatus.COMPLETED),
    ],
)
def test_an_answer_ends_the_command(client, site, key, url, said, stored):
    command = make_command(make_miner(site), status=CommandStatus.SENT, sent_at=timezone.now(), deliveries=1)
    answered = client.post(url.format(command.pk), said, content_type="application/json", headers=key)
    assert (answered.status_code, answered.json()["success"]) == (200, True)
    command.refresh_from_db()
    assert command.status == stored


def test_the_same_answer_twice_is_taken_twice_and_stored_once(client, site, key):
    command = make_command(make_miner(site), status=CommandStatus.SENT, deliveries=1)
    said = {"status": "completed", "result_code": 0}
    for _ in range(2):
        assert client.post(ANSWER[0].format(command.pk), said, content_type="application/json", headers=key).status_code == 200
    assert command.events.count() == 1


def test_a_gzipped_answer_is_read(client, site, key):
    command = make_command(make_miner(site), status=CommandStatus.SENT, deliveries=1)
    packed = gzip.compress(json.dumps({"status": "completed", "before": {"uptime_seconds": 9}}).encode())
    headers = {**key, "content-encoding": "gzip"}
    assert client.post(ANSWER[1].format(command.pk), packed, content_type="application/octet-stream", headers=headers).status_code == 200
    command.refresh_from_db()
    assert command.result == {"before": {"uptime_seconds": 9}}


def test_the_answer_of_another_sites_key_finds_nothing(client):
    command = make_command(make_miner())
    other = {"x-collector-key": make_key()[1]}
    answered = client.post(ANSWER[0].format(command.pk), {"status": "completed"}, content_type="application/json", headers=other)
    assert answered.status_code == 404
    assert MinerCommand.objects.get(pk=command.pk).status == CommandStatus.PENDING


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"status": "what?"}', b"[" * 100_000, b'{"status": 5}'])
def test_an_unreadable_answer_is_refused_in_words(client, site, key, body):
    command = make_command(make_miner(site))
    answered = client.post(ANSWER[0].format(command.pk), body, content_type="application/json", headers=key)
    assert answered.status_code == 400
    assert answered.json()["error"]


def test_half_a_surrogate_pair_is_refused_in_words(client, site, key):
    command = make_command(make_miner(site, "m1"))
    said = client.post(ANSWER[0].format(command.pk), '{"status": "\\ud800"}', content_type="application/json", headers=key)
    assert (said.status_code, said.json()["error"][:18]) == (400, "Unknown status “?”")
    client.force_login(make_superuser())
    order = f'{{"site_id": "{site.code}", "miner_id": "m1", "command": "set_fan", "params": {{"\\ud800": 1}}}}'
    asked = client.post("/api/collector/commands", order, content_type="application/json")
    assert (asked.status_code, asked.json()["field"]) == (400, "?")


def test_an_answer_with_characters_the_database_cannot_hold_is_kept_without_them(client, site, key):
    command = make_command(make_miner(site), status=CommandStatus.SENT)
    said = '{"status": "failed", "result_message": "a\\u0000b", "before": {"a\\u0000": "\\u0000"}}'
    assert client.post(ANSWER[0].format(command.pk), said, content_type="application/json", headers=key).status_code == 200
    command.refresh_from_db()
    assert command.result_message == "ab"


def test_staff_ask_many_miners_in_one_request(client, site):
    for number in range(3):
        make_miner(site, f"m{number}")
    client.force_login(make_superuser())
    asked = {"site_id": site.code, "miner_ids": ["m0", "m1", "m2"], "command": "restart", "reason": "firmware hung"}
    created = client.post("/api/collector/commands/batch", asked, content_type="application/json")
    assert (created.status_code, created.json()["count"]) == (201, 3)
    assert MinerCommand.objects.filter(site=site, reason="firmware hung").count() == 3


def test_a_batch_that_names_an_unknown_miner_stores_nothing(client, site):
    make_miner(site, "m0")
    client.force_login(make_superuser())
    asked = {"site_id": site.code, "miner_ids": ["m0", "ghost"], "command": "restart"}
    refused = client.post("/api/collector/commands/batch", asked, content_type="application/json")
    assert (refused.status_code, refused.json()["missing"]) == (404, ["ghost"])
    assert not MinerCommand.objects.exists()


def test_staff_without_the_permission_may_not_reboot(client, site):
    make_miner(site, "m0")
    client.force_login(make_staff(sites=(site,), permissions=("commands.can_restart",)))
    asked = {"site_id": site.code, "miner_id": "m0", "command": "reboot"}
    assert client.post("/api/collector/commands", asked, content_type="application/json").status_code == 403
    assert client.post("/api/collector/commands", {**asked, "command": "restart"}, content_type="application/json").status_code == 201


def test_staff_of_another_site_neither_see_nor_ask(client, site):
    command = make_command(make_miner(site, "m0"))
    client.force_login(make_staff(sites=(make_site(),), permissions=("commands.can_restart",)))
    asked = {"site_id": site.code, "miner_id": "m0", "command": "restart"}
    assert client.post("/api/collector/commands", asked, content_type="application/json").status_code == 404
    assert client.get(f"/api/collector/commands/{command.pk}").status_code == 404
    assert client.get("/api/collector/commands/history").json()["count"] == 0


def test_a_waiting_command_can_be_cancelled_and_a_sent_one_cannot(client, site):
    waiting = make_command(make_miner(site))
    sent = make_command(make_miner(site), status=CommandStatus.SENT, deliveries=1)
    client.force_login(make_superuser())
    assert client.delete(f"/api/collector/commands/{waiting.pk}").status_code == 200
    assert client.delete(f"/api/collector/commands/{sent.pk}").status_code == 409
    assert client.delete(f"/api/collector/commands/{uuid.uuid4()}").status_code == 404


def test_history_pages_backwards_by_time(client, site):
    now = timezone.now()
    for minutes in range(3):
        make_command(make_miner(site), created_at=now - timedelta(minutes=minutes))
    client.force_login(make_superuser())
    newest = client.get("/api/collector/commands/history?limit=2").json()["commands"]
    older = client.get("/api/collector/commands/history", {"before": newest[-1]["created_at"]}).json()["commands"]
    assert (len(newest), len(older)) == (2, 1)


def test_stats_count_by_type_and_state(client, site):
    make_command(make_miner(site))
    make_command(make_miner(site), CommandType.REBOOT, status=CommandStatus.FAILED)
    client.force_login(make_superuser())
    stats = client.get("/api/collector/commands/stats").json()
    assert stats["open"] == 1
    assert {(row["command"], row["status"], row["count"]) for row in stats["by_command"]} == {
        ("restart", "pending", 1),
        ("reboot", "failed", 1),
    }
