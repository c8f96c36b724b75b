"""`/health` says that the process lives, `/health/ready` what is missing before it can work."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import RequestFactory
from django.utils import timezone
from django_q.models import Schedule

from hashinsight import health
from resilience.models import JobLease
from sites.models import Site
from tests.makers import make_miner, make_site


def test_liveness_asks_nothing_of_the_database(client):
    answer = client.get("/health")  # without the db mark, a query would fail the test

    assert (answer.status_code, answer.json()) == (200, {"success": True, "status": "ok"})
    assert "no-store" in answer["Cache-Control"]
    assert client.head("/health").status_code == 200


@pytest.mark.parametrize("address", ["/health", "/health/"])
def test_liveness_is_for_anyone_whatever_host_they_name(client, settings, address):
    settings.ALLOWED_HOSTS = ["farm.example"]
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(address, headers={"Host": "10.1.2.3"}).status_code == 200


@pytest.fixture
def polled_site(db):
    site = make_site("north", collection=Site.Collection.SERVER, interval_seconds=60)
    make_miner(site)
    return site


def beat(name="poll:north", ago=timedelta(0)):
    JobLease.objects.update_or_create(name=name, defaults={"succeeded_at": timezone.now() - ago})


def checks(client):
    answer = client.get("/health/ready")
    return answer.status_code, answer.json()["checks"]


@pytest.mark.django_db
def test_empty_server_is_ready(client):
    answer = client.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "cache": "ok", "scheduler": "ok", "poll": "ok"},
    }


def test_recent_round_is_ready_and_an_old_one_names_the_site(client, polled_site):
    beat(ago=timedelta(seconds=100))
    assert checks(client)[0] == 200

    beat(ago=timedelta(seconds=200))
    status, found = checks(client)
    assert status == 503
    assert found["poll"].startswith("last good round of north 20")


def test_site_that_was_never_polled_is_not_ready(client, polled_site):
    status, found = checks(client)

    assert (status, found["poll"]) == (503, "last good round of north never")


def test_site_that_a_collector_feeds_needs_no_poll(client, db):
    make_miner(make_site("south", collection=Site.Collection.COLLECTOR))

    assert checks(client)[0] == 200


def test_site_whose_miners_have_no_address_needs_no_poll(client, db):
    make_miner(make_site("south"), ip_address="")

    assert checks(client)[0] == 200


@pytest.mark.django_db
def test_schedule_that_stands_in_the_past_is_a_dead_scheduler(client):
    call_command("sync_schedules")
    assert checks(client)[0] == 200

    Schedule.objects.filter(schedule_type=Schedule.MINUTES).update(next_run=timezone.now() - timedelta(minutes=10))
    status, found = checks(client)
    assert status == 503
    assert "is the cluster running?" in found["scheduler"]


@pytest.mark.django_db
def test_migration_that_was_not_applied_is_named(client):
    MigrationRecorder.Migration.objects.filter(app="sites").order_by("name").last().delete()

    status, found = checks(client)

    assert status == 503
    assert "manage.py migrate" in found["migrations"]


@pytest.mark.django_db(transaction=True)
def test_database_that_is_away_is_503_and_liveness_stays(client, monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nonexistent/nowhere")
    try:
        answer = client.get("/health/ready")
        alive = client.get("/health")
    finally:
        connection.close()

    assert (answer.status_code, answer.json()["success"]) == (503, False)
    assert answer.json()["checks"]["database"].startswith("no answer")
    assert alive.status_code == 200


@pytest.mark.django_db
def test_cache_that_forgets_is_named(client, settings):
    settings.CACHES = {**settings.CACHES, "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

    status, found = checks(client)

    assert (status, found["cache"]) == (503, "does not keep what is put into it")


def test_every_check_has_a_result_whatever_fails(db):
    assert list(health.readiness(now=timezone.now())) == ["database", "migrations", "cache", "scheduler", "poll"]


@pytest.mark.parametrize("path", ["/health", "/nosuch"])
def test_head_is_answered_with_the_length_and_no_body(path):
    asked = RequestFactory().get(path)
    answers = {}
    for method in ("GET", "HEAD"):
        environ = {**asked.environ, "REQUEST_METHOD": method}
        status: list[object] = []
        body = b"".join(get_wsgi_application()(environ, lambda *told, said=status: said.extend(told)))
        answers[method] = (status[0], dict(status[1]).get("Content-Length"), body)
    assert answers["HEAD"] == (answers["GET"][0], str(len(answers["GET"][2])), b"")
