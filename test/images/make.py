"""Small files in the formats of images and of published sets of them, written by numpy, scipy, gzip and ImageMagick:
    python test/images/make.py"""
import gzip
import os
import pickle
import subprocess

import numpy as np
import scipy.io

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


def picture(name, pixels, *options, decode=False):
    """Writes a PNG or JPEG by ImageMagick; `decode` writes what it reads in it beside it, as plain levels."""
    height, width, channels = pixels.shape
    kind = b"P5" if channels == 1 else b"P6"
    plain = b"%s %d %d 255\n" % (kind, width, height) + pixels.astype(np.uint8).tobytes()
    path = os.path.join(here, "pictures", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    strip = ["-strip", "-define", "png:exclude-chunks=date,time,tIME"]
    subprocess.run(["convert", "pnm:-", *strip, *options, path], input=plain, check=True)
    if decode:
        space = "gray" if channels == 1 else "rgb"
        subprocess.run(["convert", path, "-depth", "8", f"{space}:{path}.levels"], check=True)


grey = images(1, (5, 7, 1), 9)[0]
colours = images(1, (5, 7, 3), 29)[0]
few = (images(1, (5, 7, 3), 1)[0] // 64) * 64
y, x = np.mgrid[0:16, 0:24]
smooth = np.stack([10 * x, 12 * y + 20, 255 - 5 * (x + y)], axis=-1)
picture("grey.png", grey)
picture("grey-1.png", 255 * (grey // 128), "-define", "png:bit-depth=1", decode=True)
picture("grey-4.png", 17 * (grey // 16), "-define", "png:bit-depth=4", decode=True)
picture("interlaced.png", colours, "-interlace", "PNG", "-define", "png:format=png24")
picture("colours.png", colours, "-define", "png:format=png24")
picture("palette.png", few, "-define", "png:format=png8")
picture("deep.png", grey, "-evaluate", "Divide", "3", "-define", "png:bit-depth=16")
picture("alpha.png", colours, "-alpha", "set", "-channel", "A", "-evaluate", "set", "40%", "-define", "png:format=png32")
picture("opaque.png", colours, "-define", "png:format=png32")
picture("smooth.jpg", smooth, "-quality", "95", "-sampling-factor", "1x1", decode=True)
picture("smooth-progressive.jpeg", smooth, "-quality", "95", "-sampling-factor", "1x1", "-interlace", "JPEG", decode=True)
picture("smooth-grey.jpg", smooth[:, :, :1], "-quality", "95", decode=True)
picture("print.jpg", smooth, "-colorspace", "CMYK")


# The sets of variational autoencoders. A file of text like those of Larochelle.
def drawn(rows, size, step):
    i = np.arange(rows * size, dtype=np.int64)
    return ((step * i + i // 11) % 3 == 0).astype(np.uint8).reshape(rows, size)


for name, rows, step in [("train", 5, 2), ("valid", 2, 5), ("test", 3, 7)]:
    text = "".join(" ".join(map(str, row)) + "\n" for row in drawn(rows, 784, step))
    write(f"vae/binarized_mnist_{name}.amat.gz", gzip.compress(text.encode(), mtime=0))

names = np.array([["ant", "bird"]], dtype=object)
silhouettes = {"classnames": names}
for name, rows, step in [("train", 4, 2), ("val", 2, 5), ("test", 3, 7)]:
    silhouettes[f"{name}_data"] = drawn(rows, 784, step)
    silhouettes[f"{name}_labels"] = (np.arange(rows, dtype=np.uint8) % 2 + 1)[:, None]
scipy.io.savemat(os.path.join(here, "vae/caltech101_silhouettes_28_split1.mat"), silhouettes, do_compression=True)


# Grey levels of few images, each a whole level, in float64 and packed, as the published file.
def shares(rows, step):
    image = np.arange(rows, dtype=np.int64)[:, None]
    pixel = np.arange(784, dtype=np.int64)[None, :]
    return np.where(pixel // 28 < 3, 51 * ((image + step * pixel) % 6), 0) / 255


scipy.io.savemat(
    os.path.join(here, "vae/chardata.mat"),
    {"data": shares(1350, 1).T, "testdata": shares(7, 2).T},
    do_compression=True,
)


def by_programs(mat, seed):
    """What the published program makes of it."""
    def reshape(data):
        return data.reshape((-1, 28, 28)).reshape((-1, 28 * 28), order="F")
    train = reshape(mat["data"].T.astype("float32"))
    test = reshape(mat["testdata"].T.astype("float32"))
    np.random.seed(seed)
    np.random.shuffle(train)
    train, validation = train[:-1345], train[-1345:]
    np.random.seed(777)
    return train, np.random.binomial(1, validation), np.random.binomial(1, test)


train, validation, test = by_programs(scipy.io.loadmat(os.path.join(here, "vae/chardata.mat")), 123)
expected = np.concatenate([np.round(255 * train), 255 * validation, 255 * test]).astype(np.uint8)
write("vae/omniglot.levels.gz", gzip.compress(expected.tobytes(), mtime=0))


# As NumPy of Python 2 pickles a list of one array by protocol 0.
def python_2(array):
    data = repr(array.tobytes())[1:]
    lines = ["(lp0", "cnumpy.core.multiarray", "_reconstruct", "p1", "(cnumpy", "ndarray", "p2", "(I0", "tp3", "S'b'", "p4"]
    lines += ["tp5", "Rp6", "(I1", f"(I{array.shape[0]}", f"I{array.shape[1]}", "tp7", "cnumpy", "dtype", "p8", "(S'u1'"]
    lines += ["p9", "I0", "I1", "tp10", "Rp11", "(I3", "S'|'", "p12", "NNNI-1", "I-1", "I0", "tp13", "bI00", f"S{data}"]
    return ("\n".join(lines + ["p14", "tp15", "ba."])).encode("latin1")


faces = (np.arange(410, dtype=np.int64)[:, None] + np.arange(560)[None, :] // 140 * 50).astype(np.uint8)
pickled = python_2(faces)
assert (pickle.loads(pickled, encoding="latin1")[0] == faces).all()
write("vae/freyfaces.pkl.gz", gzip.compress(pickled, mtime=0))
