"""Fixtures of the tests of alerts' pages."""

from __future__ import annotations

import pytest
from django.test import Client

from sites.models import Site
from tests.makers import make_site, make_superuser


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_superuser())
    return client


@pytest.fixture
def site() -> Site:
    return make_site("north", name="North farm")
