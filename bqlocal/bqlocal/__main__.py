"""`python -m bqlocal`, the same as the command `bqlocal`."""

from bqlocal.cli import main

main(prog_name="python -m bqlocal")
