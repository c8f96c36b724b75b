"""How the admin reads a page of a large table: as few rows as will do, and the keys of a page before its rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.views import ChangeList

COUNT_AT_MOST = 10_000


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
        return list(self.object_list.values_list("pk", flat=True)[start:end])


class LargeChangeList(ChangeList):
    """A list of a LimitedCountPaginator's; where everything fits on one page, that one too is read by its keys."""

    counts_no_further = False
    """Whether there are COUNT_AT_MOST rows or more: how many is not known."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if isinstance(self.paginator, LimitedCountPaginator) and not self.multi_page:
            self.result_list = self.paginator.rows(self.paginator.first_keys)
        self.counts_no_further = self.result_count >= COUNT_AT_MOST
        if not (self.has_active_filters or self.query):
            self.full_result_count = self.result_count  # the header offers to show all of what nothing narrows otherwise


class LargeList:
    """Mixed into the admin of a table that grows."""

    show_full_result_count = False
    list_per_page = 50
    paginator = LimitedCountPaginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LargeChangeList]:
        return LargeChangeList


class OverviewChangeList(LargeChangeList):
    """A list whose rows open the object's own page in the console; its form is one click further, behind "Edit"."""

    def url_for_result(self, result: Model) -> str:
        return reverse(f"console:{self.opts.model_name}", args=[result.pk])
