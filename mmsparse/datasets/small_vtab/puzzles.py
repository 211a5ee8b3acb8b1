"""What small VTAB asks about photographs beside their class: the answer is known from how a picture was made.

Every function takes pictures, N×H×W×3, and gives as many images and their labels, without chance but for the seed.
"""

import numpy as np


def ways_up(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn the pictures by 0, 1, 2, 3, 0, … quarters, counter-clockwise: which way up is each?

    Returns:
        Images N×H×W×3, H = W, and quarters N.
    """
    turns = np.arange(len(pictures)) % 4
    return np.stack([np.rot90(picture, turn) for picture, turn in zip(pictures, turns)]), turns


def quadrants(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the upper left, upper right, lower left, lower right, upper left, … quarter: which is each?

    Returns:
        Images N×H/2×W/2×3, and quadrants N.
    """
    places = np.arange(len(pictures)) % 4
    height, width = pictures.shape[1] // 2, pictures.shape[2] // 2
    cut = [
        picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
        for picture, row, column in zip(pictures, places // 2, places % 2)
    ]
    return np.stack(cut), places


def counts(pictures: np.ndarray, counted: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make tiles of four pictures at half their size, with 0, 1, 2, 3, 4, 0, … of the counted kind: how many has each?

    Args:
        pictures: what the tiles are drawn from; a picture may stand in several images, in one only once.
        counted: N, whether a picture is of the counted kind; at least four are and four are not.
        seed: of the draw. The generator is the one whose numbers NumPy never changes.

    Returns:
        Images N×H×W×3, and counts N.
    """
    draw = np.random.RandomState(seed)
    n, height, width, _ = pictures.shape
    small = pictures.reshape(n, height // 2, 2, width // 2, 2, 3).mean((2, 4)).round().astype(np.uint8)
    yes, no = np.flatnonzero(counted), np.flatnonzero(~counted)
    labels, images = np.arange(n) % 5, []
    for count in labels:
        four = np.concatenate([draw.choice(yes, count, replace=False), draw.choice(no, 4 - count, replace=False)])
        a, b, c, d = small[draw.permutation(four)]
        images.append(np.concatenate([np.concatenate([a, b], axis=1), np.concatenate([c, d], axis=1)]))
    return np.stack(images), labels
