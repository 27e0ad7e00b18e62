"""The flows: which tasks run in which order. Each reads as its docstring says."""

import atexit
import gc
import os

from cfmodel.system.homes import ensure_home

# Before Prefect is imported: it looks for its home then.
ensure_home()
# Usage reports of Prefect's server are off unless turned on, also for a flow called from Python: they delay its start.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# As in cfmodel.cli, for the processes of a worker.
atexit.register(gc.freeze)
