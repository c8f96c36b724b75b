"""Importing miners: choose a file, look at what it would change, store it and watch."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from miners import imports
from miners.inventory import ImportPlan
from miners.inventory_file import COLUMNS, MAX_BYTES, REQUIRED, UnreadableFile
from miners.models import InventoryImport
from sites.models import Site

SHOWN = 100
"""Rows of each kind that the preview lists; the counts are of all."""


def of_bearable_size(file: Any) -> Any:
    if file and file.size > MAX_BYTES:
        raise forms.ValidationError(_("The file is larger than %(limit)d MB.") % {"limit": MAX_BYTES // 1_000_000})
    return file


class ImportForm(forms.Form):
    site = forms.ModelChoiceField(label=gettext_lazy("Site"), queryset=Site.objects.none(), widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label=gettext_lazy("CSV or XLSX file"), widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,.tsv,.xlsx"})
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites: Any = self.fields["site"]
        sites.queryset = Site.objects.visible_to(user).active()

    def clean_file(self) -> Any:
        return of_bearable_size(self.cleaned_data["file"])


def _require(request: HttpRequest) -> None:
    if not request.user.has_perms(("miners.add_miner", "miners.change_miner")):
        raise PermissionDenied


def _kept_or_404(request: HttpRequest, pk: int) -> InventoryImport:
    _require(request)
    visible = InventoryImport.objects.filter(site__in=Site.objects.visible_to(request.user))
    return get_object_or_404(visible.select_related("site", "user"), pk=pk)


def choose(request: HttpRequest) -> HttpResponse:
    """Choose a file and a site; a file that can be read leads to its preview."""
    _require(request)
    form = ImportForm(request.POST or None, request.FILES or None, user=request.user, initial={"site": request.GET.get("site")})
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            kept = imports.keep(form.cleaned_data["site"], by=request.user, file_name=file.name, raw=file.read())
        except UnreadableFile as error:
            form.add_error("file", str(error))
        else:
            return redirect("console:import_preview", kept.pk)
    recent = InventoryImport.objects.filter(site__in=Site.objects.visible_to(request.user)).exclude(state="checked")
    context = {
        "title": _("Import miners"),
        "form": form,
        "required": REQUIRED,
        "optional": sorted(set(COLUMNS) - set(REQUIRED) - {"ip"}),
        "recent": recent.defer("content", "errors").select_related("site", "user")[:10],
    }
    return render(request, "miners/import.html", {**admin.site.each_context(request), **context})


def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What the file would change; a POST stores it. Once that is asked, how far it is."""
    kept = _kept_or_404(request, pk)
    if request.method == "POST":
        imports.ask(kept)
        return redirect("console:import_preview", kept.pk)
    context: dict[str, Any] = {"title": _("Import %(file)s") % {"file": kept.file_name}, "kept": kept}
    if kept.state == InventoryImport.State.CHECKED:
        plan = imports.plan_of(kept, visible=Site.objects.visible_to(request.user))
        context |= {"plan": plan, "columns": _changed_columns(plan), "counts": _counts(plan), "shown": SHOWN}
        context |= {"created": plan.create[:SHOWN], "changes": plan.changes[:SHOWN]}
        context |= {"errors": [(error.row, error.column, error.reason) for error in plan.errors[:SHOWN]]}
        context |= {"notes": [(note.row, note.column, note.reason) for note in plan.notes[:SHOWN]]}
    else:
        context |= _progress(kept)
    return render(request, "miners/import_preview.html", {**admin.site.each_context(request), **context})


def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that is fetched again while it is stored."""
    return render(request, "miners/import_progress.html", _progress(_kept_or_404(request, pk)))


def _progress(kept: InventoryImport) -> dict[str, Any]:
    percent = 100 if kept.state == InventoryImport.State.DONE else 100 * kept.done // kept.to_store if kept.to_store else 0
    return {"kept": kept, "percent": percent, "is_silent": imports.is_silent(kept, timezone.now())}


def _counts(plan: ImportPlan) -> list[tuple[str, int, str]]:
    return [
        (_("new"), len(plan.create), "success"),
        (_("updated"), len(plan.update), "info"),
        (_("unchanged"), plan.unchanged, "default"),
        (_("left out"), plan.refused_rows, "danger"),
    ]


def _changed_columns(plan: ImportPlan) -> list[tuple[str, int]]:
    """How many miners each column changes in, the most first."""
    counted: dict[str, int] = {}
    for change in plan.changes:
        for name in change.fields:
            counted[name] = counted.get(name, 0) + 1
    return sorted(counted.items(), key=lambda each: -each[1])
