"""Plots of runs and data sets, drawn with matplotlib."""
