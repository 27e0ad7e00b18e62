"""Verdicts on a training's health, by rules with thresholds."""
