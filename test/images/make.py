"""Small files in the formats of published sets of images, written by numpy and gzip:
    python test/images/make.py"""
import gzip
import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def images(rows, shape, step):
    """Levels that any language computes alike."""
    i = np.arange(rows * int(np.prod(shape)), dtype=np.int64)
    return ((step * i + i // 7) % 256).astype(np.uint8).reshape(rows, *shape)


def idx(array):
    header = np.array([0x0800 + array.ndim, *array.shape], dtype=">u4").tobytes()
    return header + array.astype(np.uint8).tobytes(order="C")


def write(name, data):
    path = os.path.join(here, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


mnist = {
    "train-images-idx3-ubyte.gz": images(6, (3, 4), 37),
    "train-labels-idx1-ubyte.gz": np.array([5, 0, 4, 1, 9, 2]),
    "t10k-images-idx3-ubyte": images(2, (3, 4), 11),
    "t10k-labels-idx1-ubyte": np.array([7, 2]),
}
for name, array in mnist.items():
    data = idx(array)
    write("mnist/" + name, gzip.compress(data, mtime=0) if name.endswith(".gz") else data)

for number, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
    rows = np.concatenate([np.array([[number], [9 - number]]), images(2, (3072,), 3 + number)], axis=1)
    write("cifar10/cifar-10-batches-bin/" + name + ".gz", gzip.compress(rows.astype(np.uint8).tobytes(), mtime=0))
