"""Run the `cfmodel` command as `python -m cfmodel`."""

from cfmodel.cli import main

main()
