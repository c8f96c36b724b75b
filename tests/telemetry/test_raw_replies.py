"""Which replies the poller keeps word for word."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cgminer.simulator import MinerSpec, SimulatedFleet, build_fleet
from miners.models import Miner
from telemetry.models import MinerRawReply
from telemetry.poller import poll_site
from telemetry.raw_replies import KEEP_EVERY_S, keep_this_round, unpacked
from tests.cgminer.strange_servers import StrangeServer, answers
from tests.makers import NOON, make_miner, make_site
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)
A_ROUND = timedelta(minutes=1)


def healthy(address: str) -> MinerSpec:
    return MinerSpec(miner_id="m1", host=address, port=free_port(), seed=1)


def test_first_reply_is_kept_and_then_one_an_hour() -> None:
    site, spec = make_site(), healthy("127.9.8.1")
    miner = make_miner(site, ip_address=spec.host, port=spec.port)
    moments = []
    rounds = KEEP_EVERY_S // site.interval_seconds
    turn = next(number for number in range(rounds) if keep_this_round(miner.pk, int(NOON.timestamp()) // 60 + number, 60))
    with SimulatedFleet([spec]):
        for number in (turn - 2, turn - 1, turn, turn + 1):
            poll_site(site, now=NOON + number * A_ROUND)
            moments.append(MinerRawReply.objects.get().received_at)
    assert moments[0] == moments[1] < moments[2] == moments[3]
    assert "STATUS" in unpacked(MinerRawReply.objects.get())[0].text


def test_turns_are_spread_evenly_over_the_rounds() -> None:
    kept = [sum(keep_this_round(pk, number, 60) for pk in range(3_600)) for number in range(60)]
    assert set(kept) == {60}


def test_first_round_of_many_keeps_no_more_than_any_other(monkeypatch) -> None:
    monkeypatch.setattr("telemetry.poller.NEW_AT_ONCE", 1)
    site, specs = make_site(), build_fleet(3, first_address="127.9.8.11", port=free_port())
    for spec in specs:
        make_miner(site, spec.miner_id, ip_address=spec.host, port=spec.port)
    moment = next(at for at in (NOON + number * A_ROUND for number in range(60)) if not any(_is_its_turn(pk, at) for pk in _pks()))
    with SimulatedFleet(specs):
        poll_site(site, now=moment)
    assert not MinerRawReply.objects.exists()


def _pks() -> list[int]:
    return list(Miner.objects.values_list("pk", flat=True))


def _is_its_turn(pk: int, at: datetime) -> bool:
    return keep_this_round(pk, int(at.timestamp()) // 60, 60)


def test_each_reply_that_cannot_be_read_is_kept_with_the_reason() -> None:
    with StrangeServer(answers(b"HTTP/1.0 400 Bad Request\r\n\r\n<html>" + b"x" * 200_000)) as server:
        miner = make_miner(make_site(), ip_address=server.address.host, port=server.address.port)
        for number in range(2):
            MinerRawReply.objects.all().delete()
            poll_site(miner.site, now=NOON + number * A_ROUND)
            kept = MinerRawReply.objects.get()
            assert kept.error_message
            assert "400 Bad Request" in unpacked(kept)[0].text
            assert len(kept.replies) < 2_000


def test_silent_miner_leaves_what_was_kept(settings) -> None:
    settings.POLL_PATIENCE_S = settings.POLL_RECEIVE_TIMEOUT_S = 0.2
    site, spec = make_site(), healthy("127.9.8.2")
    make_miner(site, ip_address=spec.host, port=spec.port)
    with SimulatedFleet([spec]):
        poll_site(site, now=NOON)
    kept = MinerRawReply.objects.get().received_at
    for number in range(1, 3):
        poll_site(site, now=NOON + number * A_ROUND)
    assert MinerRawReply.objects.get().received_at == kept


def test_reply_goes_with_its_miner() -> None:
    site, spec = make_site(), healthy("127.9.8.3")
    make_miner(site, ip_address=spec.host, port=spec.port)
    with SimulatedFleet([spec]):
        poll_site(site, now=NOON)
    Miner.objects.all().delete()
    assert not MinerRawReply.objects.exists()
