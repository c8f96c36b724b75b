from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cgminer.simulator import build_fleet, write_inventory
from miners.catalogue import add_missing_models
from miners.inventory import apply_import, plan_import
from miners.inventory_file import UnreadableFile, read_table
from miners.models import Miner, MinerModel
from sites.models import Site
from tests.makers import make_miner, make_miner_model, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site("A")


def planned(site: Site, text: str):
    return plan_import(site, read_table(text.encode()))


def imported(site: Site, text: str):
    plan = planned(site, text)
    apply_import(plan)
    return plan


def complaints(plan) -> list[tuple[int, str]]:
    return [(error.row, error.column) for error in plan.errors]


def test_miners_of_a_file_are_added_with_everything_it_says(site: Site):
    model = make_miner_model("Antminer S19")
    header = "miner_id,ip_address,port,model,serial,mac,worker,zone,rack,slot"
    imported(site, f"{header}\nA-1,10.0.0.1,4029,S19,SN1,02-00-5e-10-00-1f,farm.a1,Z1,R1,7\n")
    miner = Miner.objects.get()
    assert (miner.miner_id, miner.ip_address, miner.port, miner.model) == ("A-1", "10.0.0.1", 4029, model)
    assert (miner.serial_number, miner.mac_address, miner.worker_name) == ("SN1", "02:00:5E:10:00:1F", "farm.a1")
    assert (miner.zone, miner.rack, miner.slot) == ("Z1", "R1", "7")


@pytest.mark.parametrize(
    "raw",
    [
        "\ufeffMINER_ID;IP_Address;Port\nA-1;10.0.0.1;4029\n".encode(),
        b"Miner ID,IP,port\r\n A-1 , 10.0.0.1 ,4029\r\n",
        b"miner-id\tip_address\tport\nA-1\t10.0.0.1\t4029",
        "miner_id,ip_address,port\nA-1,10.0.0.1,4029\n".encode("utf-16"),
        b"miner_id,ip_address\nA-1,10.0.0.1:4029\n",
        b'"miner_id","ip_address","port"\n\n"A-1","10.0.0.1","4029"\n,,\n',
    ],
    ids=["BOM and semicolons", "header with blanks", "tabs", "UTF-16", "port in the address", "quotes and blank lines"],
)
def test_spelling_of_the_file_does_not_matter(site: Site, raw: bytes):
    apply_import(plan_import(site, read_table(raw)))
    assert list(Miner.objects.values_list("miner_id", "ip_address", "port")) == [("A-1", "10.0.0.1", 4029)]


def test_port_is_the_usual_one_when_the_file_names_none(site: Site):
    imported(site, "miner_id,ip_address\nA-1,10.0.0.1\n")
    assert Miner.objects.get().port == 4028


