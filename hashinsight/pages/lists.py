"""Keeping a filter of a list under a name, and choosing its columns. The lists themselves are the admin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from preferences.lists import FILTERS_AT_MOST, PersonalList
from preferences.models import ListColumns, SavedFilter

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@require_POST
def save_filter(request: HttpRequest) -> HttpResponse:
    shown = _list(request)
    name, query = request.POST.get("name", "").strip()[:50], request.POST.get("query", "")
    if not name or len(query) > 2_000:
        messages.error(request, _("Give the filter a name."))
    elif SavedFilter.objects.of(request.user, shown).exclude(name=name).count() >= FILTERS_AT_MOST:
        messages.error(request, _("You have %(most)d saved filters here; remove one first.") % {"most": FILTERS_AT_MOST})
    else:
        clean = QueryDict(query).urlencode()
        SavedFilter.objects.update_or_create(user=_person(request), list_name=shown, name=name, defaults={"query": clean})
        messages.success(request, _("Saved as “%(name)s”.") % {"name": name})
    return _back(shown, query)


@require_POST
def remove_filter(request: HttpRequest, pk: int) -> HttpResponse:
    saved = get_object_or_404(SavedFilter, pk=pk, user_id=request.user.pk)
    saved.delete()
    return _back(saved.list_name, request.POST.get("query", ""))


@require_POST
def choose_columns(request: HttpRequest) -> HttpResponse:
    """The columns that are ticked; none of them, or “reset”, gives back the usual ones."""
    shown = _list(request)
    columns = [] if "reset" in request.POST else request.POST.getlist("column")
    if columns:
        ListColumns.objects.update_or_create(user=_person(request), list_name=shown, defaults={"columns": columns[:50]})
    else:
        ListColumns.objects.of(request.user, shown).delete()
    return _back(shown, request.POST.get("query", ""))


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)  # the admin let nobody else in


def _list(request: HttpRequest) -> str:
    """The list of the form, `app.model`: one of the admin's that remember such things."""
    wanted = request.POST.get("list", "")
    personal: Any = {model._meta.label_lower for model, page in admin.site._registry.items() if isinstance(page, PersonalList)}
    if wanted not in personal:
        raise Http404(f"there is no such list: {wanted[:100]}")
    return wanted


def _back(list_name: str, query: str) -> HttpResponse:
    address = reverse(f"admin:{list_name.replace('.', '_')}_changelist")
    parts = QueryDict(query).urlencode()
    return HttpResponseRedirect(f"{address}?{parts}" if parts else address)
