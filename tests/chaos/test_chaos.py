"""What an operator's farm goes through: each row of "When something is away" in docs/operations.md, while readings come in by both ways.

Behind each fault the whole farm recovers by itself within a minute, and nothing that was acknowledged is missing (`Farm.fault`).
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from tests.chaos.farm import GOOD_ANSWERS, Farm, stay_broken, wait_for
from tests.hashinsight.supervised import kill
from tests.market.exchange import DIFFICULTY, MEMPOOL, PRICE

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("chaos")]
HOUR_S = 3_600


def test_postgresql_stopped(farm: Farm) -> None:
    with farm.fault() as fault:
        farm.database.stop()
        stay_broken(3)
        ready = farm.ready()
        farm.database.start()

    assert ready["status"] == "unavailable"
    assert farm.upload_statuses(fault) == {503} | farm.upload_statuses(fault) & {200}
    assert farm.page_statuses(fault) == {503} | farm.page_statuses(fault) & {200}


def test_postgresql_hung(farm: Farm) -> None:
    with farm.fault() as fault:
        farm.database.pause()
        stay_broken(3)
        farm.database.resume()

    # 0: who asked has given up before the server has, which waits for a statement up to 35 s.
    assert farm.upload_statuses(fault) <= {0, 200, 503}
    assert farm.page_statuses(fault) <= {0, 200, 503}


def test_redis_stopped(farm: Farm) -> None:
    with farm.fault() as fault:
        farm.redis.stop()
        stay_broken(3)
        ready, overview = farm.ready(), farm.overview()
        farm.redis.start()

    assert ready["status"] == "degraded"
    assert "away: each process uses its own memory" in overview
    assert farm.upload_statuses(fault) == {200}
    assert farm.page_statuses(fault) == {200}


def test_redis_hung(farm: Farm) -> None:
    with farm.fault() as fault:
        farm.redis.pause()
        stay_broken(6)
        ready = farm.ready()
        slowest = max(answer.seconds for answer in farm.operator.answers if answer.at > time.monotonic() - 1)
        farm.redis.resume()

    assert ready["status"] == "degraded"
    assert farm.upload_statuses(fault) == {200}
    assert farm.page_statuses(fault) == {200}
    assert slowest < 1


LIES = (500, "<html>Just a moment...</html>", '{"bitcoin":{"usd":"9"}}', '{"bitcoin":{"usd":0}}', "hang")


def test_market_providers_fail_lie_and_hang(farm: Farm) -> None:
    known = price_on(farm.overview())
    shown = {}
    with farm.fault() as fault:
        for lie in LIES:
            farm.exchange.answers = dict.fromkeys((PRICE, DIFFICULTY, MEMPOOL), lie)
            farm.age_market_data()
            asked = farm.exchange.asked_for(PRICE)
            wait_for(lambda asked=asked: farm.exchange.asked_for(PRICE) > asked, "the providers are asked")
            time.sleep(0.3)
            shown[lie] = price_on(farm.overview())
        farm.exchange.answers = dict(GOOD_ANSWERS)

    assert shown == dict.fromkeys(LIES, known)
    assert farm.page_statuses(fault) == {200}
    assert farm.upload_statuses(fault) == {200}


def test_silent_miners_hold_up_no_other(farm: Farm) -> None:
    with farm.fault():
        """Two of the twenty accept connections and never answer, all the time."""
    rounds = farm.events("poll_round")

    assert {each["online"] for each in rounds} == {18}
    assert any(each.get("error_timeout") == 2 for each in rounds)
    assert max(each["duration_ms"] for each in rounds) < 10_000


def test_web_worker_killed(farm: Farm) -> None:
    with farm.fault() as fault:
        kill(farm.up.members("gunicorn")[0])

    assert farm.page_statuses(fault) <= {0, 200}


def test_web_server_killed(farm: Farm) -> None:
    with farm.fault():
        kill(farm.up.leaders("gunicorn")[0])


def test_cluster_worker_killed_while_it_polls(farm: Farm) -> None:
    with farm.fault() as fault:
        kill(max(farm.up.members("qcluster"), key=lambda process: process.pid))

    assert farm.page_statuses(fault) <= {200}


def test_cluster_killed(farm: Farm) -> None:
    with farm.fault() as fault:
        kill(farm.up.leaders("qcluster")[0])

    assert farm.page_statuses(fault) <= {200}


def test_clock_stepped_by_an_hour_and_set_right(farm: Farm) -> None:
    with farm.fault() as fault:
        farm.clock.write_text(str(HOUR_S))
        wait_for(lambda: farm.polled_ahead() > 0, "polls go on with the wrong time")
        stay_broken(1)
        farm.clock.write_text("0")

    assert farm.upload_statuses(fault) == {200}
    assert farm.page_statuses(fault) == {200}


def test_disk_full(farm: Farm, disk: Path) -> None:
    if not disk.is_mount():
        pytest.skip("needs a small file system to fill: run as root where tmpfs can be mounted")
    ballast = disk / "ballast"
    with farm.fault() as fault:
        fill(ballast)
        wait_for(lambda: 503 in farm.upload_statuses(fault), "uploads are put off")
        stay_broken(2)
        ballast.unlink()
        if not farm.database.is_running():  # it ends itself when it cannot write its log; its own supervisor starts it again
            farm.database.start()

    assert farm.upload_statuses(fault) <= {200, 503}
    assert farm.page_statuses(fault) <= {200, 503}


def fill(ballast: Path) -> None:
    """Until there is no room for another byte."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65_536)


def price_on(page: str) -> str:
    """The BTC price that the overview shows."""
    return page.partition("BTC price")[2].partition(" USD")[0].rpartition(">")[2]
