"""The page on which an operator asks something of miners: what, why, and what it will hit, before anything is sent."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Count, F, QuerySet, Sum, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from commands import batches, dispatch
from commands.approvals import rules_that_apply
from commands.capabilities import impossible
from commands.models import ApprovalRule, CommandBatch, MinerCommand
from commands.ordering_form import OrderForm
from commands.params import InvalidCommand
from commands.permissions import allowed_commands
from miners.models import Miner, MinerState

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MINERS_AT_MOST = 100_000
"""More than that are several farms: each site has its own button."""


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What an order will hit: miners, by site, with what they do now (GH/s, W). Hashing miners that report no power count by nameplate."""

    miners: int
    sites: list[dict[str, Any]]
    away: int
    busy: int
    hashrate_ghs: float
    power_consumption: float | None
    power_nameplate: float | None
    """W of it that nobody measures."""


def impact_of(miners: QuerySet[Miner]) -> Impact:
    working = {"state__in": [MinerState.ONLINE, MinerState.SLEEPING]}
    unmeasured = {"state": MinerState.ONLINE, "live__hashrate_ghs__gt": 0, "live__power_consumption": None}
    stated = Miner.objects.filter(pk__in=miners.values("pk")).with_state(timezone.now()).order_by()
    by_site = (
        stated.values(name=F("site__name"))
        .annotate(
            miners=Count("pk"),
            away=Count(Case(When(**working, then=None), default="pk")),
            hashrate_ghs=Sum(Case(When(**working, then="live__hashrate_ghs"))),
            measured=Sum(Case(When(**working, then="live__power_consumption"))),
            power_nameplate=Sum(Case(When(**unmeasured, then="model__power_consumption"))),
        )
        .order_by("name")
    )
    sites: list[Any] = [{**site, "power_consumption": _added(site["measured"], site["power_nameplate"])} for site in by_site]
    return Impact(
        miners=sum(site["miners"] for site in sites),
        sites=sites,
        away=sum(site["away"] for site in sites),
        busy=MinerCommand.objects.open().filter(miner__in=miners.values("pk")).values("miner").distinct().count(),
        hashrate_ghs=sum(site["hashrate_ghs"] or 0 for site in sites),
        power_consumption=_added(*(site["power_consumption"] for site in sites)),
        power_nameplate=_added(*(site["power_nameplate"] for site in sites)),
    )


def _added(*figures: float | None) -> float | None:
    """Of those that are known; None when none is."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None


def order_view(request: HttpRequest) -> HttpResponse:
    """Shows the page for `miners` (primary keys with commas; with `open` by POST, where they are too many for an address), and sends
    what it asks for."""
    choices = allowed_commands(request.user)
    if not choices:
        raise PermissionDenied
    miners = _picked(request)
    if request.method != "POST" or "open" in request.POST:
        return order_page(request, miners)
    form = OrderForm(request.POST, choices=choices, miner_count=miners.count())
    if not form.is_valid():
        return order_page(request, miners, form=form)
    try:
        return _send(request, form, list(miners.select_related("site", "model").order_by("pk")))
    except InvalidCommand as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return order_page(request, miners, form=form)


def order_page(request: HttpRequest, miners: QuerySet[Miner], *, form: OrderForm | None = None) -> HttpResponse:
    """The page for `miners`, all of which the user sees; at most MINERS_AT_MOST."""
    picked = list(miners.order_by("pk").values_list("pk", flat=True)[: MINERS_AT_MOST + 1])
    if not 0 < len(picked) <= MINERS_AT_MOST:
        messages.error(request, _("Pick from 1 to %(most)s miners.") % {"most": f"{MINERS_AT_MOST:,}"})
        return HttpResponseRedirect(reverse("admin:miners_miner_changelist"))
    form = form or OrderForm(
        initial={"miners": ",".join(map(str, picked)), "key": str(uuid.uuid4())},
        choices=allowed_commands(request.user),
        miner_count=len(picked),
    )
    chosen = Miner.objects.filter(pk__in=picked)
    context = {
        **admin.site.each_context(request),
        "title": _("Send a command"),
        "form": form,
        "impact": impact_of(chosen),
        "one": chosen.get() if len(picked) == 1 else None,
        "rules": ApprovalRule.objects.filter(site__in=chosen.values("site")).select_related("site"),
    }
    return render(request, "commands/order.html", context)


def _picked(request: HttpRequest) -> QuerySet[Miner]:
    """The miners named by the address or the form, as far as they are the user's to see."""
    names = (request.POST if request.method == "POST" else request.GET).get("miners", "").split(",")
    keys = [int(name) for name in names[: MINERS_AT_MOST + 1] if name.isdecimal() and len(name) < 19]
    return Miner.objects.visible_to(request.user).filter(pk__in=keys)


def _send(request: HttpRequest, form: OrderForm, miners: list[Miner]) -> HttpResponse:
    """One command at once for one miner; a batch for more of them, or where a second person must approve. Raises InvalidCommand."""
    order, user = form.order(), cast("AbstractBaseUser", request.user)
    if form.cleaned_data.get("leave_out"):
        left_out = impossible(miners, order.command, order.params)
        miners = [miner for miner in miners if miner.pk not in left_out]
        if not miners:
            raise InvalidCommand("command", _("None of the miners can do it."))
    if len(miners) == 1 and not rules_that_apply(miners, order.command):
        dispatch.create_command(miners[0], order, requested_by=user, now=timezone.now())
        messages.success(request, _("The command is queued."))
        return HttpResponseRedirect(reverse("console:miner", args=[miners[0].pk]))
    batch = batches.create_batch(miners, order, form.pacing(), requested_by=user, now=timezone.now())
    return _batch_begun(request, batch, miners)


def _batch_begun(request: HttpRequest, batch: CommandBatch, miners: list[Miner]) -> HttpResponse:
    sites = len({miner.site_id for miner in miners})
    text = ngettext("%(count)d command queued", "%(count)d commands queued", len(miners)) % {"count": len(miners)}
    where = ngettext("for %(sites)d site.", "for %(sites)d sites.", sites) % {"sites": sites}
    messages.success(request, f"{text} {where}")
    if batch.state == CommandBatch.State.WAITING:
        messages.warning(request, _("Somebody else must approve it before anything is sent."))
    return HttpResponseRedirect(reverse("admin:commands_commandbatch_progress", args=[batch.pk]))
