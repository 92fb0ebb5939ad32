"""The folders that path sources may lie in, and what in them is never a source: hidden files, Tuneline's own state."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from agents.base.beneath import is_hidden, kind_of
from agents.base.errors import NotAllowed, NotFound
from agents.base.names import printable


@dataclass(frozen=True)
class Roots:
    """`folders`: where sources may lie; `private`: Tuneline's own folders and files, which nothing is read from."""

    folders: tuple[Path, ...]
    private: tuple[Path, ...] = ()

    def find(self, name: str) -> Path:
        """Return the file or folder of this name below one of the folders, without links in its path.

        Raises:
            NotAllowed: it lies outside, is hidden, is Tuneline's own, or is neither a file nor a folder.
            NotFound: nothing is there.
        """
        homes = [folder.resolve() for folder in self.folders]
        candidates = [real for home in homes if (real := _resolved(home / name)) is not None]
        inside = [real for real in candidates if any(real.is_relative_to(home) for home in homes)]
        faults = []
        for real in inside:
            try:
                self._check(name, real, homes)
                if (mode := _mode(name, real)) is not None:
                    self._check_kind(name, real, mode)
                    return real
            except NotAllowed as fault:
                faults.append(fault)
        if faults:
            raise faults[0]
        # Of paths outside nobody learns whether they exist.
        if len(inside) < len(candidates) or not homes:
            raise NotAllowed(
                f"'{printable(name)}' lies outside the folders that sources may come from ({listed(homes) or 'none'}).",
                cure="Move it there, upload it as a dataset, or add its folder to TUNELINE_DATA_ROOTS.",
            )
        raise NotFound(
            f"There is no '{printable(name)}' below {listed(homes)}.",
            cure="Check the path, or add its folder to TUNELINE_DATA_ROOTS.",
        )

    def _check(self, name: str, real: Path, homes: list[Path]) -> None:
        if real in homes and not Path(name).is_absolute():
            raise NotAllowed(
                f"'{printable(name)}' is the whole of '{real}'.", cure="Name a file or a folder in it as the source."
            )
        if all(is_hidden(real.relative_to(home)) for home in homes if real.is_relative_to(home)):
            raise NotAllowed(
                f"'{printable(name)}' is hidden, or lies in a hidden folder, and such files are never sources.",
                cure="Copy it to a name without a dot at its start, or upload it as a dataset.",
            )
        if any(_is_within(real, own) for own in self.private):
            raise NotAllowed(
                f"'{printable(name)}' is a part of Tuneline's own state, which is never a source.",
                cure="Copy it to a folder outside, or set TUNELINE_STATE_DIR to another folder.",
            )

    def _check_kind(self, name: str, real: Path, mode: int) -> None:
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise NotAllowed(
                f"'{printable(name)}' is neither a file nor a folder: it is a {kind_of(mode)}.",
                cure="Write what comes out of it to a file.",
            )
        own = self.private if stat.S_ISDIR(mode) else ()
        held = [folder for folder in own if folder.is_dir() and _is_within(folder, real)]
        if not all(folder.is_relative_to(real) and is_hidden(folder.relative_to(real)) for folder in held):
            raise NotAllowed(
                f"'{printable(name)}' has Tuneline's own state folder in it.",
                cure="Name a folder beside that, or set TUNELINE_STATE_DIR to a folder elsewhere.",
            )


def listed(folders: list[Path]) -> str:
    """Return folders as part of a sentence."""
    return ", ".join(f"'{folder}'" for folder in folders)


def _resolved(path: Path) -> Path | None:
    """Return a path without links, or None where there is none: links in a ring, or a name that no file can have."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def _mode(name: str, path: Path) -> int | None:
    """Return the mode of what is at a path, None where nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise NotAllowed(
            f"'{printable(name)}' can't be read: {os.strerror(fault.errno or 0).lower()}.",
            cure="Let the workers' user read it.",
        ) from fault


def _is_within(path: Path, folder: Path) -> bool:
    """Say whether a path lies in a folder, whichever way both are written: by the folder's identity on the disk."""
    if path.is_relative_to(folder):
        return True
    try:
        wanted = folder.stat()
    except OSError:
        return False
    return any(_is_same(above, wanted) for above in (path, *path.parents))


def _is_same(path: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), wanted)
    except OSError:
        return False
