"""The page on which an operator asks something of miners: what, why, and what it will hit, before anything is sent."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Count, F, QuerySet, Sum, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from commands import dispatch
from commands.models import CommandType, MinerCommand
from commands.params import InvalidCommand
from commands.permissions import allowed_commands
from miners.models import Miner, MinerState

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MINERS_AT_MOST = 5_000
TYPE_COUNT_ABOVE = 20
"""Above so many miners the number must be typed: a slip of the mouse does not stop a farm."""
PARAMS = ("pool_url", "pool_user", "pool_password", "speed", "frequency")
TAKES = {
    CommandType.SET_POOL: ("pool_url", "pool_user", "pool_password"),
    CommandType.SET_FAN: ("speed",),
    CommandType.SET_FREQUENCY: ("frequency",),
}


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What an order will hit: miners, by site, with what they do now (GH/s, W)."""

    miners: int
    sites: list[dict[str, Any]]
    away: int
    busy: int
    hashrate_ghs: float
    power_consumption: float


def impact_of(miners: QuerySet[Miner]) -> Impact:
    working = {"state__in": [MinerState.ONLINE, MinerState.SLEEPING]}
    stated = Miner.objects.filter(pk__in=miners.values("pk")).with_state(timezone.now()).order_by()
    by_site = (
        stated.values(name=F("site__name"))
        .annotate(
            miners=Count("pk"),
            away=Count(Case(When(**working, then=None), default="pk")),
            hashrate_ghs=Sum(Case(When(**working, then="live__hashrate_ghs"))),
            power_consumption=Sum(Case(When(**working, then="live__power_consumption"))),
        )
        .order_by("name")
    )
    sites: list[Any] = list(by_site)
    return Impact(
        miners=sum(site["miners"] for site in sites),
        sites=sites,
        away=sum(site["away"] for site in sites),
        busy=MinerCommand.objects.open().filter(miner__in=miners.values("pk")).values("miner").distinct().count(),
        hashrate_ghs=sum(site["hashrate_ghs"] or 0 for site in sites),
        power_consumption=sum(site["power_consumption"] or 0 for site in sites),
    )


class OrderForm(forms.Form):
    """One command for the miners that were picked. Parameters are checked by `commands.params` when it is stored."""

    miners = forms.CharField(widget=forms.HiddenInput)
    key = forms.CharField(max_length=36, widget=forms.HiddenInput)
    command = forms.ChoiceField(label=_("Command"), widget=UnfoldAdminSelectWidget)
    pool_url = forms.CharField(
        label=_("Pool"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "stratum+tcp://pool.example:3333"})
    )
    pool_user = forms.CharField(label=_("Worker"), required=False, widget=UnfoldAdminTextInputWidget)
    pool_password = forms.CharField(label=_("Pool password"), required=False, widget=UnfoldAdminPasswordWidget)
    speed = forms.CharField(label=_("Fan speed, %"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}))
    frequency = forms.CharField(
        label=_("Frequency, MHz"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"})
    )
    reason = forms.CharField(label=_("Reason"), max_length=255, widget=UnfoldAdminTextInputWidget)
    count = forms.IntegerField(label=_("Number of miners, to confirm"), required=False, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, choices: list[CommandType], miner_count: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.miner_count = miner_count
        self.fields["command"].choices = [("", _("Choose…")), *((choice.value, choice.label) for choice in choices)]  # type: ignore[attr-defined]  # a ChoiceField
        for command, names in TAKES.items():
            for name in names:
                self.fields[name].widget.attrs["data-for"] = command.value
        if miner_count <= TYPE_COUNT_ABOVE:
            del self.fields["count"]

    def clean_count(self) -> int | None:
        count: int | None = self.cleaned_data["count"]
        if count != self.miner_count:
            raise forms.ValidationError(_("Type %(count)d to confirm that so many miners are meant."), params={"count": self.miner_count})
        return count

    def order(self) -> dispatch.Order:
        command = self.cleaned_data["command"]
        params = {name: self.cleaned_data[name] for name in TAKES.get(CommandType(command), ()) if self.cleaned_data[name]}
        return dispatch.Order(command=command, params=params, reason=self.cleaned_data["reason"], idempotency_key=self.cleaned_data["key"])


def order_view(request: HttpRequest) -> HttpResponse:
    """Shows the page for `miners` (primary keys with commas), and sends what it asks for."""
    choices = allowed_commands(request.user)
    if not choices:
        raise PermissionDenied
    miners = _picked(request)
    if request.method != "POST":
        return order_page(request, miners)
    form = OrderForm(request.POST, choices=choices, miner_count=miners.count())
    if not form.is_valid():
        return order_page(request, miners, form=form)
    try:
        asked = dispatch.create_commands(
            list(miners.select_related("site", "model").order_by("pk")),
            form.order(),
            requested_by=cast("AbstractBaseUser", request.user),
            now=timezone.now(),
        )
    except InvalidCommand as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return order_page(request, miners, form=form)
    return _done(request, asked)


def order_page(request: HttpRequest, miners: QuerySet[Miner], *, form: OrderForm | None = None) -> HttpResponse:
    """The page for `miners`, all of which the user sees; at most MINERS_AT_MOST."""
    picked = list(miners.order_by("pk").values_list("pk", flat=True)[: MINERS_AT_MOST + 1])
    if not 0 < len(picked) <= MINERS_AT_MOST:
        messages.error(request, _("Pick from 1 to %(most)d miners.") % {"most": MINERS_AT_MOST})
        return HttpResponseRedirect(reverse("admin:miners_miner_changelist"))
    form = form or OrderForm(
        initial={"miners": ",".join(map(str, picked)), "key": str(uuid.uuid4())},
        choices=allowed_commands(request.user),
        miner_count=len(picked),
    )
    context = {
        **admin.site.each_context(request),
        "title": _("Send a command"),
        "form": form,
        "impact": impact_of(Miner.objects.filter(pk__in=picked)),
        "one": Miner.objects.get(pk=picked[0]) if len(picked) == 1 else None,
    }
    return render(request, "commands/order.html", context)


def _picked(request: HttpRequest) -> QuerySet[Miner]:
    """The miners named by the address or the form, as far as they are the user's to see."""
    names = (request.POST if request.method == "POST" else request.GET).get("miners", "").split(",")
    keys = [int(name) for name in names[: MINERS_AT_MOST + 1] if name.isdecimal() and len(name) < 19]
    return Miner.objects.visible_to(request.user).filter(pk__in=keys)


def _done(request: HttpRequest, asked: list[MinerCommand]) -> HttpResponse:
    sites = len({command.site_id for command in asked})
    text = ngettext("%(count)d command queued", "%(count)d commands queued", len(asked)) % {"count": len(asked)}
    where = ngettext("for %(sites)d site.", "for %(sites)d sites.", sites) % {"sites": sites}
    messages.success(request, f"{text} {where}")
    if len(asked) == 1:
        return HttpResponseRedirect(reverse("console:miner", args=[asked[0].miner_id]))
    return HttpResponseRedirect(reverse("admin:commands_minercommand_changelist"))
