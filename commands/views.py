"""The collector API of commands: handed out to agents, answered by them, asked for by staff."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db.models import Count, Q
from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from commands import batches, capabilities, dispatch
from commands.approvals import rules_that_apply
from commands.batches import Pacing
from commands.dispatch import Order, Outcome
from commands.models import MinerCommand, MinerCommandQuerySet
from commands.params import InvalidCommand
from commands.permissions import may_ask
from commands.secrets import SecretUnreadable
from commands.serializers import BatchSerializer, CommandSerializer, HistoryQuerySerializer
from commands.wire import command_for_staff, command_on_the_wire, outcome_from_wire
from miners.models import Miner
from sites.api import ApiError, CollectorView, StaffView
from sites.authentication import key_of, person_of
from sites.models import Site
from sites.schema import errors
from telemetry.requests import header_text

DEFAULT_LIMIT, MAX_LIMIT = 10, 50


class PendingCommandsView(CollectorView):
    """Hands out what is due at the key's site; each command is leased until it is answered or its lease ends."""

    rate_scope = "read"
    http_method_names = ["get"]
    """Not HEAD, which would lease commands and show them to nobody."""

    @extend_schema(
        parameters=[
            OpenApiParameter("limit", OpenApiTypes.INT, description="At most so many commands, 1 to 50; 10 by default."),
            OpenApiParameter("zone_id", OpenApiTypes.STR, description="Leave out the miners of other zones; X-Zone-ID does the same."),
        ],
        responses={200: OpenApiTypes.OBJECT, **errors(401, 403, 429)},
    )
    def get(self, request: Request) -> Response:
        leased = dispatch.lease_commands(
            key_of(request).site,
            limit=_limit(request.query_params.get("limit")),
            zone=_zone(request),
            now=timezone.now(),
            leased_by=_agent(request),
        )
        handed = [item for command in leased if (item := _handed_out(command))]
        return Response({"success": True, "commands": handed, "count": len(handed)})


class CommandResultView(CollectorView):
    """Takes an agent's answer. The same answer twice changes nothing; one after the end is kept as evidence."""

    rate_scope = "result"

    @extend_schema(request=OpenApiTypes.OBJECT, responses={200: OpenApiTypes.OBJECT, **errors(400, 401, 403, 404, 408, 413, 415, 429)})
    def post(self, request: Request, command_id: UUID) -> Response:
        outcome = outcome_from_wire(cast("dict[str, Any]", request.data))
        try:
            command = dispatch.record_result(
                command_id, site=key_of(request).site, outcome=outcome, actor=_agent(request), now=timezone.now()
            )
        except MinerCommand.DoesNotExist:
            raise Http404 from None
        except InvalidCommand as error:
            raise ApiError(400, str(error)) from error
        return Response({"success": True, "command_id": str(command.pk), "status": command.status})


class CommandsView(StaffView):
    """Asks one miner for something."""

    @extend_schema(request=CommandSerializer, responses={201: OpenApiTypes.OBJECT, **errors(400, 401, 403, 404, 408, 413, 415, 429)})
    def post(self, request: Request) -> Response:
        asked = CommandSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        commands = _create(request, data, [data["miner_id"]])
        return Response({"success": True, "command": command_for_staff(commands[0]), **_remarks(commands)}, status=201)


class CommandBatchView(StaffView):
    """Asks many miners of one site for the same; all commands are stored or none."""

    @extend_schema(request=BatchSerializer, responses={201: OpenApiTypes.OBJECT, **errors(400, 401, 403, 404, 408, 413, 415, 429)})
    def post(self, request: Request) -> Response:
        asked = BatchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        commands = _create(request, asked.validated_data, asked.validated_data["miner_ids"])
        ids = [str(command.pk) for command in commands]
        return Response({"success": True, "count": len(commands), "command_ids": ids, **_remarks(commands)}, status=201)


