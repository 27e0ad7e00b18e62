"""One file per step: what makes a cfmodel call durable under Prefect (cache, retries, artifacts)."""
