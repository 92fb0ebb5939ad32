"""Work that may be long or crash, for tests to do in a process with limits."""

from agents.data.pii.rules import find_pii, mask_pii


def count_findings(piece: str, count: int) -> int:
    """Return how many pieces of personal data are found and masked in a text of one piece again and again."""
    text = piece * count
    found = find_pii(text)
    mask_pii(text, found)
    return len(found)
