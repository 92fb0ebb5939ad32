"""Real kills, cut connections and full disks. `make faults` runs every cell, `make soak` kills at random."""
