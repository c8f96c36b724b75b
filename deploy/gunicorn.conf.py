"""gunicorn's settings, for `manage.py up` and for a gunicorn run by hand: gunicorn hashinsight.wsgi -c deploy/gunicorn.conf.py"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import multiprocess

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

worker_class = "hashinsight.web_worker.Worker"  # threads
threads = int(os.environ.get("HASHINSIGHT_WEB_THREADS", "8"))
# A worker that takes no request for this long is replaced; a thread that waits for the database is not a dead worker.
timeout = 60
graceful_timeout = 10
keepalive = 5
# Uploads of up to 10 MB come with long headers only by mistake; the rest of the limits are the application's.
limit_request_line = 8190
control_socket_disable = True
loglevel = "warning"


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Forget the gauges of a worker that is gone, so that /metrics does not count it."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)
