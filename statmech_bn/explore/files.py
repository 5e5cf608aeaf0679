"""What can be downloaded of a state: its curves as NetCDF or as a zipped Zarr store, its figure.

Files are made in a temporary folder under names of their own; no name comes from outside.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import xarray as xr

from statmech_bn import plot
from statmech_bn.dataset import save
from statmech_bn.explore.curves import tree
from statmech_bn.explore.partition import TITLES, partitions
from statmech_bn.explore.state import State

NAME = "explorer"


def netcdf(state: State) -> bytes:
    """Return a NetCDF file."""
    with TemporaryDirectory() as folder:
        return save(results(state), Path(folder) / f"{NAME}.nc").read_bytes()


def zarr(state: State) -> bytes:
    """Return a zipped Zarr store, which `statmech_bn.open` reads once it is unpacked."""
    written = io.BytesIO()
    with TemporaryDirectory() as folder, zipfile.ZipFile(written, "w") as archive:
        store = save(results(state), Path(folder) / f"{NAME}.zarr")
        for path in sorted(store.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return written.getvalue()


def pdf(state: State) -> bytes:
    """Return the figure as a PDF."""
    if state.tab == "partition":
        cuts = {TITLES[name]: cut for name, cut in partitions(state).items()}
        drawn = plot.partitions({state.data: cuts})
    else:
        found = results(state)
        runs = {name: [node.to_dataset() for node in group.children.values()]
                for name, group in found.children.items()}  # fmt: skip
        drawn = plot.students(runs)
    with TemporaryDirectory() as folder:
        return plot.save_figure(drawn, Path(folder) / NAME)[1].read_bytes()


def results(state: State) -> xr.DataTree:
    """Return what the tab shows as a tree of Datasets."""
    if state.tab == "partition":
        return xr.DataTree.from_dict(dict(partitions(state)))
    return tree(state)
