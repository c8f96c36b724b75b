"""The content security policy: what browsers are told, and that they keep to it on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.conftest import watched
from tests.hashinsight.console import logged_in
from tests.makers import make_live, make_miner, make_miner_model, make_site, make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.once, pytest.mark.django_db]


def policy_of(answer) -> dict[str, list[str]]:
    parts = (part.strip().split() for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("address", ["/admin/", "/admin/login/", "/admin/account/", "/api/docs/", "/nothing-here", "/api/collector/status"])
def test_every_answer_has_the_policy_and_nothing_reports_elsewhere(client, address):
    client.force_login(make_superuser())

    policy = policy_of(client.get(address))

    assert policy["default-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["object-src"] == ["'none'"]
    assert "'unsafe-inline'" not in policy["script-src"]
    assert not {"report-uri", "report-to"} & set(policy)
    assert not [source for sources in policy.values() for source in sources if "//" in source or "*" in source]


@pytest.mark.parametrize(("address", "expected"), [("/admin/", True), ("/api/docs/", False), ("/", False)])
def test_only_pages_of_unfold_may_evaluate(client, address, expected):
    client.force_login(make_superuser())

    assert ("'unsafe-eval'" in policy_of(client.get(address))["script-src"]) is expected


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_breach_of_the_policy_fails_a_browser_test(live_web: WebServer, browser: Browser) -> None:
    def commit_one() -> None:
        context = browser.new_context()
        with watched(context):
            page = context.new_page()
            page.goto(f"{live_web.url}/admin/login/")
            page.evaluate("const script = document.createElement('script'); script.textContent = '1'; document.head.append(script)")
            context.close()

    with pytest.raises(AssertionError, match="Content Security Policy"):
        commit_one()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_browser_has_nothing_to_complain_of_on_any_page(live_web: WebServer, browser_page: Page) -> None:
    site = make_site()
    miner = make_miner(site, model=make_miner_model())
    make_live(miner)
    boss = make_superuser()
    logged_in(browser_page, live_web, boss)
    lists = [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry]
    forms = [f"/admin/miners/miner/{miner.pk}/change/", f"/admin/sites/site/{site.pk}/change/", f"/admin/auth/user/{boss.pk}/change/"]
    own = ["/admin/account/", "/admin/account/second-factor/", "/admin/password_change/", "/api/docs/"]
    for address in [*lists, *forms, *own]:
        browser_page.goto(live_web.url + address)
