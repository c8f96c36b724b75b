"""Lists as each person wants them: filters under a name, and the columns they chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest, HttpResponse

from preferences.models import ListColumns, SavedFilter

NOT_PART_OF_A_FILTER = ("p", "all", "e")
FILTERS_AT_MOST = 30


class PersonalList:
    """Mixed into a ModelAdmin. `list_display` is what is shown until somebody chooses; `further_columns` can be added."""

    list_before_template = "preferences/list_tools.html"
    further_columns: ClassVar[list[str]] = []

    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        """The first column, which opens the row, and the chosen ones of those there are."""
        usual: list[Any] = list(super().get_list_display(request))  # type: ignore[misc]  # of the ModelAdmin beside it
        chosen = [name for name in chosen_columns(request, list_name_of(self)) if name in (*usual, *self.further_columns)]
        return [usual[0], *(name for name in chosen if name != usual[0])] if chosen else usual

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        tools = {} if "_popup" in request.GET else self.list_tools(request)
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **tools})  # type: ignore[misc]  # as above
        return answer

    def list_tools(self, request: HttpRequest) -> dict[str, Any]:
        name = list_name_of(self)
        shown = self.get_list_display(request)
        admin: Any = self
        usual = super().get_list_display(request)  # type: ignore[misc]  # as above
        every = list(dict.fromkeys([*shown, *usual, *self.further_columns]))[1:]
        query = request.GET.copy()
        for part in NOT_PART_OF_A_FILTER:
            query.pop(part, None)
        return {
            "list_name": name,
            "current_filter": query.urlencode(),
            "saved_filters": SavedFilter.objects.of(request.user, name)[:FILTERS_AT_MOST],
            "columns": [(column, label_for_field(column, admin.model, admin), column in shown) for column in every],
        }


def list_name_of(admin: Any) -> str:
    return str(admin.opts.label_lower)


def chosen_columns(request: HttpRequest, list_name: str) -> list[str]:
    """Empty while nothing was chosen. Asked for several times a page, read once."""
    known: dict[str, list[str]] = request.__dict__.setdefault("_chosen_columns", {})
    if list_name not in known:
        row = ListColumns.objects.of(request.user, list_name).first()
        known[list_name] = list(row.columns) if row else []
    return known[list_name]
