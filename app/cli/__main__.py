"""`python -m app.cli` is `tuneline`."""

from tuneline_start import main

main()
