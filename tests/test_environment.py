"""What tests themselves stand on."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from playwright.sync_api import Page, expect

from tests.environment import chosen_services
from tests.makers import make_site, make_superuser
from tests.servers import PostgreSQLServer, RedisServer
from tests.web import WebServer


@pytest.mark.django_db
def test_database_is_the_one_that_was_asked_for():
    assert connection.vendor == chosen_services()


@pytest.mark.once
@pytest.mark.django_db
def test_sqlite_is_a_file_with_a_write_ahead_log():
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.postgresql
def test_cache_is_a_redis_that_answers():
    cache.set("greeting", "hello", timeout=60)
    assert cache.get("greeting") == "hello"
    assert redis.Redis.from_url(settings.REDIS_URL).dbsize() == 1


@pytest.mark.once
def test_settings_of_a_developer_are_out_of_sight():
    code = "import os; from tests.environment import forget_developer_settings; corner = os.environ['HASHINSIGHT_DATA_DIR']; "
    code += "forget_developer_settings(); os.environ['HASHINSIGHT_DATA_DIR'] = corner; "
    code += "from hashinsight import settings; print(settings.HASHINSIGHT_HTTPS)"
    environment = {**os.environ, "HASHINSIGHT_HTTPS": "true"}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "text", "needed"),
    [
        ("HASHINSIGHT_POLL_ATTEMPTS", "three", "a whole number"),
        ("DATABASE_STATEMENT_TIMEOUT", "", "a whole number"),
        ("DEBUG", "ja", "True"),
    ],
)
def test_setting_that_is_not_understood_is_named(name: str, text: str, needed: str):
    run = [sys.executable, "manage.py", "check"]
    shown = subprocess.run(run, cwd=settings.BASE_DIR, env={**os.environ, name: text}, capture_output=True, text=True)
    assert shown.returncode == 1
    assert shown.stderr.startswith(f'Configuration: {name} is "{text}", which is not {needed}')
    assert shown.stderr.count("\n") == 1


@pytest.mark.once
@pytest.mark.parametrize(
    ("url", "command", "cure"),
    [
        ("sqlite:////{0}/new.sqlite3", "poll_miners", "run manage.py migrate"),
        ("sqlite:////{0}/new.sqlite3", "prune_telemetry", "run manage.py migrate"),
        ("postgres://nobody@127.0.0.1:1/none", "list_collector_keys", "check DATABASE_URL"),
    ],
)
def test_command_without_a_usable_database_says_so_in_one_line(tmp_path: Path, url: str, command: str, cure: str):
    environment = {**os.environ, "DATABASE_URL": url.format(str(tmp_path).strip("/"))}
    run = [sys.executable, "manage.py", command]
    shown = subprocess.run(run, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert shown.returncode == 1
    assert shown.stderr.startswith("Database: ")
    assert cure in shown.stderr
    assert shown.stderr.count("\n") == 1


@pytest.mark.once
def test_psycopg_3_is_not_installed():
    assert importlib.util.find_spec("psycopg") is None, "Django uses psycopg 3 silently when it can be imported: pip uninstall psycopg"


def test_child_process_sees_what_the_test_wrote(child_environment: dict[str, str]):
    make_site("visible-to-children")
    code = "import django; django.setup(); from sites.models import Site; print(Site.objects.get().code)"
    environment = {**child_environment, "DJANGO_SETTINGS_MODULE": "hashinsight.settings"}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "visible-to-children"


def test_browser_logs_in_to_the_real_web_server(live_web: WebServer, browser_page: Page):
    user = make_superuser(password="correct horse")
    browser_page.goto(f"{live_web.url}/admin/")
    browser_page.fill("input[name=username]", user.username)
    browser_page.fill("input[name=password]", "correct horse")
    browser_page.click("button[type=submit]")
    expect(browser_page).to_have_url(f"{live_web.url}/admin/")


@pytest.mark.once
class TestServers:
    def test_postgresql_keeps_what_was_committed_over_a_crash(self, postgresql_server: PostgreSQLServer):
        postgresql_server.execute("CREATE TABLE kept AS SELECT 1 AS value")
        postgresql_server.execute("CHECKPOINT")
        postgresql_server.kill()
        with pytest.raises(psycopg2.OperationalError, match="refused"):
            psycopg2.connect(postgresql_server.url())
        postgresql_server.start()
        postgresql_server.execute("DROP TABLE kept")

    def test_paused_postgresql_accepts_and_never_answers(self, postgresql_server: PostgreSQLServer):
        postgresql_server.pause()
        with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
            psycopg2.connect(postgresql_server.url(), connect_timeout=2)
        postgresql_server.resume()
        postgresql_server.execute("SELECT 1")

    def test_paused_redis_accepts_and_never_answers(self, redis_server: RedisServer):
        client = redis.Redis(port=redis_server.port, socket_timeout=0.2, retry=None)
        redis_server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        redis_server.resume()
        assert client.ping()
        client.close()

    def test_server_that_cannot_start_says_why(self, server_directory: Path):
        server = RedisServer(server_directory)
        server.port = 70_000
        with pytest.raises(Exception, match="redis did not start"):
            server.start()
