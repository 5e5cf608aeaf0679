"""A study: sweeps into the groups of one store, figures and tables of it.

A simulation script is one. It is a module that declares four things, each of them once:

- ``Options``, a dataclass that adds the sizes of its presets to those of `Options`;
- ``parts(options)``, groups of the store → functions and their grids (see `statmech_bn.sweep`);
- ``figures(tree)``, names → callables, each of which draws one figure;
- ``tables(tree)``, titles → `pandas.DataFrame`, if it has any.

`main` runs a script from the command line; `load` and `results` give it to a notebook. What results
say of a claim follows one rule, that of `decide`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import xarray as xr
import zarr

from statmech_bn.checks import choice, function, instance
from statmech_bn.dataset import open_dataset
from statmech_bn.errors import InvalidStore, StatmechError, invalid
from statmech_bn.files import recover, remove, user_path
from statmech_bn.store_metadata import consolidate, is_complete
from statmech_bn.sweeps import plan, sweep
from statmech_bn.sweeps.run import folder_of
from statmech_bn.verdicts import decide, distances, judge, limit, mean_and_error

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "Figures",
    "Options",
    "Part",
    "Tables",
    "decide",
    "distances",
    "judge",
    "limit",
    "load",
    "main",
    "mean_and_error",
    "results",
    "run",
    "simulate",
]

Part = tuple[Callable[..., xr.Dataset], Mapping[str, Any]]
"""A group of a store has a function, and the grid of its arguments."""
Figures = Mapping[str, "Callable[[], Figure]"]
"""A figure has a name, by which its file is called, and a callable that draws it."""
Tables = Mapping[str, "pd.DataFrame"]
"""A table has a title, under which it is printed."""


VERDICTS = (
    "A verdict allows three standard errors, and more if replicas are few or comparisons many "
    "(statmech_bn.study.decide)."
)


@dataclass(frozen=True)
class Options:
    """What every script can be asked for; scripts add the sizes that their presets choose."""

    store: Path = Path("results/study.zarr")
    """Where the results go. What is not given goes into a folder `quick` for the quick preset."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "quick"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    workers: int | None = None
    """Number of threads, by default one a core; results do not depend on it."""
    scheduler: str | None = None
    """Address of a Dask scheduler, whose workers are used instead."""
    resume: bool = True
    """Go on with a store that was not finished; otherwise it is removed first."""
    dry_run: bool = False
    """Only say how large the grid is, and about how much memory and time it takes."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Each preset has sizes for the options that are None unless given."""

    def __post_init__(self) -> None:
        """Keep the presets' results apart: a store has one grid."""
        if self.preset == "quick":
            for field in fields(self):
                path = getattr(self, field.name)
                if field.name in ("store", "figures") and path == field.default:
                    object.__setattr__(self, field.name, path.parent / "quick" / path.name)

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        choice("name", name, [field.name for field in fields(self)])
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
    root = recover(folder_of(options.store))
    if not options.resume and root.exists():
        if not (root / "zarr.json").exists():
            raise InvalidStore(f"{root} is not a Zarr store; it is left alone.")
        remove(root)
    groups = [root / name for name in parts]
    if not all(is_complete(group) for group in groups):
        consolidate(root, again=False)  # what it says will not hold for long
    for name, (compute, grid) in parts.items():
        for folder in reversed(Path(name).parents):  # the root is the parent "." of all
            _make_group(root / folder)
        sweep(compute, grid, root / name, workers=options.workers, scheduler=options.scheduler)
    consolidate(root)
    return open_dataset(root)


