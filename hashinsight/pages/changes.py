"""Every configuration change, of all kinds together: what was done here last, and by whom."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from sites.changes import Change, read_changes
from sites.recorded import CHANGES_PER_PAGE, RecordedAdmin

DEEPEST_PAGE = 20
"""Further back one looks at the History page of the object itself."""


def recorded_pages(request: HttpRequest) -> dict[str, RecordedAdmin]:
    """The admins with a history that this user may look at, by `app.model`."""
    pages = admin.site._registry.values()
    seen = [page for page in pages if isinstance(page, RecordedAdmin) and page.has_view_or_change_permission(request)]
    return {page.opts.label_lower: page for page in seen}


class ChangesForm(forms.Form):
    what = forms.ChoiceField(label=gettext_lazy("What"), required=False, widget=UnfoldAdminSelectWidget)
    who = forms.CharField(label=gettext_lazy("Who"), required=False, max_length=150, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, pages: dict[str, RecordedAdmin], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = sorted((str(capfirst(page.opts.verbose_name_plural)), label) for label, page in pages.items())
        what: Any = self.fields["what"]
        what.choices = [("", _("All")), *((label, name) for name, label in kinds)]


def changes(request: HttpRequest) -> HttpResponse:
    pages = recorded_pages(request)
    if not pages:
        raise PermissionDenied
    form = ChangesForm(request.GET, pages=pages)
    asked = form.cleaned_data if form.is_valid() else {}
    chosen = {label: page for label, page in pages.items() if asked.get("what") in ("", None, label)}
    page = Paginator(_newest(request, chosen, who=asked.get("who", "")), CHANGES_PER_PAGE).get_page(request.GET.get("p"))
    kept = "&" + urlencode({name: value for name, value in asked.items() if value})
    context = {"title": _("Changes"), "form": form, "page": page, "changes": _read(page.object_list), "links": True, "kept_query": kept}
    return TemplateResponse(request, "console/changes_all.html", {**admin.site.each_context(request), **context})


def _newest(request: HttpRequest, pages: dict[str, RecordedAdmin], *, who: str) -> list[tuple[Any, RecordedAdmin, int]]:
    """The newest records over all kinds: when, whose page, which record. One small query a kind."""
    found = []
    for page in pages.values():
        records = page.visible_history(request)
        if who:
            records = records.filter(history_user__username=who)
        newest = records.order_by("-history_date", "-history_id").values_list("history_date", "history_id")
        found += [(at, page, pk) for at, pk in newest[: CHANGES_PER_PAGE * DEEPEST_PAGE]]
    found.sort(key=lambda each: each[0], reverse=True)
    return found[: CHANGES_PER_PAGE * DEEPEST_PAGE]


def _read(found: Any) -> list[Change]:
    by_page: dict[RecordedAdmin, list[int]] = defaultdict(list)
    for _at, page, pk in found:
        by_page[page].append(pk)
    read = [change for page, keys in by_page.items() for change in read_changes(page.model.changes.filter(pk__in=keys))]
    return sorted(read, key=lambda change: change.at, reverse=True)
