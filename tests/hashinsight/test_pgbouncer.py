"""The web server behind a real PgBouncer that lends connections by the transaction, as docs/operations.md tells to set it up."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
import requests
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from miners.models import Miner
from telemetry.models import MinerTelemetryHistory
from tests.makers import make_key, make_site, make_superuser
from tests.servers import Server, die_with_parent
from tests.web import WebServer

PGBOUNCER = Path("/usr/sbin/pgbouncer")
UPLOADS, RECORDS, POOL = 16, 50, 3

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not PGBOUNCER.exists(), reason=f"no PgBouncer: {PGBOUNCER} is missing (apt-get install pgbouncer)"),
]


class PgBouncer(Server):
    """Three connections to the test's database for everybody."""

    name = "pgbouncer"

    @property
    def url(self) -> str:
        return f"postgres://anybody:@127.0.0.1:{self.port}/farm?DISABLE_SERVER_SIDE_CURSORS=True"

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        at = connection.settings_dict
        target = f"host={at['HOST']} port={at['PORT']} dbname={at['NAME']} user={at['USER']} password={at['PASSWORD']}"
        lines = [
            "[databases]",
            f"farm = {target}",
            "[pgbouncer]",
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any",
            f"pool_mode = transaction\nignore_startup_parameters = options\ndefault_pool_size = {POOL}\n",
        ]
        (self.directory / "pgbouncer.ini").write_text("\n".join(lines))
        nobody = pwd.getpwnam("nobody").pw_name  # it refuses to run as root
        command = [str(PGBOUNCER), "-u", nobody, str(self.directory / "pgbouncer.ini")]
        return subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent(self.death_signal))

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url.partition("?")[0], connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


@pytest.fixture
def web(child_environment: dict[str, str], server_directory: Path) -> Iterator[WebServer]:
    (server_directory / "web").mkdir()
    with (
        PgBouncer(server_directory) as pooler,
        WebServer(server_directory / "web", {**child_environment, "DATABASE_URL": pooler.url, "WEB_CONCURRENCY": "2"}) as web,
    ):
        yield web
        print(web.log.read_text()[-3_000:], pooler.log.read_text()[-2_000:])  # noqa: T201 - shown when the test fails


def test_more_threads_than_connections_upload_and_look_at_once(web: WebServer) -> None:
    secret, began = make_key(make_site("north"))[1], timezone.now()
    client = Client()
    client.force_login(make_superuser())
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}

    def upload(number: int) -> int:
        moment = (began - timedelta(minutes=number)).isoformat()
        records = [{"miner_id": f"m{at}", "timestamp": moment, "online": True} for at in range(RECORDS)]
        return requests.post(f"{web.url}/api/collector/upload", json=records, headers={"X-Collector-Key": secret}, timeout=30).status_code

    def look(path: str) -> int:
        return requests.get(f"{web.url}/admin/{path}", cookies=cookies, timeout=30).status_code

    with ThreadPoolExecutor(UPLOADS) as pool:
        uploads = [pool.submit(upload, number) for number in range(UPLOADS)]
        looks = [pool.submit(look, path) for path in ("", "miners/miner/", "sites/site/", "telemetry/readings/")]
    assert {future.result() for future in uploads + looks} == {200}
    assert Miner.objects.count() == RECORDS
    assert MinerTelemetryHistory.objects.count() == UPLOADS * RECORDS
    # Read in parts, which PostgreSQL's own cursors would need one connection for.
    address = web.url + reverse("admin:miners_miner_export")
    token = {"csrftoken": requests.get(address, cookies=cookies, timeout=30).cookies["csrftoken"]}
    form = {"csrfmiddlewaretoken": token["csrftoken"], "resource": "0", "format": "0", "listed_miner_id": "on"}
    export = requests.post(address, form, cookies={**cookies, **token}, headers={"Referer": address}, timeout=30)
    assert export.text.count("\n") == RECORDS + 1
