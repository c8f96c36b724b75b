"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

YOUNG_OBJECTS = 50_000

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hashinsight.settings")
application = get_wsgi_application()

# Every view is loaded now and not by the first request. What is there by then lives as long as the process, and a collection that walks
# all of it, or that starts at each 700 new objects, costs an upload of 5,000 records up to 70 ms.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
gc.set_threshold(YOUNG_OBJECTS)
