"""A fuzzer for each parser of what comes from outside: `python -m tests.fuzz --seconds 60`."""
