"""The health rules: functions that look for one fault each, and their catalogue."""
