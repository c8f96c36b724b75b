"""A batch's page in a real browser: it moves on by itself, and its buttons work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from commands import batches, dispatch
from commands.batches import Pacing
from commands.dispatch import Order, Outcome
from commands.models import CommandBatch
from sites.models import Site
from tests.makers import make_miners, make_site, make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_progress_moves_on_by_itself_and_the_batch_is_stopped_from_its_page(live_web: WebServer, browser_page: Page) -> None:
    site = make_site(collection=Site.Collection.COLLECTOR)
    boss = make_superuser(password="correct horse")
    order = Order(command="reboot", reason="storm")
    batch = batches.create_batch(make_miners(site, 4), order, Pacing(canary_size=2), requested_by=boss, now=timezone.now())
    page = browser_page
    page.goto(f"{live_web.url}/admin/login/?next=/admin/commands/commandbatch/{batch.pk}/progress/")
    page.fill("input[name=username]", boss.username)
    page.fill("input[name=password]", "correct horse")
    page.click("button[type=submit]")
    page.wait_for_selector("#batch-progress:has-text('of 4 done')")
    for command in dispatch.lease_commands(site, limit=1, now=timezone.now(), leased_by="agent-1"):
        dispatch.record_result(command.pk, site=site, outcome=Outcome(status="completed"), actor="agent-1", now=timezone.now())
    page.wait_for_selector("#batch-progress h2:has-text('25')")
    page.click("button[value=stop]")
    page.wait_for_selector("#batch-head:has-text('stopped')")
    batch.refresh_from_db()
    assert batch.state == CommandBatch.State.STOPPED
