"""Pages, container files and pins held to the code."""