def test_port_in_the_address_of_an_existing_miner_is_stored(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", port=4028)
    imported(site, "miner_id,ip_address\nA-1,10.0.0.1:4029\n")
    assert Miner.objects.get().port == 4029


def test_existing_miner_is_updated_and_an_empty_cell_or_absent_column_leaves_its_value(site: Site):
    miner = make_miner(site, "A-1", ip_address="10.0.0.9", zone="Z1", rack="R9", notes="noisy fan")
    plan = imported(site, "miner_id,ip_address,zone,serial\nA-1,10.0.0.1,,SN1\n")
    assert (len(plan.create), len(plan.update)) == (0, 1)
    miner.refresh_from_db()
    assert (miner.ip_address, miner.zone, miner.rack, miner.serial_number, miner.notes) == ("10.0.0.1", "Z1", "R9", "SN1", "noisy fan")


def test_second_import_of_the_same_file_changes_nothing(site: Site):
    text = "miner_id,ip_address,mac\nA-1,10.0.0.1,02:00:00:00:00:01\nA-2,10.0.0.2,\n"
    imported(site, text)
    plan = planned(site, text)
    assert (len(plan.create), len(plan.update), plan.unchanged) == (0, 0, 2)


def test_miner_that_an_upload_registered_becomes_the_inventorys(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", discovered=True)
    imported(site, "miner_id,ip_address\nA-1,10.0.0.1\n")
    assert not Miner.objects.get().discovered


def test_each_bad_row_is_reported_with_row_column_and_reason_and_the_good_ones_are_stored(site: Site):
    rows = [
        "ok-1,10.0.0.1,4028,,",
        ",10.0.0.2,4028,,",
        "bad-address,10.0.0.300,4028,,",
        "bad-port,10.0.0.4,70000,,",
        "bad-mac,10.0.0.5,4028,12:34,",
        "bad-id\x07,10.0.0.6,4028,,",
        "ok-1,10.0.0.7,4028,,",
        "too-many,10.0.0.8,4028,,,surplus",
        f"{'x' * 51},10.0.0.9,4028,,",
        "short,10.0.0.10",
        "ok-2,,,,",
    ]
    plan = imported(site, "miner_id,ip_address,port,mac,model\n" + "\n".join(rows))
    assert complaints(plan) == [
        (3, "miner_id"),
        (4, "ip_address"),
        (5, "port"),
        (6, "mac_address"),
        (7, "miner_id"),
        (8, "miner_id"),
        (9, "row"),
        (10, "miner_id"),
    ]
    assert set(Miner.objects.values_list("miner_id", flat=True)) == {"ok-1", "short", "ok-2"}
    reasons = {error.row: error.reason for error in plan.errors}
    assert "ok-1 is in row 2 already" in reasons[8]


def test_unknown_model_is_noted_and_costs_no_miner(site: Site):
    make_miner_model("Antminer S19 Pro")
    plan = imported(site, "miner_id,ip_address,model\nA-1,10.0.0.1,S19 Prox\nA-2,10.0.0.2,S19 Pro\n")
    assert Miner.objects.count() == 2
    assert plan.errors == []
    assert [(note.row, note.column) for note in plan.notes] == [(2, "model")]
    assert "did you mean Antminer S19 Pro?" in plan.notes[0].reason


def test_address_that_another_miner_has_is_refused(site: Site):
    make_miner(site, "there", ip_address="10.0.0.1", port=4028)
    plan = planned(site, "miner_id,ip_address\nA-1,10.0.0.1\nA-2,10.0.0.2\nA-3,10.0.0.2\n")
    assert [str(error) for error in plan.errors] == [
        "row 2, ip_address: 10.0.0.1 port 4028 belongs to miner there",
        "row 4, ip_address: 10.0.0.2 port 4028 belongs to miner A-2",
    ]


def test_two_miners_can_swap_their_addresses_in_one_file(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1")
    make_miner(site, "A-2", ip_address="10.0.0.2")
    assert imported(site, "miner_id,ip_address\nA-1,10.0.0.2\nA-2,10.0.0.1\n").errors == []
    assert dict(Miner.objects.values_list("miner_id", "ip_address")) == {"A-1": "10.0.0.2", "A-2": "10.0.0.1"}


def test_miners_of_other_sites_are_not_touched(site: Site):
    elsewhere = make_miner(make_site("B"), "A-1", ip_address="10.0.0.1")
    imported(site, "miner_id,ip_address\nA-1,10.0.0.1\n")
    assert Miner.objects.filter(miner_id="A-1").count() == 2
    elsewhere.refresh_from_db()
    assert elsewhere.site.code == "B"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"name,address\nx,y\n", "miner_id and ip_address are missing. Found: name, address"),
        (b"miner_id,ip,ip_address\n", "ip_address is there twice"),
        (b"miner_id,ip_address\n\xff\xfe\xfa\n", "not UTF-8"),
        (b"PK\x03\x04\x00\x00\xff", "begins like an XLSX file"),
    ],
)
def test_file_of_which_nothing_can_be_used_says_why(raw: bytes, why: str):
    with pytest.raises(UnreadableFile, match=why):
        read_table(raw)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "miners.csv"
    path.write_text(text)
    return str(path)


def test_command_stores_the_good_rows_and_fails_for_the_bad_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path, "miner_id,ip_address,colour\nA-1,10.0.0.1,red\nA-2,nowhere else,blue\n")
    with pytest.raises(CommandError, match="1 rows left out"):
        call_command("import_miners", path, "--site", "A", "--create-site")
    said = capsys.readouterr()
    assert "1 miners added" in said.out
    assert "row 3, ip_address" in said.err
    assert "colour" in said.err
    assert Site.objects.get().miners.count() == 1


def test_dry_run_says_what_would_happen_and_stores_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    call_command("import_miners", write(tmp_path, "miner_id,ip_address\nA-1,10.0.0.1\n"), "--site", "A", "--create-site", "--dry-run")
    assert "1 miners would be added" in capsys.readouterr().out
    assert not Site.objects.exists()


def test_unknown_site_names_the_known_ones(site: Site, tmp_path: Path):
    with pytest.raises(CommandError, match=r"no site 'B'\. Known sites: A\. Name one of them, or add --create-site"):
        call_command("import_miners", write(tmp_path, "miner_id,ip_address\n"), "--site", "B")


def test_site_code_that_cannot_be_one_is_refused(tmp_path: Path):
    with pytest.raises(CommandError, match="Use letters, digits"):
        call_command("import_miners", write(tmp_path, "miner_id,ip_address\n"), "--site", "no way", "--create-site")


