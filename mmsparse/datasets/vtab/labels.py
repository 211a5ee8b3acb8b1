"""From what raw sets say of a picture to its label in VTAB (Zhai et al., 2019, arXiv 1910.04867, appendix A)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

NO_VEHICLE = 1000.0  # metres; beyond the last bound
VEHICLES = ('Car', 'Van', 'Truck')


def bin_of(value: float, bounds: Sequence[float]) -> int:
    """Return the number of bounds strictly below a value, so that a bound belongs to the bin that it ends."""
    return sum(bound < value for bound in bounds)


def clevr_count(objects: Sequence[Mapping]) -> int:
    """Return the class of a scene of 3 to 10 objects, 0 to 7."""
    return len(objects) - 3


def clevr_distance(objects: Iterable[Mapping]) -> int:
    """Return the class of the nearest object's depth, 0 to 5; the depth is the third of its ``pixel_coords``."""
    return bin_of(min(each['pixel_coords'][2] for each in objects), (8.0, 8.5, 9.0, 9.5, 10.0))


def kitti_distance(lines: Iterable[str]) -> int:
    """Return the class of the nearest car, van or truck, 0 to 2 by its depth in metres (up to 8, up to 20, beyond),
    3 for none.

    Args:
        lines: of a label file; the first word is the kind of object, the fourteenth its depth.
    """
    words = [line.split() for line in lines]
    depths = [float(each[13]) for each in words if each and each[0] in VEHICLES]
    return bin_of(min(depths, default=NO_VEHICLE), (8.0, 20.0, 999.0))


def dsprites_bin(value: int, values: int, classes: int = 16) -> int:
    """Return the class of a latent value: neighbours share one, 32 positions two by two, 40 angles by 2.5.

    Args:
        value: 0 to values - 1.
        values: how many there are.
        classes: how many there shall be.
    """
    return value * classes // values


def smallnorb_azimuth(value: int) -> int:
    """Return the class of an azimuth, which the files count in steps of 10 degrees, of which every second occurs."""
    return value // 2


def svhn_digit(value: int) -> int:
    """Return the digit: the files call 0 class 10."""
    return value % 10
