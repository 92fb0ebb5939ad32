"""Bodies of requests: what is a number in JSON is one here, and nothing else becomes one."""

import pytest
from pydantic import ValidationError

from app.api.schemas.fleet import WorkersBody
from app.api.schemas.models import PromoteBody


@pytest.mark.parametrize(("given", "kept"), [(2, 2), (2.0, 2), (0, 0)])
def test_a_whole_number_may_be_written_with_a_point(given: float, kept: int) -> None:
    assert WorkersBody.model_validate({"workers": given}).workers == kept


@pytest.mark.parametrize("given", ["2", True, False, None, 1.5, [2], {"a": 2}, float("nan")])
def test_nothing_else_becomes_a_number(given: object) -> None:
    with pytest.raises(ValidationError):
        WorkersBody.model_validate({"workers": given})


@pytest.mark.parametrize("given", [3, 3.0, "3", "champion"])
def test_a_version_is_a_number_or_a_text(given: object) -> None:
    assert str(PromoteBody.model_validate({"version": given, "reason": "r"}).version) in {"3", "champion"}


@pytest.mark.parametrize("given", [True, False, 1.5, None, [3], float("inf")])
def test_other_versions_are_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        PromoteBody.model_validate({"version": given, "reason": "r"})
