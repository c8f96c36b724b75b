"""Importing miners in the console: the preview says what would change, the cluster stores it, and what cannot be used is named."""

from __future__ import annotations

import io
import time
import zipfile
from typing import TYPE_CHECKING

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_q.models import OrmQ

from cgminer.simulator import build_fleet, write_inventory
from miners import imports
from miners.inventory import apply_import, plan_import
from miners.inventory_file import read_table
from miners.models import InventoryImport, Miner
from miners.tasks import run_import
from sites.changes import read_changes
from sites.models import Site
from tests.makers import make_miner, make_miner_model, make_site, make_staff, make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db

IMPORT = "/admin/miners/miner/import/"
PERMISSIONS = ("miners.view_miner", "miners.add_miner", "miners.change_miner")
CSV = "miner_id,ip_address,rack,mac\nA-1,10.0.0.1,R2,\nA-2,10.0.0.2,R1,\nA-3,10.0.0.3,R1,\nA-4,10.0.0.300,R1,12:34\n"


@pytest.fixture
def site() -> Site:
    site = make_site("A", name="North")
    make_miner(site, "A-1", ip_address="10.0.0.1", rack="R1")
    make_miner(site, "A-2", ip_address="10.0.0.2", rack="R1")
    return site


@pytest.fixture
def operator(client: Client, site: Site) -> Client:
    client.force_login(make_staff("ann", sites=(site,), permissions=PERMISSIONS))
    return client


def upload(client: Client, site: Site, content: bytes | str, name: str = "farm.csv"):
    raw = content.encode() if isinstance(content, str) else content
    return client.post(IMPORT, {"site": site.pk, "file": SimpleUploadedFile(name, raw)})


def sheet(*lines: list) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_preview_names_no_miner_of_a_site_that_the_user_does_not_see_and_shows_notes(operator, site):
    make_miner(make_site("B"), "secret-1", mac_address="02:00:5E:10:00:1F", serial_number="SN1")

    page = operator.get(
        upload(operator, site, "miner_id,ip,mac,serial\nA-7,10.0.0.7,02005E10001F,\nA-8,10.0.0.8,,SN1\n").url
    ).content.decode()

    assert "02:00:5E:10:00:1F belongs to a miner of another site" in page
    assert "SN1 belongs to a miner of another site" in page.partition('id="import-notes"')[2]
    assert "secret-1" not in page


def test_preview_says_what_is_new_changed_unchanged_and_wrong_and_stores_nothing(operator, site):
    page = operator.get(upload(operator, site, CSV).url).content.decode()

    assert "<strong>1</strong> new" in page
    assert "<strong>1</strong> updated" in page
    assert "<strong>1</strong> unchanged" in page
    assert "<strong>1</strong> left out" in page
    assert '<span class="hi-muted">rack:</span> <del>R1</del> → <ins>R2</ins>' in page
    assert "10.0.0.300" in page
    assert "is not a MAC address" in page
    assert Miner.objects.get(miner_id="A-1").rack == "R1"
    assert not OrmQ.objects.exists()


def test_import_is_queued_once_and_stored_with_who_did_it(operator, site):
    preview = upload(operator, site, CSV).url
    operator.post(preview)
    operator.post(preview)
    kept = InventoryImport.objects.get()
    assert OrmQ.objects.count() == 1
    assert kept.state == InventoryImport.State.QUEUED

    run_import(kept.pk)

    assert sorted(Miner.objects.values_list("miner_id", "rack")) == [("A-1", "R2"), ("A-2", "R1"), ("A-3", "R1")]
    changed, added = read_changes(Miner.changes.filter(history_user__username="ann"))
    assert (changed.name, [field.after for field in changed.fields], changed.reason) == ("A-1", ["R2"], "import of farm.csv")
    assert (added.name, added.kind) == ("A-3", "+")
    page = operator.get(preview).content.decode()
    assert "12:34" in page
    kept.refresh_from_db()
    assert (kept.state, kept.added, kept.updated, kept.unchanged, kept.refused, bytes(kept.content)) == ("done", 1, 1, 1, 1, b"")


def test_second_run_of_the_same_task_does_nothing(operator, site):
    operator.post(upload(operator, site, CSV).url)
    kept = InventoryImport.objects.get()
    run_import(kept.pk)
    records = Miner.changes.count()

    assert run_import(kept.pk) == f"import {kept.pk} is not waiting"
    assert Miner.changes.count() == records


def test_history_keeps_what_the_file_does_not_name(operator, site):
    Miner.objects.filter(miner_id="A-1").update(notes="noisy fan", is_enabled=False)
    operator.post(upload(operator, site, CSV).url)

    run_import(InventoryImport.objects.get().pk)

    record = Miner.changes.filter(miner_id="A-1").first()
    assert (record.notes, record.is_enabled, record.rack) == ("noisy fan", False, "R2")
    assert Miner.objects.get(miner_id="A-1").notes == "noisy fan"


def test_spreadsheet_is_read_like_a_csv_file(operator, site):
    raw = sheet(["Miner ID", "IP address", "Port", "Rack"], ["A-9", "10.0.0.9", 4028.0, 7], [None, None, None, None])
    operator.post(upload(operator, site, raw, "farm.xlsx").url)

    run_import(InventoryImport.objects.get().pk)

    miner = Miner.objects.get(miner_id="A-9")
    assert (miner.ip_address, miner.port, miner.rack) == ("10.0.0.9", 4028, "7")


