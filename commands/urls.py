"""Commands, in both generations of the protocol, and what staff ask."""

from __future__ import annotations

from commands import views
from sites.api import endpoint

urlpatterns = [
    *endpoint("collector/commands/pending", views.PendingCommandsView, name="commands-pending"),
    *endpoint("edge/v1/commands/poll", views.PendingCommandsView, name="commands-poll"),
    *endpoint("collector/commands/<uuid:command_id>/result", views.CommandResultView, name="command-result"),
    *endpoint("edge/v1/commands/<uuid:command_id>/ack", views.CommandResultView, name="command-ack"),
    *endpoint("collector/commands", views.CommandsView, name="commands"),
    *endpoint("collector/commands/batch", views.CommandBatchView, name="commands-batch"),
    *endpoint("collector/commands/history", views.CommandHistoryView, name="commands-history"),
    *endpoint("collector/commands/stats", views.CommandStatsView, name="commands-stats"),
    *endpoint("collector/commands/<uuid:command_id>", views.CommandView, name="command"),
]