def test_missing_file_is_one_clear_line(site: Site):
    with pytest.raises(CommandError, match=r"nowhere\.csv: No such file"):
        call_command("import_miners", "nowhere.csv", "--site", "A")


def test_more_rows_than_are_stored_at_once_are_all_added_and_then_updated(site: Site, tmp_path: Path):
    make_miner_model("Antminer S19")
    path = tmp_path / "fleet.csv"
    write_inventory(build_fleet(2_500, models=[("Antminer S19", 1)]), path)
    call_command("import_miners", str(path), "--site", "A")
    assert Miner.objects.count() == 2_500
    before = path.read_text()
    path.write_text(before.replace(",R01,", ",R99,"))
    call_command("import_miners", str(path), "--site", "A")
    assert Miner.objects.filter(rack="R99").count() == before.count(",R01,") > 90


def test_models_are_matched_in_a_database_that_was_only_migrated(site: Site, tmp_path: Path):
    call_command("import_miners", write(tmp_path, "miner_id,ip_address,model\nA-1,10.0.0.1,antminer s19 pro\n"), "--site", "A")
    assert Miner.objects.get().model == MinerModel.objects.get(slug="antminer-s19-pro")


def test_catalogue_leaves_models_as_people_changed_them():
    mine = make_miner_model("Antminer S19", slug="my-s19", power_consumption=1.0)
    add_missing_models()
    MinerModel.objects.filter(slug="antminer-s21").update(power_consumption=2.0)
    MinerModel.objects.filter(slug="antminer-s9").delete()
    add_missing_models()
    figures = dict(MinerModel.objects.values_list("slug", "power_consumption"))
    assert (figures[mine.slug], figures["antminer-s21"], "antminer-s9" in figures) == (1.0, 2.0, True)


MAC, OTHER_MAC = "02:00:5E:10:00:1F", "02:00:5E:10:00:20"


def test_mac_address_is_of_one_machine_in_a_file_and_in_the_database(site: Site):
    make_miner(make_site("B"), "B-1", mac_address=OTHER_MAC)

    plan = planned(site, f"miner_id,ip,mac\nA-1,10.0.0.1,{MAC}\nA-2,10.0.0.2,02-00-5e-10-00-1f\nA-3,10.0.0.3,{OTHER_MAC}\n")

    assert [str(error) for error in plan.errors] == [
        f"row 3, mac_address: {MAC} is in row 2 already",
        f"row 4, mac_address: {OTHER_MAC} belongs to miner B-1 (site B)",
    ]
    assert [miner.miner_id for miner in plan.create] == ["A-1"]


def test_miner_of_a_site_that_one_may_not_see_is_not_named(site: Site):
    make_miner(make_site("B"), "B-1", mac_address=MAC)
    table = read_table(f"miner_id,ip,mac\nA-1,10.0.0.1,{MAC}\n".encode())

    (error,) = plan_import(site, table, visible=Site.objects.filter(pk=site.pk)).errors

    assert error.reason == f"{MAC} belongs to a miner of another site"


def test_two_miners_of_a_file_may_change_machines(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", mac_address=MAC)
    make_miner(site, "A-2", ip_address="10.0.0.2", mac_address=OTHER_MAC)

    plan = imported(site, f"miner_id,ip,mac\nA-1,10.0.0.1,{OTHER_MAC}\nA-2,10.0.0.2,{MAC}\n")

    assert plan.errors == []
    assert dict(Miner.objects.values_list("miner_id", "mac_address")) == {"A-1": OTHER_MAC, "A-2": MAC}


def test_machine_of_a_miner_whose_row_leaves_the_cell_empty_stays_its_own(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", mac_address=MAC)

    (error,) = planned(site, f"miner_id,ip,mac\nA-1,10.0.0.1,\nA-2,10.0.0.2,{MAC}\n").errors

    assert (error.row, error.reason) == (3, f"{MAC} belongs to miner A-1 (site A)")


def test_doubled_serial_number_is_noted_and_imported(site: Site):
    plan = planned(site, "miner_id,ip,serial\nA-1,10.0.0.1,SN1\nA-2,10.0.0.2,SN1\n")

    assert (len(plan.create), plan.errors) == (2, [])
    assert [str(note) for note in plan.notes] == ["row 3, serial_number: SN1 is in row 2 already"]


def test_row_with_too_many_cells_counts_as_a_row(site: Site):
    plan = planned(site, "miner_id,ip\nA-1,10.0.0.1\nA-2,10.0.0.2,more\n")

    assert (plan.rows, len(plan.create), plan.refused_rows) == (2, 1, 1)