class CommandView(StaffView):
    """One command: what became of it, and its cancelling while it was not handed out."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT, **errors(401, 403, 404, 429)})
    def get(self, request: Request, command_id: UUID) -> Response:
        command = _visible(request).filter(pk=command_id).first()
        if command is None:
            raise Http404
        return Response({"success": True, "command": command_for_staff(command)})

    @extend_schema(responses={200: OpenApiTypes.OBJECT, **errors(401, 403, 404, 409, 429)})
    def delete(self, request: Request, command_id: UUID) -> Response:
        commands = _visible(request).filter(pk=command_id)
        command = commands.first()
        if command is None:
            raise Http404
        if not may_ask(request.user, command.command):
            raise PermissionDenied(f"You may not cancel {command.command} commands.")
        if not dispatch.cancel(commands.select_related(None), actor=request.user.get_username(), now=timezone.now()):
            command.refresh_from_db()
            raise ApiError(409, f"The command is {command.status} and can no longer be cancelled.")
        return Response({"success": True, "command_id": str(command_id), "status": "cancelled"})


class CommandHistoryView(StaffView):
    """What was asked, newest first."""

    @extend_schema(parameters=[HistoryQuerySerializer], responses={200: OpenApiTypes.OBJECT, **errors(400, 401, 403, 429)})
    def get(self, request: Request) -> Response:
        query = HistoryQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        columns = {
            "site": "site__code",
            "miner_id": "miner__miner_id",
            "command": "command",
            "status": "status",
            "before": "created_at__lt",
        }
        filters = {columns[name]: value for name, value in wanted.items() if name in columns}
        commands = _visible(request).filter(**filters).order_by("-created_at")[: wanted["limit"]]
        found = [command_for_staff(command) for command in commands]
        return Response({"success": True, "commands": found, "count": len(found)})


class CommandStatsView(StaffView):
    """How many commands stand where, and what was proved of them."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT, **errors(401, 403, 429)})
    def get(self, request: Request) -> Response:
        commands = _visible(request).select_related(None).order_by()
        by_command = commands.values("command", "status").annotate(count=Count("pk")).order_by("command", "status")
        proved = commands.aggregate(
            verified=Count("pk", filter=Q(verification="verified")),
            not_verified=Count("pk", filter=Q(verification="not_verified")),
            unknown=Count("pk", filter=Q(verification="unknown", verified_at__isnull=False)),
        )
        return Response({"success": True, "by_command": list(by_command), "open": commands.open().count(), "verification": proved})


def _create(request: Request, data: dict[str, Any], miner_ids: list[str]) -> list[MinerCommand]:
    if not may_ask(request.user, data["command"]):
        raise PermissionDenied(f"You may not give {data['command']} commands.")
    site = Site.objects.visible_to(request.user).filter(code=data["site_id"]).first()
    if site is None:
        raise ApiError(404, f"There is no site “{data['site_id']}”, or it is not given to you.")
    miners = list(Miner.objects.filter(site=site, miner_id__in=miner_ids).select_related("model").order_by("pk"))
    missing = sorted(set(miner_ids) - {miner.miner_id for miner in miners})
    if missing:
        raise ApiError(404, f"Site {site.code} has no miner “{missing[0]}”.", missing=missing[:100])
    names = ("command", "params", "priority", "reason", "ttl_s", "idempotency_key")
    order = Order(**{name: data[name] for name in names})
    try:
        if rules_that_apply(miners, order.command):
            batch = batches.create_batch(miners, order, Pacing(canary_size=0), requested_by=person_of(request), now=timezone.now())
            return list(batch.commands.select_related("site", "miner__model", "requested_by", "batch").order_by("pk"))
        return dispatch.create_commands(miners, order, requested_by=person_of(request), now=timezone.now())
    except InvalidCommand as error:
        raise ApiError(400, str(error), field=error.field) from error


def _remarks(commands: list[MinerCommand]) -> dict[str, Any]:
    """The batch that waits for approval, if any, and what is likely to fail: what the agent of a site can do, the server does not know."""
    command, batch = commands[0].command, commands[0].batch
    doubtful = capabilities.doubtful([item.miner for item in commands], command)
    return {
        "batch": {"batch_id": str(batch.pk), "state": batch.state} if batch else None,
        "warnings": [f"{miner.miner_id}: {miner.model} is not known to do {command}." for miner in doubtful[:100]],
    }


def _visible(request: Request) -> MinerCommandQuerySet:
    sites = Site.objects.visible_to(request.user)
    return MinerCommand.objects.filter(site__in=sites).select_related("site", "miner", "requested_by")


def _handed_out(command: MinerCommand) -> dict[str, Any] | None:
    """The command for the agent; one whose password cannot be read any more fails here instead of at the miner."""
    try:
        return command_on_the_wire(command)
    except SecretUnreadable as error:
        outcome = Outcome(status="failed", result_code=1, message=str(error))
        dispatch.record_result(command.pk, site=command.site, outcome=outcome, actor="system", now=timezone.now())
        return None


def _limit(value: str | None) -> int:
    """Agents are answered even when they ask for nonsense."""
    return min(max(int(value), 1), MAX_LIMIT) if value and value.isdecimal() and len(value) < 10 else DEFAULT_LIMIT


def _zone(request: Request) -> str | None:
    """The zone an agent asks for. Some name theirs in the header alone, and turn down for good what they are handed of another one."""
    return request.query_params.get("zone_id", "").replace("\x00", "")[:50] or header_text(request, "X-Zone-ID", 50) or None


def _agent(request: Request) -> str:
    device = header_text(request, "X-Device-ID", 60) or header_text(request, "X-Edge-ID", 60)
    return f"{device or 'collector'} ({key_of(request).prefix}…)"
