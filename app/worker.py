"""The worker under its older name: fleets of release 0.1.0 that still run start processes by it."""

from app.processes.worker import work, work_in_fleet

__all__ = ["work", "work_in_fleet"]
