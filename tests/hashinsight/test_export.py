"""Any list as a file: filtered as on the screen, of the user's own sites, harmless in a spreadsheet, row by row."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import openpyxl
import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from miners.inventory import plan_import
from miners.inventory_file import read_table
from miners.models import Miner
from sites.models import Site
from telemetry.models import TelemetryGap
from tests.hashinsight.console import export
from tests.makers import make_key, make_live, make_miner, make_miner_model, make_miners, make_site, make_staff, make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db

MINERS = "/admin/miners/miner/export/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


def body_of(answer) -> str:
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode("utf-8-sig")


def rows_of(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body_of(answer))))


def test_miners_are_exported_with_their_inventory_and_what_they_do(operator):
    miner = make_miner(make_site("A"), "A-1", model=make_miner_model("Antminer S19"), rack="R1")
    make_live(miner, hashrate_ghs=94_800.0)

    (row,) = rows_of(export(operator, MINERS))

    assert (row["miner_id"], row["model"], row["rack"], row["site__code"]) == ("A-1", "Antminer S19", "R1", "A")
    assert (row["state"], row["live__hashrate_ghs"]) == ("online", "94800.0")


def test_export_holds_what_the_list_holds(operator):
    make_miner(make_site("A"), "A-1", rack="R1")
    make_miner(Site.objects.get(), "A-2", rack="R2")

    assert [row["miner_id"] for row in rows_of(export(operator, MINERS, rack="R2"))] == ["A-2"]
    assert [row["miner_id"] for row in rows_of(export(operator, MINERS, q="A-1"))] == ["A-1"]
    assert [row["miner_id"] for row in rows_of(export(operator, MINERS, o="-1"))] == ["A-2", "A-1"]


def test_exported_list_can_be_imported_again_and_changes_nothing(operator):
    site = make_site("A")
    make_miner(site, "=A-1", ip_address="10.0.0.1", worker_name="+farm.1", zone="@hall", model=make_miner_model("Antminer S19"))
    raw = b"".join(export(operator, MINERS).streaming_content)

    plan = plan_import(site, read_table(raw))

    assert (plan.errors, plan.unchanged) == ([], 1)


@pytest.mark.parametrize("evil", ["=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\uff1dSUM(A1)", "\n=1"])
def test_no_cell_is_a_formula(operator, evil):
    make_miner(make_site(name=evil.strip()), "A-1", zone=evil)

    (row,) = rows_of(export(operator, MINERS))
    book = openpyxl.load_workbook(io.BytesIO(b"".join(export(operator, MINERS, "xlsx").streaming_content)))

    assert row["zone"] == f"'{evil}"
    assert not [cell.value for line in book.active for cell in line if cell.data_type == "f"]


def test_spreadsheet_has_numbers_as_numbers(operator):
    make_live(make_miner(make_site("A"), "A-1"), hashrate_ghs=94_800.0)

    answer = export(operator, MINERS, "xlsx")
    header, line = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active.iter_rows(values_only=True)

    assert dict(zip(header, line, strict=True))["live__hashrate_ghs"] == 94_800
    assert answer["Content-Disposition"].endswith('.xlsx"')


def test_only_the_chosen_columns_are_exported(operator):
    make_miner(make_site("A"), "A-1", rack="R1")

    assert rows_of(export(operator, MINERS, columns=("miner_id", "rack"))) == [{"miner_id": "A-1", "rack": "R1"}]


def test_file_for_programs_has_numbers_and_nothing_as_they_are(operator):
    make_live(make_miner(make_site("A"), "=A-1"), hashrate_ghs=94_800.0, power_consumption=None)
    columns = ("miner_id", "live__hashrate_ghs", "live__power_consumption")

    answer = export(operator, MINERS, "json", columns)

    assert json.loads(body_of(answer)) == [{"miner_id": "=A-1", "live__hashrate_ghs": 94_800.0, "live__power_consumption": None}]
    assert json.loads(body_of(export(operator, MINERS, "json", columns, q="nobody"))) == []


def test_columns_the_list_does_not_show_are_offered_and_not_ticked(operator):
    fields = operator.get("/admin/telemetry/telemetrygap/export/").context["form"].fields
    chosen = {name for name, field in fields.items() if hasattr(field, "is_selectable_field") and field.initial}
    shown = admin.site._registry[TelemetryGap].list_display

    assert chosen == {f"listed_{name}" for name in shown}


def test_export_page_calls_columns_as_people_do_and_leads_back_to_the_list(operator):
    page = operator.get(MINERS, {"rack": "R1"})
    labels = {field.label for field in page.context["form"].visible_fields()}
    text = page.content.decode()

    assert {"Hash rate, GH/s", "Site code", "Miner ID", "Last seen"} <= labels
    assert not [label for label in labels if "_" in label]
    assert 'href="/admin/miners/miner/?rack=R1"' in text
    assert "Export: miners" in text
    assert "Submit" not in text


def test_no_export_page_offers_a_raw_name(operator):
    for page in (each for each in admin.site._registry.values() if hasattr(each, "export_action")):
        form = operator.get(reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_export")).context["form"]
        assert not [field.label for field in form.visible_fields() if "_" in field.label or field.label == field.label.lower()], (
            page.opts.label
        )


def test_filter_that_means_nothing_leads_back_to_the_list(operator):
    assert operator.get(MINERS, {"nonsense__lookup": "1"}).url == "/admin/miners/miner/"


def test_staff_export_their_own_sites_only(client):
    north, south = make_site("north"), make_site("south")
    make_miner(north, "of-north")
    make_miner(south, "of-south")
    client.force_login(make_staff(sites=(south,), permissions=("miners.view_miner",)))

    assert [row["miner_id"] for row in rows_of(export(client, MINERS))] == ["of-south"]


def test_who_may_not_see_a_list_exports_none_of_it(client):
    client.force_login(make_staff(permissions=("miners.view_miner",)))

    assert client.get("/admin/sites/site/export/").status_code == 403
    assert client.get("/admin/django_q/schedule/export/").status_code == 403
    client.logout()
    assert client.get(MINERS).status_code == 302


@pytest.mark.parametrize(
    "model", sorted(admin.site._registry, key=lambda model: model._meta.label), ids=lambda model: model._meta.label_lower
)
def test_every_list_can_be_exported_and_tells_no_secret(operator, model):
    key, secret = make_key(make_site())
    make_miners(Site.objects.get(), 3)

    text = body_of(export(operator, f"/admin/{model._meta.app_label}/{model._meta.model_name}/export/"))

    assert text.splitlines()
    assert not [each for each in (key.digest, secret, "pbkdf2", "argon2") if each in text]


def test_large_list_is_handed_out_row_by_row_with_few_queries(operator, django_assert_max_num_queries):
    make_miners(make_site(), 5_000)

    with django_assert_max_num_queries(20):
        answer = export(operator, MINERS)
        lines = body_of(answer).splitlines()

    assert answer.streaming
    assert len(lines) == 5_001
    assert Miner.objects.count() == 5_000


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_operator_exports_the_list_as_filtered(live_web: WebServer, browser_page: Page) -> None:
    site = make_site("A")
    make_miner(site, "A-1", rack="R1")
    make_miner(site, "A-2", rack="R2")
    boss = make_superuser(password="correct horse")
    browser_page.goto(f"{live_web.url}/admin/login/?next=/admin/miners/miner/%3Frack%3DR2")
    browser_page.fill("input[name=username]", boss.username)
    browser_page.fill("input[name=password]", "correct horse")
    browser_page.click("button[type=submit]")
    browser_page.wait_for_url("**/admin/miners/miner/**")
    browser_page.click(".hi-list-files a:has-text('Export')")
    browser_page.uncheck("input[name=listed_ip_address]")
    with browser_page.expect_download() as download:
        browser_page.click("button:has-text('Export')")

    text = download.value.path().read_text("utf-8-sig")
    assert ("A-1" in text, "A-2" in text, "ip_address" in text) == (False, True, False)
