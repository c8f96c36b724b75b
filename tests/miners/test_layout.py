"""Where miners stand: moved by hand and from a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from miners.inventory_file import Table, read_table
from miners.layout import LayoutPlan, Place, PlaceNameRefused, PlaceTaken, apply_layout, in_a_row, move, plan_layout
from miners.models import Miner
from sites.models import Site
from tests.makers import make_miner, make_site
from tests.servers import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    """`m1` and `m2` side by side, `m3` in the tray."""
    site = make_site("north")
    make_miner(site, "m1", zone="A", rack="R1", slot="1")
    make_miner(site, "m2", zone="A", rack="R1", slot="2")
    make_miner(site, "m3")
    return site


def key(name: str) -> int:
    return Miner.objects.get(miner_id=name).pk


def places(site: Site) -> dict[str, str]:
    return {miner.miner_id: miner.place for miner in site.miners.order_by("miner_id")}


def table(*rows: str) -> Table:
    return read_table("\n".join(("miner_id,zone,rack,slot", *rows)).encode(), required=("miner_id",))


def plan(site: Site, *rows: str) -> LayoutPlan:
    return plan_layout(site, table(*rows))


def test_miner_moves_to_a_free_slot(site: Site) -> None:
    assert move(site, {key("m3"): Place("A", "R1", "3")}) == 1
    assert places(site)["m3"] == "A / R1 / 3"


def test_two_miners_change_places(site: Site) -> None:
    move(site, {key("m1"): Place("A", "R1", "2"), key("m2"): Place("A", "R1", "1")})
    assert places(site) == {"m1": "A / R1 / 2", "m2": "A / R1 / 1", "m3": ""}


def test_slot_holds_one_miner(site: Site) -> None:
    with pytest.raises(PlaceTaken, match="m1 stands there"):
        move(site, {key("m3"): Place("A", "R1", "1")})
    assert places(site)["m3"] == ""


def test_two_miners_are_not_sent_to_one_slot(site: Site) -> None:
    with pytest.raises(PlaceTaken):
        move(site, {key("m1"): Place("B", "R9", "1"), key("m3"): Place("B", "R9", "1")})


def test_miner_of_another_site_is_not_moved(site: Site) -> None:
    other = make_miner(make_site("south"), "s1")
    assert move(site, {other.pk: Place("A", "R1", "9")}) == 0


def test_name_that_no_label_holds_is_refused(site: Site) -> None:
    with pytest.raises(PlaceNameRefused):
        move(site, {key("m3"): Place("A", "R" * 51, "1")})


def test_several_stand_side_by_side_from_the_first_slot() -> None:
    assert in_a_row([7, 8], zone="A", rack="R1", first_slot="9") == {7: Place("A", "R1", "9"), 8: Place("A", "R1", "10")}


def test_several_do_not_fit_into_a_slot_that_is_no_number() -> None:
    with pytest.raises(PlaceNameRefused):
        in_a_row([7, 8], zone="A", rack="R1", first_slot="top")


def test_file_is_stored_as_it_was_shown(site: Site) -> None:
    rows = ("m1,A,R1,2", "m2,A,R1,1", "m3,B,R2,1")
    shown = plan(site, *rows)
    assert [(step.miner.miner_id, str(step.after)) for step in shown.moves] == [
        ("m1", "A / R1 / 2"),
        ("m2", "A / R1 / 1"),
        ("m3", "B / R2 / 1"),
    ]
    assert apply_layout(site, table(*rows)).moves == shown.moves
    assert places(site) == {"m1": "A / R1 / 2", "m2": "A / R1 / 1", "m3": "B / R2 / 1"}


def test_slot_that_was_taken_after_the_preview_is_left_to_who_took_it(site: Site) -> None:
    assert plan(site, "m3,B,R1,1").errors == []
    move(site, {key("m1"): Place("B", "R1", "1")})
    assert [error.column for error in apply_layout(site, table("m3,B,R1,1")).errors] == ["slot"]
    assert places(site)["m3"] == ""


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_who_give_out_one_slot_at_once_take_turns(site: Site) -> None:
    wanted = Place("B", "R1", "1")

    def take(name: str) -> None:
        try:
            move(site, {key(name): wanted})
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            move(site, {key("m1"): wanted})
            second = pool.submit(take, "m2")
            wait_until(lambda: second.done() or somebody_waits(), timeout_s=5, what="the second one")
        with pytest.raises(PlaceTaken, match="m1 stands there"):
            second.result(timeout=5)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_empty_cell_leaves_that_part_of_the_place(site: Site) -> None:
    assert [step.after for step in plan(site, "m1,B,,").moves] == [Place("B", "R1", "1")]


def test_row_that_changes_nothing_is_counted(site: Site) -> None:
    shown = plan(site, "m1,A,R1,1")
    assert (shown.moves, shown.unchanged) == ([], 1)


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        (["nobody,A,R1,9"], [(2, "miner_id")]),
        (["m3,A,R1,7", "m3,A,R1,8"], [(3, "miner_id")]),
        (["m3,A,R1,1"], [(2, "slot")]),
        (["m1,B,R1,1", "m3,B,R1,1"], [(3, "slot")]),
        ([f"m3,A,{'R' * 51},1"], [(2, "place")]),
    ],
)
def test_what_is_wrong_is_told_by_row_and_column(site: Site, rows: list[str], wrong: list[tuple[int, str]]) -> None:
    assert [(error.row, error.column) for error in plan(site, *rows).errors] == wrong


def test_move_into_a_slot_that_stays_taken_takes_the_next_one_with_it(site: Site) -> None:
    """m1 cannot leave, so m3 cannot take its place either."""
    shown = plan(site, "m1,A,R1,2", "m3,A,R1,1")
    assert shown.moves == []
    assert [error.row for error in shown.errors] == [2, 3]
