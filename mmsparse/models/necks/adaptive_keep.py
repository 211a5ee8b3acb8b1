"""AdaptiveKeep: as many patches as hold a share of the attention, an image's own number, at a mean budget (ours; the
first future work of Sparse-Tuning, arXiv 2405.14700)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import KeepRateSparsifier, asked, kept, order
from mmsparse.models.necks.scores import SCORES, chosen
from mmsparse.models.ops.attention import Probe
from mmsparse.models.part import SiteOutput
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens
from mmsparse.utils.value_checks import is_list, is_number

LEVELS, STEPS = 128, 100


@MODELS.register_module()
class AdaptiveKeep(KeepRateSparsifier):
    """Keep of each image the smallest set of patch tokens that holds a share of the class token's attention to all of
    them, and fuse the others as EViT does.

    The share is one number per layer, so that an image is decided without its neighbours, and always alike. It is read
    off a curve: how many of the present patches images keep in the mean, for `LEVELS` shares of attention. Where that
    is `keep_rate` lies the share; for another rate it lies elsewhere on the same curve. There are two, both buffers of
    the state. In training a running mean over the steps decides, of those before the present one, so that blocks may
    run again (`with_cp`); being a mean over images it is as right for small batches as for large ones, which a mean of
    each batch's share would not be. In evaluation it is what `calibrate` has found on images prepared as for a test
    (`mmsparse.CalibrationHook`): augmented ones have other shares. Without that it is training's; without training
    patches count as equally attended, and where attention is peaked fewer stay.

    Images of a batch keep different numbers; shorter ones are padded with invalid tokens.

    Args:
        view: the host's view.
        layers: where to reduce, counted from 1.
        keep_rate: share of the present patches that stays at each of them, mean over images, in (0, 1]. As many
            multiply-adds as EViT at this rate, but for what attention costs more where lengths differ.
        bounds: the least and the greatest share that stays of any image; `keep_rate` lies between them.
        score: what is shared out, as EViT's: 'class', 'received', 'key_norm' or 'shift'. A host without class token
            must name one of the last three.

    Raises:
        InputError: also bounds that are not two numbers with 0 ≤ least ≤ keep_rate ≤ greatest ≤ 1.
    """

    by_image = asks_attention = leaves_invalid = token_wise = True
    reads_input = reads_rows = False

    def __init__(
        self,
        view: View,
        layers: Sequence[int] = (4, 7, 10),
        keep_rate: float = 0.7,
        bounds: Sequence[float] = (0.0, 1.0),
        score: str = 'class',
    ):
        super().__init__(view, layers, keep_rate)
        wide = is_list(bounds) and len(bounds) == 2 and all(map(is_number, bounds))
        if not wide or not 0 <= bounds[0] <= keep_rate <= bounds[1] <= 1:
            raise InputError(
                f'AdaptiveKeep: received bounds={bounds!r} and keep_rate={keep_rate}, expected the least and the '
                'greatest share of an image that stays, with the mean between them: 0 <= least <= keep_rate <= '
                'greatest <= 1, such as (0.25, 1.0).'
            )
        self.bounds = tuple(map(float, bounds))
        self.score = chosen('AdaptiveKeep', score, SCORES, view, self.layers)
        # denser towards 1: peaked attention holds most of its sum in few patches
        shares_s = 1 - (1 - torch.arange(LEVELS + 1) / LEVELS) ** 2
        self.register_buffer('shares_s', shares_s, persistent=False)
        equal_ls = shares_s.repeat(len(self.layers), 1)
        for name, persistent in (('kept_ls', True), ('learned_ls', True), ('decides_ls', False)):
            self.register_buffer(name, equal_ls.clone(), persistent)
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.observes = False  # notes curves in evaluation too

    @property
    def sites(self) -> tuple[str, ...]:
        """Where a pass begins, and where the score looks."""
        return 'embed', *self.score.sites

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor | SiteOutput:
        """Take the curve that decides this step; let the score see what the host's operator gave."""
        if name != 'embed':
            return SiteOutput(y, self.score.see(y))
        if self.training:
            self.decides_ls.copy_(self.learned_ls)
        return y

    def share(self, layer: int) -> Tensor:
        """Return the share of attention that is kept at a layer, a number on the device of the buffers."""
        kept_s = (self.decides_ls if self.training else self.kept_ls)[self.layers.index(layer)]
        above = (kept_s < self.keep_rate).sum().clamp(1, LEVELS)
        ends = torch.stack([above - 1, above])
        (low, high), (start, end) = kept_s.gather(0, ends), self.shares_s.gather(0, ends)
        way = (self.keep_rate - low) / (high - low).clamp(min=torch.finfo(low.dtype).tiny)
        return start + (end - start) * way.clamp(0, 1)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Take the patches by falling score until their sum is the share."""
        if layer not in self.layers or self.keep_rate == 1:
            return None
        prefix = tokens.prefix
        score_bm = self.score(asked('AdaptiveKeep', layer, probe), tokens)[:, prefix:]
        valid_bm = torch.ones_like(score_bm, dtype=torch.bool)
        if tokens.mask_bn is not None:
            valid_bm = tokens.mask_bn[:, prefix:] > 0
            score_bm = score_bm.masked_fill(~valid_bm, 0.0)
        with torch.no_grad():
            order_bm = order(score_bm.masked_fill(~valid_bm, -1.0))  # scores are never negative
            held_bm = score_bm.gather(1, order_bm).cumsum(1)
            held_bm = held_bm / held_bm[:, -1:].clamp(min=torch.finfo(held_bm.dtype).tiny)
            present_b1 = valid_bm.sum(1, keepdim=True)
            count_b1 = self._counts(held_bm, present_b1, self.share(layer)[None])
            first_bm = torch.arange(tokens.patches, device=order_bm.device) < count_b1
            chosen_bm = torch.zeros_like(valid_bm).scatter(1, order_bm, first_bm)
            notes = {f'adaptive_keep.{layer}': count_b1.squeeze(1).to(held_bm.dtype)}
            if self.training or self.observes:
                curve_bs = self._counts(held_bm, present_b1, self.shares_s)
                notes[f'adaptive_keep.{layer}.curve'] = torch.cat([curve_bs, present_b1], dim=1).to(held_bm.dtype)
        rest_b1 = score_bm.masked_fill(chosen_bm, 0.0).sum(1, keepdim=True)
        fuse_bm = score_bm / rest_b1.clamp(min=torch.finfo(score_bm.dtype).tiny)
        plan = Plan.where(tokens, chosen_bm, kept(tokens.patches, self.bounds[1]), fuse_bm)
        plan.notes.update(notes)
        return plan

    def finish(self, t: Tokens) -> Tokens:
        """Learn from a training step: it has been decided, so that its blocks may run again."""
        found = self.curves(t)
        if self.training and torch.is_grad_enabled() and found:
            self.steps += 1
            for layer, curve_bs in found.items():
                mean_s = curve_bs.mean(0)
                all_reduce(mean_s, 'mean')  # all processes go on with one curve
                learned_s = self.learned_ls[self.layers.index(layer)]
                learned_s.lerp_((mean_s[:-1] / mean_s[-1]).to(learned_s.dtype), 1 / min(int(self.steps), STEPS))
            self.kept_ls.copy_(self.learned_ls)
        return t

    def curves(self, t: Tokens) -> dict[int, Tensor]:
        """Return by layer, of a pass in training or while it `observes`, B×(S+1): how many patches of each image stay
        at each of the shares, and how many were present."""
        noted = {layer: t.notes.get(f'adaptive_keep.{layer}.curve') for layer in self.layers}
        return {layer: curve_bs for layer, curve_bs in noted.items() if curve_bs is not None}

    def report(self, tokens: Tokens) -> dict[str, Tensor]:
        """How many patch tokens of each image stay at each layer, B, by ``kept_<layer>``."""
        notes = ((layer, tokens.notes.get(f'adaptive_keep.{layer}')) for layer in self.layers)
        return {f'kept_{layer}': count_b for layer, count_b in notes if count_b is not None}

    def _counts(self, held_bm: Tensor, present_b1: Tensor, shares_s: Tensor) -> Tensor:
        """Return B×S, how many patches of an image, of the highest score first, hold each share; within the bounds.

        Args:
            held_bm: what the first, the first two, … hold, rising to 1.
            present_b1: valid patches.
        """
        count_bs = (held_bm.unsqueeze(2) < shares_s).sum(1) + 1
        least_b1, most_b1 = ((bound * present_b1.double()).ceil().long() for bound in self.bounds)
        return torch.minimum(torch.maximum(count_bs, least_b1.clamp(min=1)), most_b1)
