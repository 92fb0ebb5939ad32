"""`python -m app.cli` is `tuneline`."""

from app.cli import main

main()