def altered(raw: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """The XLSX file with something replaced in one of its parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            assert name != part or old in content
            target.writestr(name, content.replace(old, new) if name == part else content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("xl/worksheets/sheet1.xml", b"</sheetData>", b"</c>"),
        ("xl/worksheets/sheet1.xml", b"<v>4028</v>", b"<v>many</v>"),
        ("[Content_Types].xml", b"<Types", b"<Typ"),
    ],
)
def test_broken_spreadsheet_is_refused_in_words(operator, site, part, old, new):
    raw = sheet(["miner_id", "ip_address", "port"], ["A-9", "10.0.0.9", 4028])

    answer = upload(operator, site, altered(raw, part, old, new), "farm.xlsx")

    assert "begins like an XLSX file" in answer.content.decode()
    assert not InventoryImport.objects.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "empty"),
        ("name,place\nx,y\n", "miner_id and ip_address are missing"),
        (b"PK\x03\x04rubbish", "begins like an XLSX file"),
        (b"miner_id,ip_address\n\xff\xfe\xfa\n", "not UTF-8"),
    ],
)
def test_file_of_which_nothing_can_be_used_is_refused_in_words(operator, site, content, why):
    answer = upload(operator, site, content)

    assert answer.status_code == 200
    assert why in answer.content.decode()
    assert not InventoryImport.objects.exists()


def test_command_and_console_find_the_same(operator, site):
    """Both are `plan_import`: the preview's plan is the command's."""
    upload(operator, site, CSV)

    shown, told = imports.plan_of(InventoryImport.objects.get()), plan_import(site, read_table(CSV.encode()))

    assert (shown.changes, shown.errors, shown.unchanged) == (told.changes, told.errors, told.unchanged)
    assert [miner.miner_id for miner in shown.create] == [miner.miner_id for miner in told.create] == ["A-3"]


@pytest.mark.parametrize("permissions", [("miners.view_miner",), ("miners.add_miner",), ("miners.change_miner",)])
def test_who_may_not_add_and_change_miners_imports_none(client, site, permissions):
    client.force_login(make_staff(sites=(site,), permissions=permissions))

    assert client.get(IMPORT).status_code == 403
    assert upload(client, site, CSV).status_code == 403


def test_sites_of_others_are_neither_offered_nor_accepted_nor_shown(operator, client, site):
    kept_address = upload(operator, site, CSV).url
    south = make_site("south", name="South")
    client.force_login(make_staff("bob", sites=(south,), permissions=PERMISSIONS))

    assert "North" not in client.get(IMPORT).content.decode()
    assert upload(client, site, CSV).status_code == 200
    assert InventoryImport.objects.count() == 1
    for address in (kept_address, f"{kept_address}progress/"):
        assert client.get(address).status_code == 404
    assert client.post(kept_address).status_code == 404


def test_twenty_thousand_rows_are_previewed_and_stored_within_a_minute(operator, site, tmp_path):
    make_miner_model("Antminer S19")
    path = tmp_path / "fleet.csv"
    write_inventory(build_fleet(20_000, models=[("Antminer S19", 1)]), path)
    begun = time.process_time()  # others may be at work on the machine

    preview = upload(operator, site, path.read_bytes()).url
    operator.get(preview)
    operator.post(preview)
    kept = InventoryImport.objects.get()
    run_import(kept.pk)

    assert Miner.objects.count() == 20_002
    assert Miner.changes.filter(history_type="+", history_user__username="ann").count() == 20_000
    assert time.process_time() - begun < 60


def test_progress_moves_while_it_is_stored(operator, site):
    seen = []
    rows = "".join(f"m{n},10.1.{n // 250}.{n % 250}\n" for n in range(2_500))
    plan = plan_import(site, read_table(f"miner_id,ip_address\n{rows}".encode()))

    apply_import(plan, progress=seen.append)

    assert seen == [1_000, 2_000, 2_500]


def test_import_that_nobody_takes_is_said_to_be_silent(operator, site):
    preview = upload(operator, site, CSV).url
    operator.post(preview)
    assert "Nothing has been heard" not in operator.get(preview).content.decode()

    InventoryImport.objects.update(touched_at="2026-01-01T00:00:00Z")

    assert "Nothing has been heard" in operator.get(preview).content.decode()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_operator_imports_a_file_with_an_error_and_watches_it(live_web: WebServer, browser_page: Page, tmp_path) -> None:
    site = make_site("A")
    boss = make_superuser(password="correct horse")
    path = tmp_path / "farm.csv"
    path.write_text("miner_id,ip_address\nA-1,10.0.0.1\nA-2,10.0.0.300\n")
    page = browser_page
    page.goto(f"{live_web.url}/admin/login/?next={IMPORT}")
    page.fill("input[name=username]", boss.username)
    page.fill("input[name=password]", "correct horse")
    page.click("button[type=submit]")
    page.select_option("select[name=site]", str(site.pk))
    page.set_input_files("input[name=file]", str(path))
    page.click("#import-form button[type=submit]")
    page.wait_for_selector("#import-errors")
    assert "10.0.0.300" in page.inner_text("#import-errors")
    page.click("button:has-text('Import')")
    page.wait_for_selector("#import-progress")

    run_import(InventoryImport.objects.get().pk)

    page.wait_for_selector("#import-progress a.hi-primary")
    assert page.get_attribute("[role=progressbar]", "aria-valuenow") == "100"
    page.click("#import-progress a.hi-primary")
    page.wait_for_selector("#result_list >> text=A-1")
