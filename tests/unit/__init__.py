"""Each by itself: no server, no network, no training; a guard refuses them. `make test-fast`."""
