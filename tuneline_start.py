"""The door of the command line: sees that `agents`, `app` and `pipelines` are Tuneline's before it imports them.

These names are common. The package `openai-agents` installs an `agents` too, and users have an `app.py`; whichever
Python finds first would end in a traceback.
"""

import os
import site
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parent
PACKAGES = ("agents", "app", "pipelines")
#: The first line of each of our packages has it.
MARK = "Tuneline"
FIRST_BYTES = 200
OWN_ENVIRONMENT = "install Tuneline into a virtual environment of its own"


def main() -> None:
    """Run the command line; where other packages stand in front of ours, say so in one sentence and exit with 2."""
    if (fault := prepare()) is not None:
        _end(fault)
    try:
        from app.cli import main as run
    except ImportError as error:
        if (fault := mixed(error)) is None:
            raise
        _end(fault)
    run()


def start_command(command: str) -> list[str]:
    """Return the command line that starts `tuneline <command>` in a process of its own, whatever folder it is in."""
    return [sys.executable, "-P", str(HOME / "tuneline_start.py"), command]


def prepare() -> str | None:
    """Leave the user's folder out of what is looked into; return what `foreign` found."""
    leave_current_folder_out()
    return foreign()


def leave_current_folder_out() -> None:
    """Have neither this process nor those that it starts import from the folder where the command runs.

    Python looks there first for `-m`, for `-c` and, also with `-P`, for each empty entry of PYTHONPATH. A folder that
    PYTHONPATH names is looked into.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    named = [entry for entry in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    if named:
        os.environ["PYTHONPATH"] = os.pathsep.join(named)
    try:
        current = Path.cwd()
    except FileNotFoundError:
        return
    if current not in {HOME, *(Path(entry).resolve() for entry in named)}:
        library = str(Path(os.__file__).parent)
        first = sys.path.index(library) if library in sys.path else len(sys.path)
        sys.path[:first] = [place for place in sys.path[:first] if Path(place).resolve() != current]


def foreign() -> str | None:
    """Return what is wrong with the packages that Python would import, as one sentence with the cure; None: nothing."""
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None:
            # A checkout that was never installed, started from another folder.
            sys.path.append(str(HOME))
            spec = find_spec(name)
        place = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if place != HOME / name / "__init__.py":
            return _stands_before(name, place or _folder(name))
        if not _is_ours(place):
            return f"Another package has overwritten Tuneline's '{name}' in {place.parent}{_owners(name)}: {_again()}."
    return None


def mixed(error: ImportError) -> str | None:
    """Return which other package has files among ours, if that can be why an import failed."""
    name = (error.name or "").partition(".")[0]
    if name not in PACKAGES or not (owners := _owners(name)):
        return None
    return f"The files of another package are mixed into Tuneline's '{name}' in {HOME / name}{owners}: {_again()}."


def _stands_before(name: str, place: Path | None) -> str:
    if place is None:
        return f"Tuneline's package '{name}' is missing in {HOME}: install Tuneline again."
    folder = place.parent.parent if place.name == "__init__.py" else place.parent
    found = f"Python finds another '{name}' before Tuneline's, at {place}"
    if folder in {Path(path).resolve() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}:
        return f"{found}: take {folder} out of PYTHONPATH, or unset it."
    if str(folder) in {str(Path(path).resolve()) for path in (*site.getsitepackages(), site.getusersitepackages())}:
        return f"{found}{_owners(name)}: {OWN_ENVIRONMENT}."
    return f"{found}: take {folder} off Python's path, or {OWN_ENVIRONMENT}."


def _folder(name: str) -> Path | None:
    """Return the folder that Python takes for a package without `__init__.py`."""
    spec = PathFinder.find_spec(name)
    return next((Path(path).resolve() for path in spec.submodule_search_locations or ()), None) if spec else None


def _is_ours(init: Path) -> bool:
    with init.open("rb") as file:
        return MARK.encode() in file.read(FIRST_BYTES)


def _owners(name: str) -> str:
    """Return which other distributions install a package of this name, as part of a sentence."""
    # It reads every distribution there is, which only a fault is worth.
    from importlib.metadata import packages_distributions

    others = sorted({owner for owner in packages_distributions().get(name, ()) if owner.lower() != "tuneline"})
    return f" (installed by {', '.join(others)})" if others else ""


def _again() -> str:
    return f"{OWN_ENVIRONMENT}, where nothing else brings such a name"


def _end(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