def run(
    parts: Mapping[str, Part],
    figures: Callable[[xr.DataTree], Figures],
    options: Options,
    tables: Callable[[xr.DataTree], Tables] | None = None,
) -> xr.DataTree | None:
    """Do what a script is asked for: compute, store, draw and tabulate, or say what it would take.

    Parameters
    ----------
    parts : mapping
        Group of the store → function and grid.
    figures : callable
        Tree → name → callable that draws the figure; a file is called by the store and the name.
    options : Options
    tables : callable, optional
        Tree → title → table, which is printed.

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
        seconds = 0.0
        for name, (compute, grid) in parts.items():
            needed = plan(compute, grid, workers=options.workers, scheduler=options.scheduler)
            print(f"{name}: {needed}\n", flush=True)
            seconds += needed.seconds
        print(f"time altogether: {tqdm.format_interval(seconds)}, and what is compiled")
        return None
    tree = simulate(parts, options)
    drawn = figures(tree)
    folder = user_path(options.figures, "figures")
    for name, draw in tqdm(drawn.items(), desc="figures", disable=None):
        save_figure(draw(), folder / f"{options.store.stem}_{name}")
    print(f"results: {options.store}")
    print(f"figures: {folder / options.store.stem}_{{{','.join(drawn)}}}.{{png,pdf}}")
    shown = tables(tree) if tables else {}
    for title, table in shown.items():
        print(f"\n{title}\n{table.round(4).to_string()}")
    if any("verdict" in table for table in shown.values()):
        print(VERDICTS)
    return tree


def main(
    description: str | None,
    options: type[Options],
    parts: Callable[[Any], Mapping[str, Part]],
    figures: Callable[[xr.DataTree], Figures],
    tables: Callable[[xr.DataTree], Tables] | None = None,
) -> None:
    """Run a script as its command line asks.

    Parameters
    ----------
    description : str or None
        The script's docstring, which its help begins with.
    options : type
        The script's dataclass of options.
    parts : callable
        Options → group of the store → function and grid.
    figures, tables : callable
        As for `run`.
    """
    import tyro

    asked = tyro.cli(options, description=description)
    name = Path(sys.argv[0]).name
    print(f"\n{name} ({asked.preset}): {(description or '').partition(chr(10))[0]}", flush=True)
    try:
        if run(parts(asked), figures, asked, tables) is not None:
            print(_what_next(name, asked))
    except StatmechError as error:
        raise SystemExit(f"{name}: {type(error).__name__}: {error}") from None
    except KeyboardInterrupt as stop:
        print("\nStopped.", *getattr(stop, "__notes__", ()), file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def load(name: str, near: str | os.PathLike[str] | None = None) -> ModuleType:
    """Import a simulation script under the name by which its stores know it.

    That is the name of its file, as if it were run: a sweep that was begun by the script is then
    the same sweep for a notebook and for a paper.

    Parameters
    ----------
    name : str
        Name of the script, without ``.py``.
    near : path-like, optional
        Folder in which, or in a parent of which, there is a folder ``simulations`` with the script;
        by default the working directory.

    Returns
    -------
    module

    Raises
    ------
    InvalidSetup
        There is no such script.
    """
    start = Path.cwd() if near is None else user_path(near, "near").absolute()
    for root in (start, *start.parents):
        folder = root / "simulations"
        if (folder / f"{name}.py").exists():
            if str(folder) not in sys.path:  # a script may import another one
                sys.path.insert(0, str(folder))
            return importlib.import_module(name)
    raise invalid("name", f"a script simulations/NAME.py in or above {start}", name, "check it")


def results(script: ModuleType, options: Options | None = None) -> xr.DataTree:
    """Open the results of a script, computed first where they are missing.

    Parameters
    ----------
    script : module
        As from `load`.
    options : Options, optional
        What to compute, and where. By default the script's own store, if there is one, as it is,
        that of the quick preset last; else the quick preset, in a temporary folder.

    Returns
    -------
    xarray.DataTree
    """
    for needed in ("Options", "parts"):
        function(f"script.{needed}", getattr(script, needed, None), "Give what study.load returns.")
    if options is None:
        for preset in ("paper", "quick"):
            asked = user_path(script.Options(preset=preset).store, "store")
            store = Path(str(script.__file__)).parents[1] / asked
            if store.exists():
                return open_dataset(store)
        options = script.Options(preset="quick", store=Path(tempfile.mkdtemp()) / store.name)
    return simulate(script.parts(options), options)


def _what_next(name: str, options: Options) -> str:
    """Say what can be done with results."""
    reader = Path("analysis") / name
    read = f"{reader} says what they show" if reader.exists() else "statmech_bn.open reads them"
    larger = ", --preset paper makes them at full size" if options.preset == "quick" else ""
    return f"next: {read}{larger}."


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
