"""What an operator lets one job ask for. The settings of these names say otherwise (`TUNELINE_JOB_NODES_MOST`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caps:
    """The largest of what a spec may ask for."""

    job_nodes_most: int = 2_000
    """Nodes of a job, after the matrix."""
    job_cost_usd_most: float = 100.0
    """What the language models of one job may cost together."""
    node_retries_most: int = 20
    node_timeout_s_most: float = 2_592_000.0


def setting(cap: str) -> str:
    """Return the name of a cap's setting."""
    return f"TUNELINE_{cap.upper()}"
