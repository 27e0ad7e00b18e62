"""What happens, in order: each flow composes tasks and reads as its docstring."""

import atexit
import gc
import os

# A flow that Python calls starts a server of Prefect's own, whose usage reports also get in the way of its start.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# As in cfmodel.cli, for the processes of a worker.
atexit.register(gc.freeze)
