"""The doctor's checks of the installation: Python, and each pinned package against what is installed."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from app.doctor.finding import Finding

DISTRIBUTION = "tuneline"
INSTALL = "Install the pinned versions: make install."


def python_version(version: str = platform.python_version(), required: str | None = None) -> Finding:
    """Compare Python's version with `Requires-Python` of the distribution."""
    if required is None:
        try:
            required = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
        except metadata.PackageNotFoundError:
            required = ""
    fits = SpecifierSet(required).contains(version, prereleases=True)
    return Finding(name="Python", ok=fits, found=version, cure="" if fits else f"Use a Python {required}.")


def pinned_packages() -> list[Finding]:
    """Compare the distribution's pins with what is installed: what it always needs, then each extra."""
    try:
        pins = [Requirement(pin) for pin in metadata.requires(DISTRIBUTION) or []]
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return [Finding(name="packages", ok=False, found=f"'{DISTRIBUTION}' is not installed.", cure=INSTALL)]
    return judge_packages(pins, extras, {pin.name: _installed_version(pin.name) for pin in pins})


def judge_packages(
    pins: Sequence[Requirement], extras: Sequence[str], installed: Mapping[str, str | None]
) -> list[Finding]:
    """Return one finding for what is always needed and one per extra.

    `installed`: package name -> its version, or None. Packages missing from an extra are not a fault: the
    API's machine needs no torch. A package that is there in another version than the pinned one always is.
    """
    always = [pin for pin in pins if _is_for(pin, "")]
    groups = {extra: [pin for pin in pins if pin not in always and _is_for(pin, extra)] for extra in extras}
    return [_judge_group("", always, installed), *(_judge_group(*group, installed) for group in groups.items())]


def _is_for(pin: Requirement, extra: str) -> bool:
    return pin.marker is None or pin.marker.evaluate({"extra": extra})


def _judge_group(extra: str, pins: list[Requirement], installed: Mapping[str, str | None]) -> Finding:
    name = f"packages, {extra}" if extra else "packages"
    other = [
        f"{pin.name} {version}, pinned {pin.specifier}"
        for pin in pins
        if (version := installed.get(pin.name)) and not pin.specifier.contains(version, prereleases=True)
    ]
    missing = [pin.name for pin in pins if not installed.get(pin.name)]
    if other or (missing and not extra):
        found = "; ".join([*other, *(f"{package} is missing" for package in missing)])
        return Finding(name=name, ok=False, found=found, cure=INSTALL)
    if missing:
        cure = f"To use it: pip install -c deploy/constraints.txt -e '.[{extra}]'."
        return Finding(name=name, ok=None, found=f"not installed: {', '.join(missing)}", cure=cure)
    return Finding(name=name, ok=True, found=f"{len(pins)} as pinned")


def _installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
