"""What nobody asks for: lost leases, due retries, lost messages, archives, and what can be removed."""
