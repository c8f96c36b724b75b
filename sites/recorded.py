"""The admin's History page of what people configure, and which changes a user may see."""

from __future__ import annotations

from typing import Any, cast

from django.apps import apps
from django.contrib.admin.utils import unquote
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from sites.changes import read_changes
from sites.exports import ListExport
from sites.models import Site

CHANGES_PER_PAGE = 50
NAMED_AT_MOST = 100
"""Of what is to be deleted; all of it is counted."""


def _names_of_links() -> set[str]:
    """Of the tables between two others that Django makes itself, and names in English whoever reads; nobody knows their rows as things."""
    return {str(model._meta.verbose_name_plural) for model in apps.get_models(include_auto_created=True) if model._meta.auto_created}


class RecordedAdmin(ListExport, ModelAdmin):
    """Mixed into the admin of a model with `changes = ChangeRecords(...)`."""

    def visible_history(self, request: HttpRequest) -> QuerySet[Any]:
        """The records this user may see: of their sites, also of what was deleted there; else of the rows that they may see."""
        records: QuerySet[Any] = self.model.changes.all()
        sites = Site.objects.visible_to(request.user).values("pk")
        if self.model is Site:
            return records if request.user.is_superuser else records.filter(id__in=sites)
        try:
            self.model._meta.get_field("site")
        except FieldDoesNotExist:
            return records if request.user.is_superuser else records.filter(id__in=self.get_queryset(request).order_by().values("pk"))
        return records if request.user.is_superuser else records.filter(site_id__in=sites)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[Any], Any, set[Any], list[Any]]:
        """Whoever may delete these deletes with them what was observed of them (readings, alerts, sessions): counted, not listed.

        Nobody may delete that by itself, and for Django what hangs on a row needs the right of its own.
        """
        _all, counts, _refused, protected = super().get_deleted_objects(objs, request)
        named = [str(each) for each in objs[:NAMED_AT_MOST]] + ["…"] * (len(objs) > NAMED_AT_MOST)
        allowed = all(self.has_delete_permission(request, each) for each in objs)
        shown = {name: count for name, count in counts.items() if str(name) not in _names_of_links()}
        return named, shown, set() if allowed else {self.opts.verbose_name}, protected

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        key = self.model._meta.pk.attname
        records = self.visible_history(request).filter(**{key: unquote(object_id)})
        shown = self.get_object(request, unquote(object_id))
        if shown is None and not records.exists():
            raise Http404
        page = Paginator(records, CHANGES_PER_PAGE).get_page(request.GET.get("p"))
        changes = read_changes(cast("QuerySet[Any]", page.object_list))
        context = {
            **self.admin_site.each_context(request),
            "title": _("History of %s") % (shown or changes[0].name),
            "opts": self.opts,
            "object": shown,
            "page": page,
            "changes": changes,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/history.html", context)
