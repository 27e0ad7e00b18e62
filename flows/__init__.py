"""What happens, in order: each flow composes tasks and reads as its docstring."""

import atexit
import gc
import os

# Usage reports of Prefect's server are off unless asked for, that of a flow that Python calls too: they also get in the
# way of its start.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# As in cfmodel.cli, for the processes of a worker.
atexit.register(gc.freeze)
