"""How people and processes reach Tuneline: HTTP, command line, workers, serving."""
