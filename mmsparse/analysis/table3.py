"""The paper's Table III, what tuning and inference cost, as ratios to full tuning: its own numbers and ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmsparse.analysis.benchmark import Row
from mmsparse.analysis.contenders import Contender
from mmsparse.errors import InputError
from mmsparse.evaluation.cost import published_macs

# Parameters in millions; GB and seconds per epoch, each tuning and inference; GFLOPs. A800, batch not stated.
PAPER = {
    'Full fine-tuning': (85.8, 17.93, 2.57, 90, 8.03, 17.58),
    'Adapter': (1.19, 13.74, 2.61, 75, 8.16, 17.81),
    'LoRA': (2.16, 14.07, 2.79, 72, 8.04, 17.58),
    'AdaptFormer': (1.19, 13.26, 2.61, 68, 8.09, 17.81),
    'VPT': (0.07, 14.60, 2.80, 77, 8.24, 18.32),
    'DyT': (4.80, 14.32, 2.15, 95, 7.12, 12.21),
    'Sparse-Tuning': (1.10, 8.89, 1.53, 40, 4.13, 11.70),
}


@dataclass(frozen=True)
class Shares:
    """One method; everything but `millions` is a share of what full tuning takes.

    Args:
        millions: trained parameters without the head.
        tuning_memory, inference_memory: at the peak, weights included.
        tuning_time, inference_time: per image.
        gflops: multiply-adds of one image.
    """

    method: str
    millions: float
    tuning_memory: float
    inference_memory: float
    tuning_time: float
    inference_time: float
    gflops: float


def paper_costs() -> list[Shares]:
    """Return the paper's rows; its Table I has 1.19 M for the LoRA of 2.16 M here."""
    full = PAPER['Full fine-tuning']
    return [
        Shares(method, own[0], *(value / whole for value, whole in zip(own[1:], full[1:])))
        for method, own in PAPER.items()
    ]


def our_costs(contenders: Sequence[Contender], train: Sequence[Row], test: Sequence[Row]) -> list[Shares]:
    """Return the rows of contenders.

    Args:
        contenders: the first one is full tuning.
        train: a training row of each, in the same setting.
        test: a test row of each, in the same setting.

    Raises:
        InputError: something in the first contender does not train.
    """
    check_full(contenders[0])
    macs = [image_macs(contender) for contender in contenders]
    return [
        Shares(
            contender.name,
            sum(
                value.numel()
                for name, value in contender.module.named_parameters()
                if value.requires_grad and not name.startswith('head.')
            )
            / 1e6,
            tuning.peak_bytes / train[0].peak_bytes,
            inference.peak_bytes / test[0].peak_bytes,
            1 / tuning.ratio,
            1 / inference.ratio,
            own / macs[0],
        )
        for contender, tuning, inference, own in zip(contenders, train, test, macs, strict=True)
    ]


def check_full(contender: Contender) -> None:
    """Refuse a reference that is not full tuning."""
    frozen = sum(not parameter.requires_grad for parameter in contender.module.parameters())
    if frozen:
        raise InputError(
            f'--table3: {frozen} parameters of the first contender, {contender.name}, do not train; expected full '
            'tuning. Name `dense` first, or a network of timm: all of it trains.'
        )


def image_macs(contender: Contender) -> int:
    """Return the multiply-adds of one image by the literature's rule, of a SparseViT or of any other network."""
    image = next(contender.module.parameters()).new_zeros(1, 3, *(contender.image_size or (224, 224)))
    return published_macs(contender.module, image)
