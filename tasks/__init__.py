"""One file per step of a flow: a call of cfmodel with retries, and what Prefect's page shows of it."""
