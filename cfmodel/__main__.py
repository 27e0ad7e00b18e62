"""`python -m cfmodel` is the `cfmodel` command."""

from cfmodel.cli import main

main()
