"""`python -m easyjobs`: the same as the command `easyjobs`."""

from easyjobs.cli import main

main()
