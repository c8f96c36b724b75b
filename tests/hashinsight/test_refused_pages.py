"""What somebody reads who asks for a page they may not see, one that is not there, or sends a form too late."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.makers import make_site

pytestmark = [pytest.mark.once, pytest.mark.django_db]


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(User.objects.create(username="vera", is_staff=True))
    return client


def test_page_without_the_right_names_the_account_and_who_can_help(viewer):
    answer = viewer.get("/admin/sites/site/add/")
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "You are logged in as vera" in page
    assert 'href="/admin/"' in page


def test_page_of_another_site_is_told_like_one_that_is_not_there(viewer):
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_site"))
    site = make_site("north", name="North Valley")
    there, nowhere = (viewer.get(f"/admin/sites/site/{pk}/overview/") for pk in (site.pk, site.pk + 1))
    assert (there.status_code, nowhere.status_code) == (404, 404)
    assert "North Valley" not in there.content.decode()


def test_address_that_leads_nowhere_is_named_and_leads_back(viewer):
    answer = viewer.get("/admin/nosuch/", headers={"Accept-Language": "en"})
    assert answer.status_code == 404
    assert "/admin/nosuch/" in answer.content.decode()
    assert 'href="/admin/"' in answer.content.decode()


def test_form_from_before_a_login_says_to_load_the_page_again():
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/admin/login/", {"username": "vera", "password": "x"})
    assert answer.status_code == 403
    assert "load the page again" in answer.content.decode()


def test_endpoint_that_is_not_there_answers_json(client):
    assert client.get("/api/nosuch").json()["success"] is False
