"""Where the data sets come from: the files of each, their checksums, and who serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matode._array import host
from nn.data.cifar import extract, parse_records
from nn.data.dataset import DataError, Dataset, normalised
from nn.data.downloads import download, folders
from nn.data.idx import read_idx

__all__ = ["CIFAR_10", "CIFAR_100", "FASHION_MNIST", "MNIST", "Source"]

Part = tuple[host.ndarray, host.ndarray]
"""Images and labels."""


@dataclass(frozen=True)
class Source:
    """A data set that is kept in files.

    Attributes
    ----------
    name : str
        Of its folder.
    title : str
        As people write it.
    archives : mapping
        SHA-256 of each file that the mirrors serve, by its name.
    mirrors : sequence of str
        What stands before the name in the address.
    read : callable
        ``read(folder) -> (training part, test part)``, or the names of the files that the folder lacks.
    files : str
        Which files to put in the folder, for a message.
    classes : int
        Number of classes.
    """

    name: str
    title: str
    archives: Mapping[str, str]
    mirrors: Sequence[str]
    read: Callable[[Path], tuple[Part, Part] | list[str]]
    files: str
    classes: int = 10

    def load(self) -> Dataset:
        """Return the data set from the first place that has it.

        Raises
        ------
        FileNotFoundError
            If no place has it and no mirror serves it; the message says where it was looked for and what to do.
        DataError
            If a file is there but damaged.
        """
        tried = []
        for folder in folders(self.name):
            parts = self.read(folder)
            if isinstance(parts, tuple):
                return self._normalised(parts, f"{self.title} from {folder}")
            lacks = f" (which lacks {', '.join(parts)})" if folder.is_dir() else ""
            tried.append(f"{folder}{lacks}")
        looked = f"{self.title} is not in {' nor in '.join(tried)}" if tried else "$MATODE_DATA_DIR is not set"
        fetched, why_not = download(self.name, self.archives, self.mirrors)
        if fetched is None:
            raise FileNotFoundError(
                f"{looked}, and {why_not}; put {self.files} in a folder called {self.name}, and set MATODE_DATA_DIR "
                "to the folder that it is in"
            )
        parts = self.read(fetched)
        if isinstance(parts, list):
            raise FileNotFoundError(f"{fetched} lacks {', '.join(parts)}, although they were just downloaded to it")
        return self._normalised(parts, f"{self.title}, downloaded")

    def _normalised(self, parts: tuple[Part, Part], reason: str) -> Dataset:
        return normalised(self.name, *parts, reason, self.classes)


_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _read_mnist(folder: Path) -> tuple[Part, Part] | list[str]:
    """Read the four files of MNIST or of a data set in its format, each raw or gzipped."""
    found = {}
    for name in _IDX:
        path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
        if path is not None:
            found[name] = path
    if len(found) < len(_IDX):
        return [name for name in _IDX if name not in found]
    paths = [found[name] for name in _IDX]
    train, test = _read_pair(paths[0], paths[1]), _read_pair(paths[2], paths[3])
    return train, test


def _read_pair(images: Path, labels: Path) -> Part:
    x, y = read_idx(images, (None, 28, 28)), read_idx(labels, (None,))
    if len(x) != len(y) or len(x) == 0:
        raise DataError(f"{images} has {len(x)} images, and {labels} has {len(y)} labels")
    if int(y.max()) > 9:
        raise DataError(f"{labels} has the label {int(y.max())}: expected 0 to 9")
    return x, y


def _cifar(
    archive: str, inside: str, train: Sequence[str], test: Sequence[str], labels: int, classes: int
) -> Callable[[Path], tuple[Part, Part] | list[str]]:
    """Return a reader of batch files: in the folder, in the archive's own folder in it, or still in the archive."""

    def read(folder: Path) -> tuple[Part, Part] | list[str]:
        names = [*train, *test]
        missing = names
        for place in (folder, folder / inside):
            lacking = [name for name in names if not (place / name).is_file()]
            if not lacking:
                return joined({name: (place / name).read_bytes() for name in names}, f"{place}/")
            missing = lacking if len(lacking) < len(missing) else missing
        if (folder / archive).is_file():
            return joined(extract(folder / archive, names), f"{folder / archive}: ")
        return missing

    def joined(contents: Mapping[str, bytes], place: str) -> tuple[Part, Part]:
        parts = []
        for names in (train, test):
            batches = [parse_records(contents[name], labels, classes, f"{place}{name}") for name in names]
            images, found = (host.concatenate(arrays) for arrays in zip(*batches, strict=True))
            parts.append((images, found))
        return parts[0], parts[1]

    return read


MNIST = Source(
    name="mnist",
    title="MNIST",
    archives={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    read=_read_mnist,
    files="its four IDX files (train-images-idx3-ubyte and so on, raw or gzipped)",
)
FASHION_MNIST = Source(
    name="fashion-mnist",
    title="Fashion-MNIST",
    archives={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    read=_read_mnist,
    files=MNIST.files,
)
CIFAR_10 = Source(
    name="cifar-10",
    title="CIFAR-10",
    archives={"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
    read=_cifar(
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        [f"data_batch_{k}.bin" for k in range(1, 6)],
        ["test_batch.bin"],
        labels=1,
        classes=10,
    ),
    files="cifar-10-binary.tar.gz, or the files data_batch_1.bin to data_batch_5.bin and test_batch.bin out of it,",
)
CIFAR_100 = Source(
    name="cifar-100",
    title="CIFAR-100",
    archives={"cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"},
    mirrors=("https://www.cs.toronto.edu/~kriz/", "http://www.cs.toronto.edu/~kriz/"),
    read=_cifar("cifar-100-binary.tar.gz", "cifar-100-binary", ["train.bin"], ["test.bin"], labels=2, classes=100),
    files="cifar-100-binary.tar.gz, or the files train.bin and test.bin out of it,",
    classes=100,
)
