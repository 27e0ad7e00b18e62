"""Whether a training is healthy: rules, thresholds and verdicts."""
