"""Data sets: the digits, and the standard files of the others, made small."""

import gzip
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup, InvalidStore  # noqa: E402
from statmech_bn.handwriting import handwritten  # noqa: E402
from statmech_bn.networks.data import CIFAR_BATCHES  # noqa: E402

IDX_FILES = {
    "train-images-idx3-ubyte": (7, 5, 4),
    "train-labels-idx1-ubyte": (7,),
    "t10k-images-idx3-ubyte": (3, 5, 4),
    "t10k-labels-idx1-ubyte": (3,),
}


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def idx(values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return head + values.tobytes()


def write_idx(folder, generator, compress):
    written = {}
    for name, shape in IDX_FILES.items():
        values = generator.integers(0, 256 if len(shape) > 1 else 10, shape).astype(np.uint8)
        content = idx(values)
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
        written[name] = values
    return list(written.values())


def write_cifar(folder, generator, binary):
    images, labels = [], []
    for name in CIFAR_BATCHES:
        data = generator.integers(0, 256, (4, 3072)).astype(np.uint8)
        label = generator.integers(0, 10, 4)
        if binary:
            rows = np.concatenate([label[:, None].astype(np.uint8), data], axis=1)
            (folder / f"{name}.bin").write_bytes(rows.tobytes())
        else:
            batch = {b"data": data, b"labels": label.tolist(), b"filenames": [b"a.png"] * 4}
            (folder / name).write_bytes(pickle.dumps(batch))
        images.append(data.reshape(4, 3, 32, 32))
        labels.append(label)
    return np.concatenate(images), np.concatenate(labels)


def assert_standardized(inputs, raw):
    """Standardized by channel, by the training set's mean and spread."""
    values = inputs.double().numpy()
    np.testing.assert_allclose(values.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=(0, 2, 3)), 1, rtol=1e-5)
    mean, spread = (f(raw, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    np.testing.assert_allclose(values, (raw - mean) / spread, rtol=1e-4, atol=1e-5)


def test_digits_are_split_by_the_seed():
    first, again, other = (networks.load(seed=seed) for seed in (0, 0, 1))
    assert first.shape == (1, 8, 8)
    assert first.classes == 10
    assert len(first.train_labels) + len(first.test_labels) == 1797
    assert len(first.test_labels) == round(0.2 * 1797)
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert not torch.equal(first.train_labels, other.train_labels)
    values = first.train_inputs.double()
    assert abs(values.mean()) < 1e-6
    assert values.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    fewer = networks.load(samples=100)
    assert len(fewer.train_labels) == 100
    assert torch.equal(fewer.test_labels, first.test_labels)


def test_five_thousand_of_mnist_need_no_folder():
    found = networks.load("mnist-5000", test_share=0.1)
    assert found.shape == (1, 28, 28)
    assert len(found.train_labels) == 4500
    images, labels = handwritten("mnist-5000")
    whole = torch.cat([found.train_labels, found.test_labels])
    assert torch.equal(whole.bincount(), torch.from_numpy(np.bincount(labels)))
    inside = found.train_inputs.double().numpy()
    assert abs(inside.mean()) < 1e-6
    shades = np.unique(inside)  # one number for all pixels keeps the grey levels apart
    assert len(shades) == len(np.unique(images))
    np.testing.assert_allclose(shades[-1] - shades[0], 1 / images.std(), rtol=0.01)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("compress", [False, True])
def test_idx_files(tmp_path, generator, name, compress):
    train, labels, test, test_labels = write_idx(tmp_path, generator, compress)
    found = networks.load(name, tmp_path)
    assert_standardized(found.train_inputs, train[:, None])
    np.testing.assert_array_equal(found.train_labels, labels)
    np.testing.assert_array_equal(found.test_labels, test_labels)
    np.testing.assert_allclose(
        found.test_inputs[:, 0], (test - train.mean()) / train.std(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_files_in_the_folder_of_their_archive(tmp_path, generator, binary):
    inside = tmp_path / "cifar-10-batches"
    inside.mkdir()
    images, labels = write_cifar(inside, generator, binary)
    found = networks.load("cifar-10", tmp_path)
    assert_standardized(found.train_inputs, images[:20])
    np.testing.assert_array_equal(found.train_labels, labels[:20])
    np.testing.assert_array_equal(found.test_labels, labels[20:])
    fewer = networks.load("cifar-10", tmp_path, samples=5)
    assert len(fewer.train_labels) == 5


@pytest.mark.parametrize("name", ["mnist", "cifar-10"])
def test_a_missing_file_says_what_belongs_there(tmp_path, name):
    told = "t10k-labels-idx1-ubyte" if name == "mnist" else "data_batch_1 to data_batch_5"
    with pytest.raises(InvalidStore, match=told):
        networks.load(name, tmp_path)
    with pytest.raises(InvalidSetup, match="folder"):
        networks.load(name)


def test_broken_files_are_refused(tmp_path, generator):
    write_idx(tmp_path, generator, False)
    path = tmp_path / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    for content, told in ((whole[:-1], "head says"), (b"nothing", "not an idx file")):
        path.write_bytes(content)
        with pytest.raises(InvalidStore, match=told):
            networks.load("mnist", tmp_path)
    path.write_bytes(idx(np.zeros((6, 5, 4), np.uint8)))
    with pytest.raises(InvalidStore, match="6 images for 7 labels"):
        networks.load("mnist", tmp_path)
    write_cifar(tmp_path, generator, True)
    (tmp_path / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(InvalidStore, match="records"):
        networks.load("cifar-10", tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, generator):
    write_cifar(tmp_path, generator, False)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(gzip.open))
    with pytest.raises(InvalidStore, match="asks for"):
        networks.load("cifar-10", tmp_path)


def test_wrong_arguments_are_refused():
    for arguments in ({"name": "letters"}, {"samples": 10_000}, {"test_share": 1.0}):
        with pytest.raises(InvalidSetup, match=next(iter(arguments))):
            networks.load(**arguments)
