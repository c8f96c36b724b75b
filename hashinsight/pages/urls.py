"""The console's own pages, under /admin beside Django's."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from hashinsight import dashboard
from hashinsight.pages import changes, charts, floor, miner, readings, site

app_name = "console"
_staff = admin.site.admin_view

urlpatterns = [
    path("overview/", _staff(dashboard.overview_fragment), name="overview"),
    path("overview/series/", _staff(charts.farm), name="farm_series"),
    path("sites/site/<int:pk>/overview/", _staff(site.overview), name="site"),
    path("sites/site/<int:pk>/overview/live/", _staff(site.live), name="site_live"),
    path("sites/site/<int:pk>/overview/series/", _staff(charts.site), name="site_series"),
    path("sites/site/<int:pk>/overview/floor/", _staff(floor.floor), name="site_floor"),
    path("miners/miner/<int:pk>/overview/", _staff(miner.overview), name="miner"),
    path("miners/miner/<int:pk>/overview/live/", _staff(miner.live), name="miner_live"),
    path("miners/miner/<int:pk>/overview/series/", _staff(charts.miner), name="miner_series"),
    path("changes/", _staff(changes.changes), name="changes"),
    path("telemetry/readings/", _staff(readings.readings), name="readings"),
]
