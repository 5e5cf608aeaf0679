"""A study: sweeps into the groups of one store, and figures of it. Every simulation script is one.

A script says what to compute, ``parts(options)``, a mapping from groups of the store to functions
and their grids (see `statmech_bn.sweep`), and what to draw, ``figures(tree)``. The options that all
scripts have are those of `Options`. What results say of a claim follows one rule, that of `decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import xarray as xr
import zarr

from statmech_bn.checks import function, instance
from statmech_bn.dataset import open_dataset
from statmech_bn.errors import InvalidStore, invalid
from statmech_bn.files import recover, remove, user_path
from statmech_bn.sweeps import plan, sweep
from statmech_bn.verdicts import decide, distances, judge, limit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Options", "Part", "decide", "distances", "judge", "limit", "run", "simulate"]

Part = tuple[Callable[..., xr.Dataset], Mapping[str, Any]]
"""A function and the grid of its arguments."""


@dataclass(frozen=True)
class Options:
    """What every script can be asked for; scripts add the sizes that their presets choose."""

    store: Path = Path("results/study.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a few minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    workers: int | None = None
    """Threads, by default one a core; no effect on the results."""
    scheduler: str | None = None
    """Address of a Dask scheduler, whose workers are used instead."""
    resume: bool = True
    """Go on with a store that was not finished; otherwise it is removed first."""
    dry_run: bool = False
    """Only say how large the grid is, and about how much memory and time it takes."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Sizes by preset, for options that are None unless given."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return self.presets[self.preset][name] if given is None else given


def simulate(parts: Mapping[str, Part], options: Options) -> xr.DataTree:
    """Compute what is missing of a study, and open its store.

    Parameters
    ----------
    parts : mapping
        Group of the store → function and grid.
    options : Options

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    InvalidStore, SweepStopped
        As `statmech_bn.sweep` does.
    """
    _check_parts(parts)
    instance("options", options, Options)
    root = recover(user_path(options.store, "store"))
    if not options.resume and root.exists():
        if not (root / "zarr.json").exists():
            raise InvalidStore(f"{root} is not a Zarr store; it is left alone.")
        remove(root)
    for name, (compute, grid) in parts.items():
        for folder in reversed(Path(name).parents):  # the root is the parent "." of all
            _make_group(root / folder)
        sweep(compute, grid, root / name, workers=options.workers, scheduler=options.scheduler)
    return open_dataset(root)


def run(
    parts: Mapping[str, Part],
    figures: Callable[[xr.DataTree], Mapping[str, Figure]],
    options: Options,
) -> xr.DataTree | None:
    """Do what a script is asked for: compute, store and draw, or say what that would take.

    Parameters
    ----------
    parts : mapping
        Group of the store → function and grid.
    figures : callable
        Tree → name → figure; files are called by the store and the name.
    options : Options

    Returns
    -------
    xarray.DataTree or None
        None after a dry run.
    """
    _check_parts(parts)
    function("figures", figures)
    instance("options", options, Options)
    from tqdm import tqdm

    from statmech_bn.plot import save_figure

    if options.dry_run:
        for name, (compute, grid) in parts.items():
            needed = plan(compute, grid, workers=options.workers, scheduler=options.scheduler)
            print(f"{name}: {needed}\n")
        return None
    tree = simulate(parts, options)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        save_figure(figure, user_path(options.figures, "figures") / f"{options.store.stem}_{name}")
    print(f"results: {options.store}\nfigures: {options.figures}")
    return tree


def _check_parts(parts: Any) -> None:
    """Raise InvalidSetup unless every group has a function and a grid."""
    fix = "{'group': (function, {'argument': values})}"
    if not isinstance(parts, Mapping) or isinstance(parts, xr.Dataset):
        raise invalid("parts", "a mapping", parts, fix)
    for name, part in parts.items():
        if not isinstance(name, str) or not isinstance(part, tuple) or len(part) != 2:
            raise invalid("parts", "names of groups with a function and a grid", parts, fix)
        function(f"parts[{name!r}][0]", part[0], fix)


def _make_group(folder: Path) -> None:
    """Make a group without arrays, unless there is one."""
    if not (folder / "zarr.json").exists():
        if folder.exists() and any(folder.iterdir()):
            raise InvalidStore(f"{folder} is a folder but not a Zarr store; it is left alone.")
        zarr.create_group(folder, zarr_format=3)
