"""Inside a worker: one attempt after the other, each with its lease, its process and its devices."""
