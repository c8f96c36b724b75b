"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hashinsight.settings")
application = get_wsgi_application()
# What the start-up made lives as long as the process. The garbage collector would look through it several times an upload.
gc.freeze()
