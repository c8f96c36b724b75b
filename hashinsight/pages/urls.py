"""The console's own pages, under /admin beside Django's."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from hashinsight import dashboard, search
from hashinsight.pages import (
    alert,
    changes,
    charts,
    floor,
    inventory,
    layout,
    lists,
    miner,
    own,
    probe,
    readings,
    search_network,
    site,
    timeline,
)

app_name = "console"
_staff = admin.site.admin_view

urlpatterns = [
    path("overview/", _staff(dashboard.overview_fragment), name="overview"),
    path("search/", _staff(search.palette), name="palette"),  # in the place of Unfold's
    path("overview/series/", _staff(charts.farm), name="farm_series"),
    path("sites/site/<int:pk>/overview/", _staff(site.overview), name="site"),
    path("sites/site/<int:pk>/overview/live/", _staff(site.live), name="site_live"),
    path("sites/site/<int:pk>/overview/series/", _staff(charts.site), name="site_series"),
    path("sites/site/<int:pk>/overview/floor/", _staff(floor.floor), name="site_floor"),
    path("sites/site/<int:pk>/overview/layout/", _staff(layout.place), name="site_layout"),
    path("sites/site/<int:pk>/overview/layout/import/", _staff(layout.import_layout), name="site_layout_import"),
    path("miners/miner/<int:pk>/overview/", _staff(miner.overview), name="miner"),
    path("miners/miner/<int:pk>/overview/live/", _staff(miner.live), name="miner_live"),
    path("miners/miner/<int:pk>/overview/series/", _staff(charts.miner), name="miner_series"),
    path("miners/miner/import/", _staff(inventory.choose), name="import_miners"),
    path("miners/miner/import/<int:pk>/", _staff(inventory.preview), name="import_preview"),
    path("miners/miner/import/<int:pk>/progress/", _staff(inventory.progress), name="import_progress"),
    path("sites/site/<int:pk>/overview/search/", _staff(search_network.start), name="search_network"),
    path("miners/search/<int:pk>/", _staff(search_network.found), name="search_found"),
    path("miners/search/<int:pk>/progress/", _staff(search_network.progress), name="search_progress"),
    path("changes/", _staff(changes.changes), name="changes"),
    path("alerts/alert/<int:pk>/overview/", _staff(alert.overview), name="alert"),
    path("alerts/alert/<int:pk>/overview/live/", _staff(alert.live), name="alert_live"),
    path("alerts/alert/<int:pk>/overview/series/", _staff(charts.alert), name="alert_series"),
    path("alerts/alert/<int:pk>/overview/act/", _staff(alert.act), name="alert_act"),
    path("miners/miner/<int:pk>/overview/timeline/", _staff(timeline.timeline), name="miner_timeline"),
    path("miners/miner/<int:pk>/overview/probe/", _staff(probe.probe), name="miner_probe"),
    path("telemetry/readings/", _staff(readings.readings), name="readings"),
    path("preferences/", _staff(own.preferences), name="preferences"),
    path("preferences/filters/", _staff(lists.save_filter), name="save_filter"),
    path("preferences/filters/<int:pk>/remove/", _staff(lists.remove_filter), name="remove_filter"),
    path("preferences/columns/", _staff(lists.choose_columns), name="choose_columns"),
]
