"""The `cfmodel` commands after their options are read; imported when a command is called."""
