"""The raw sets of VTAB-1K's specialized tasks. Each reader takes the folder of raw sets, and whether torchvision may
download what is missing there.
"""

import csv
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from torchvision import datasets as tv

from mmsparse.datasets.vtab.pictures import Parts, class_rows, listed, of_hub, of_torchvision, shares

RADIUS = 300  # of an eye, in pixels


def patch_camelyon(raw: Path, download: bool) -> Parts:
    """Lymph nodes, the official parts."""
    return Parts(*(of_torchvision(tv.PCAM(raw, split, download=download)) for split in ('train', 'val', 'test')))


def eurosat(raw: Path, download: bool) -> Parts:
    """Land use from space, in colour; 60, 20 and 20 %."""
    if download:
        tv.EuroSAT(raw, download=True)
    return Parts(*shares(listed(class_rows(raw / 'eurosat/2750')), 60, 20, 20))


def resisc45(raw: Path, download: bool) -> Parts:
    """Scenes from above, in the parts of the copy on the hub."""
    return Parts(*(of_hub('timm/resisc45', split, raw) for split in ('train', 'validation', 'test')))


def retinopathy(raw: Path, download: bool) -> Parts:
    """Eyes, levels 0 to 4; val is from the public, test the private part of the competition's test pictures."""
    folder = raw / 'diabetic_retinopathy'

    def part(place: str, file: str, usage: str | None = None):
        with (folder / file).open(newline='') as table:
            rows = [row for row in csv.DictReader(table) if usage in (None, row.get('Usage'))]
        return listed([(folder / place / f'{row["image"]}.jpeg', int(row['level'])) for row in rows]).changed(
            image=eye
        )

    solution = 'retinopathy_solution.csv'
    return Parts(part('train', 'trainLabels.csv'), part('test', solution, 'Public'), part('test', solution, 'Private'))


def eye(image: Image.Image) -> Image.Image:
    """Return an eye of radius 300 without its local mean colour, cut off at 90 % of the radius, in a square.

    B. Graham, Kaggle diabetic retinopathy detection competition report, 2015 (btgraham-300 in TFDS).
    """
    pixels = np.asarray(image)
    middle = pixels[len(pixels) // 2].sum(axis=1)
    factor = RADIUS / max(1.0, (middle > middle.mean() / 10).sum() / 2)
    pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    pixels = cv2.addWeighted(pixels, 4, cv2.GaussianBlur(pixels, (0, 0), RADIUS / 30), -4, 128)
    radius, (height, width) = int(0.9 * RADIUS), pixels.shape[:2]
    inside = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), radius, 1, -1)
    pixels = np.where(inside[..., None], pixels, 128).astype(np.uint8)
    top, left = max(0, height // 2 - radius), max(0, width // 2 - radius)
    return Image.fromarray(pixels[top : height // 2 + radius, left : width // 2 + radius])
