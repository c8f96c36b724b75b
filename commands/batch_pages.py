"""A batch's own page: how far it is, and its buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from commands import batches
from commands.batch_wording import in_readers_words
from commands.batches import NotAllowed
from commands.models import CommandBatch, MinerCommand
from commands.permissions import may_ask
from sites.models import Site

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

State = CommandBatch.State
SHOWN_AT_MOST = 50


def visible_batches(user: Any) -> QuerySet[CommandBatch]:
    """The batches that hit no site of others'."""
    foreign = MinerCommand.objects.filter(batch=OuterRef("pk")).exclude(site__in=Site.objects.visible_to(user))
    return CommandBatch.objects.exclude(Exists(foreign))


def urls() -> list[Any]:
    staff = admin.site.admin_view
    return [
        path("<uuid:pk>/progress/", staff(progress), name="commands_commandbatch_progress"),
        path("<uuid:pk>/progress/live/", staff(progress_live), name="commands_commandbatch_live"),
        path("<uuid:pk>/act/", staff(require_POST(act)), name="commands_commandbatch_act"),
    ]


def progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = _batch_or_404(request, pk)
    context = {**admin.site.each_context(request), "title": batch.get_command_display(), **_context(request, batch)}
    return render(request, "commands/batch.html", context)


def progress_live(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The part of the page that is fetched again while it is open."""
    return render(request, "commands/batch_live.html", _context(request, _batch_or_404(request, pk)))


def act(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Pause, resume, stop or approve, as the pressed button says."""
    batch = _batch_or_404(request, pk)
    done = {"pause": batches.pause, "resume": batches.resume, "stop": batches.stop, "approve": batches.approve}
    name = request.POST.get("act", "")
    if name in done:
        try:
            done[name](batch, actor=cast("AbstractBaseUser", request.user), now=timezone.now())
        except NotAllowed as error:
            messages.error(request, str(error))
    return HttpResponseRedirect(reverse("admin:commands_commandbatch_progress", args=[pk]))


def _batch_or_404(request: HttpRequest, pk: UUID) -> CommandBatch:
    if not request.user.has_perm("commands.view_commandbatch"):
        raise PermissionDenied
    return get_object_or_404(visible_batches(request.user).select_related("requested_by", "approved_by"), pk=pk)


def _context(request: HttpRequest, batch: CommandBatch) -> dict[str, Any]:
    may_act = may_ask(request.user, batch.command)
    troubled = batch.commands.filter(batches.went_wrong(batch.command))
    standing = batches.progress_of(batch)
    return {
        "batch": batch,
        "progress": standing,
        "shares": _shares(standing),
        "buttons": _buttons(batch) if may_act else [],
        "troubled": troubled.select_related("miner", "site").order_by("-finished_at")[:SHOWN_AT_MOST],
        "events": [(event, in_readers_words(event.message)) for event in batch.events.all()],
        "stop_reason": in_readers_words(batch.stop_reason),
        "own": batch.requested_by_id == request.user.pk,
    }


def _shares(standing: batches.Progress) -> list[tuple[str, int, float]]:
    """The parts of the bar: their colour, their count, their share in percent."""
    proved = standing.verified
    counts = {
        "online": proved,
        "sleeping": max(standing.total - standing.held - standing.open - standing.cancelled - standing.bad - proved, 0),
        "stale": standing.open,
        "offline": standing.bad,
        "never": standing.cancelled,
    }
    return [(colour, count, 100 * count / standing.total) for colour, count in counts.items() if count and standing.total]


def _buttons(batch: CommandBatch) -> list[tuple[str, str]]:
    known = {
        State.WAITING: [("approve", _("Approve")), ("stop", _("Refuse"))],
        State.RUNNING: [("pause", _("Pause")), ("stop", _("Stop"))],
        State.PAUSED: [("resume", _("Resume")), ("stop", _("Stop"))],
    }
    return known.get(State(batch.state), [])
