"""What Tuneline runs, and when: the shipped specs, the judge of specs, and the engine."""

from pathlib import Path

SHIPPED = Path(__file__).parent


def shipped_specs() -> dict[str, Path]:
    """Return the specs that come with Tuneline: name -> file."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
