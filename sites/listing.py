"""How the admin reads a page of a large table: as few rows as will do, and the keys of a page before its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import get_language
from unfold.admin import ModelAdmin, checkbox
from unfold.decorators import display
from unfold.views import ChangeList

from sites.exports import ListExport

COUNT_AT_MOST = 10_000
KEY_MARK = "key-of-the-row"


class LimitedCountPaginator(Paginator):
    """Counts no further than COUNT_AT_MOST rows: nobody leafs to page 1,000, and counting a large table costs more than the page.

    Rows are wide, with all that is joined to them: the database finds and sorts the keys of a page several times faster than its rows.
    """

    object_list: QuerySet[Any]

    @cached_property
    def first_keys(self) -> list[Any]:
        """Of the first page, and one more when there is a second."""
        return self._keys(0, self.per_page + 1)

    @cached_property
    def count(self) -> int:
        if len(self.first_keys) <= self.per_page:
            return len(self.first_keys)
        return int(self.object_list.order_by().values("pk")[:COUNT_AT_MOST].count())

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        keys = self.first_keys if number == 1 else self._keys(start, min(start + self.per_page, self.count))
        return Page(self.rows(keys[: self.per_page]), number, self)

    def rows(self, keys: list[Any]) -> QuerySet[Any]:
        """The rows of these keys in the list's order."""
        return self.object_list.filter(pk__in=keys)

    def _keys(self, start: int, end: int) -> list[Any]:
        try:
            return list(self.object_list.values_list("pk", flat=True)[start:end])
        except OverflowError:  # the address names a key larger than SQLite's integers: no row has it
            return []


class AtLeast(int):
    """A count that went no further. It says so wherever it is shown, for one in "Select all 10,000+ miners"."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class LargeChangeList(ChangeList):
    """A list of a LimitedCountPaginator's; where everything fits on one page, that one too is read by its keys."""

    result_count: int
    counts_no_further = False
    """Whether there are COUNT_AT_MOST rows or more: how many is not known."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if isinstance(self.paginator, LimitedCountPaginator) and not self.multi_page:
            self.result_list = self.paginator.rows(self.paginator.first_keys)
        self.counts_no_further = self.result_count >= COUNT_AT_MOST
        if self.counts_no_further:
            self.result_count = AtLeast(self.result_count)
        if not (self.has_active_filters or self.query):
            self.full_result_count = self.result_count  # the header offers to show all of what nothing narrows otherwise


class LargeList(ListExport):
    """Mixed into the admin of a table that grows."""

    show_full_result_count = False
    list_per_page = 50
    paginator = LimitedCountPaginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LargeChangeList]:
        return LargeChangeList

    @display(description=ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, row: Model) -> SafeString:
        """As Unfold's, which goes through a template for each row."""
        return format_html(_checkbox(get_language()), key=row.pk)


@cache
def _checkbox(language: str | None) -> str:
    """The checkbox of a row as a format; its label is in `language`."""
    whole: str = checkbox.render(ACTION_CHECKBOX_NAME, KEY_MARK)
    return mark_safe(whole.replace("{", "{{").replace("}", "}}").replace(KEY_MARK, "{key}"))  # Unfold's own markup


def headers_once(headers_of: Callable[[Any], Iterator[dict[str, Any]]]) -> Callable[[Any], list[dict[str, Any]]]:
    """Unfold makes the headers of a list anew for each of its rows, which takes a fifth of the page's time."""

    def headers(changes: Any) -> list[dict[str, Any]]:
        if not hasattr(changes, "known_headers"):
            changes.known_headers = [{**header, "text": _capitalized(header["text"])} for header in headers_of(changes)]
        return list(changes.known_headers)

    return headers


def _capitalized(text: str) -> str:
    """Names of columns begin large, also where a phone shows them beside their values; the checkbox of all rows is markup."""
    return text if isinstance(text, SafeString) else capfirst(text)


class OverviewChangeList(LargeChangeList):
    """A list whose rows open the object's own page in the console; its form is one click further, behind "Edit"."""

    def url_for_result(self, result: Model) -> str:
        return reverse(f"console:{self.opts.model_name}", args=[result.pk])
