"""ToMe: merge the most similar patches, from the paper's description (Bolya et al., ICLR 2023, arXiv 2210.09461)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError, refuse
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier, asked, highest
from mmsparse.models.ops.attention import Probe, without_autocast
from mmsparse.registry import MODELS
from mmsparse.structures import Moves, Plan, Tokens, join_frames, join_rows, present
from mmsparse.utils.value_checks import check_flag, check_word, is_list, is_number, is_whole

METRICS = ('key', 'context')


@dataclass(frozen=True)
class Edges:
    """Which tokens merge into which, strongest edge first.

    Args:
        source_br: B×r tokens that leave.
        target_br: B×r tokens that they join; one may be named several times.
    """

    source_br: Tensor
    target_br: Tensor


class BipartiteMatching(nn.Module):
    """Bipartite soft matching (sec. 3): tokens at even positions choose their most similar one at an odd position, and
    the strongest edges merge."""

    def forward(self, metric_bnd: Tensor, prefix: int, count: int) -> Edges:
        """Return the edges.

        Args:
            metric_bnd: what similarity is measured on, B×N×d; cosine.
            prefix: tokens at the head that take no part; positions are counted from the first token all the same.
            count: edges wanted, at most the tokens at even positions after the prefix.
        """
        wide = torch.promote_types(metric_bnd.dtype, torch.float32)
        with torch.no_grad(), without_autocast(metric_bnd.device):
            unit_bnd = F.normalize(metric_bnd.to(wide), dim=-1)
            alike_bae = unit_bnd[:, 0::2] @ unit_bnd[:, 1::2].transpose(1, 2)
            # Published costs are those of the whole product: prefix tokens are compared as well, and then cannot win.
            alike_bae[:, : (prefix + 1) // 2] = float('-inf')
            alike_bae[:, :, : prefix // 2] = float('-inf')
            best_ba, choice_ba = alike_bae.max(-1)
            strongest_br = highest(best_ba, count)
        return Edges(2 * strongest_br, 2 * choice_ba.gather(1, strongest_br) + 1)


@MODELS.register_module()
class ToMe(BaseSparsifier):
    """Merge r pairs of patch tokens after the attention of every layer; a merged token is the mean of the patches
    behind it.

    A token that stands for s patches counts as s keys in all later attention. Tokens keep the order: prefix, what is
    left of the even positions, odd positions. More than half of the patches of a layer cannot merge at once: such a
    count is cut to half of them.

    Args:
        view: the host's view.
        r: pairs merged per layer: the mean, shaped by `inflect`; or a list with one count per layer.
        inflect: -1: from 2r falling to 0; 1: from 0 rising to 2r; 0: constant. The first count and then all are
            truncated to integers.
        metric: what similarity is measured on: 'key', the keys of this layer, mean over heads (ToMe); 'context', the
            feature map of another network that the caller hands in (ProxyCLIP's), mean over the patches behind a
            token.
        across_frames: on clips, match tokens of all frames, which from `join_layer` on are one sequence: there the
            attention is still that of each frame, and the matching runs over the clip; all later attention does too,
            since a token merged across frames belongs to none of them. Counts are per frame: a clip of T frames
            merges T·r pairs (ours).
        join_layer: counted from 1; None: the first. With `across_frames` alone.

    Attributes:
        counts: pairs wanted, per layer (and frame).

    Raises:
        InputError: a count that is no integer of at least 0, a list whose length is not the host's depth, an unknown
            metric, a context that nobody hands in, a layer that the host does not have, or images `across_frames`.
    """

    proportional = asks_attention = True

    def __init__(
        self,
        view: View,
        r: int | Sequence[int] = 8,
        inflect: float = 0.0,
        metric: str = 'key',
        across_frames: bool = False,
        join_layer: int | None = None,
    ):
        super().__init__()
        name = type(self).__name__
        check_word(f'{name}: received metric', metric, METRICS)
        check_flag(f'{name}: received across_frames', across_frames)
        self.metric, self.match = metric, BipartiteMatching()
        self.join_layer = (1 if join_layer is None else join_layer) if across_frames else None
        refuse(f'{name}: received {fault}' for fault in self._faults_across(view, metric, across_frames, join_layer))
        refuse(f'{name}: {fault}' for fault in self._faults(view, r, inflect))
        if is_whole(r):
            first = int(r * (1 - inflect))  # truncated before the line is drawn, as published: the last is 2r − first
            step = 2 * (r - first) / max(view.depth - 1, 1)
            r = [int(first + step * layer) for layer in range(view.depth)]
        self.counts = tuple(r)

    @staticmethod
    def _faults(view: View, r: int | Sequence[int], inflect: float) -> Iterator[str]:
        if not is_number(inflect) or not -1 <= inflect <= 1:
            yield f'inflect must lie in [-1, 1], received {inflect!r}. For the same count in every layer leave it out.'
        counts = [r] * view.depth if is_whole(r) else r
        if not is_list(counts) or is_whole(r) and r < 0:
            yield (
                f'received r={r!r}, expected an integer of at least 0, or a list with one count per layer. To merge '
                'nothing leave out the sparsifier.'
            )
        if len(counts) != view.depth:
            yield (
                f'received {len(r)} counts, r={list(r)}, expected one for each of the {view.depth} layers of '
                f'{view.name}. For counts along a line use an integer and inflect, such as r=8, inflect=-1.'
            )
        if not all(is_whole(count) and count >= 0 for count in counts):
            yield f'received r={list(r)}, expected integers of at least 0. Use 0 where nothing shall merge.'
        if inflect and not is_whole(r):
            yield (
                f'received a list of counts and inflect={inflect}. The list says the count of every layer; leave it '
                'out.'
            )

    @staticmethod
    def _faults_across(view: View, metric: str, across_frames: bool, join_layer: int | None) -> Iterator[str]:
        if across_frames and metric != 'key':
            yield f"across_frames=True and metric={metric!r}, expected metric='key'."
        if join_layer is not None and not across_frames:
            yield f'join_layer={join_layer!r} without across_frames=True, so no frames would join. Set both.'
        if join_layer is not None and (not is_whole(join_layer) or not 1 <= join_layer <= view.depth):
            yield f'join_layer={join_layer!r}, expected a layer of this host. Layers count from 1 to {view.depth}.'

    @property
    def acting(self) -> tuple[int, ...]:
        """The layers with a count, and the one that joins frames."""
        return tuple(layer for layer, count in enumerate(self.counts, start=1) if count or layer == self.join_layer)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Merge by the similarity that `metric` names."""
        if layer == self.join_layer:
            return self._joining(layer, tokens, asked(type(self).__name__, layer, probe))
        edges = self.edges(layer, tokens, probe)
        return None if edges is None else merging(tokens, edges)

    def _joining(self, layer: int, tokens: Tokens, probe: Probe) -> Plan:
        if tokens.frames == 1:
            raise InputError(
                'ToMe: across_frames=True matches tokens of all frames of a clip, and received images, or clips of '
                "one frame. Use type='mmsparse.VideoClassifier' for the model, or leave across_frames out."
            )
        clip = join_frames(tokens)
        k_bhnd = join_rows(tokens, probe.k_bhnd.transpose(1, 2)).transpose(1, 2)
        edges = self.edges(layer, clip, replace(probe, k_bhnd=k_bhnd))
        return replace(Plan.stay(clip) if edges is None else merging(clip, edges), joins_frames=True)

    def edges(self, layer: int, tokens: Tokens, probe: Probe | None) -> Edges | None:
        """Return what merges at this layer, or None where nothing does."""
        count = self._pairs(layer, tokens)
        if count == 0:
            return None
        probe = asked(type(self).__name__, layer, probe)
        metric_bnd = probe.k_bhnd.mean(1) if self.metric == 'key' else self._context(tokens, probe)
        return self.match(metric_bnd, tokens.prefix, count)

    @staticmethod
    def _context(tokens: Tokens, probe: Probe) -> Tensor:
        """The sum of the features behind each token, B×N×c; as good as their mean, since directions are compared."""
        if probe.context is None:
            raise InputError(
                "ToMe: metric='context' needs a feature map beside the images, and none was handed in. Use "
                "metric='key'."
            )
        context_bmc = F.adaptive_avg_pool2d(probe.context, tokens.grid).flatten(2).transpose(1, 2)
        context_bmc = context_bmc * present(tokens).unsqueeze(-1)
        rows_bmc = tokens.source_bm.clamp(min=0).unsqueeze(-1).expand_as(context_bmc)
        return context_bmc.new_zeros(*tokens.x_bnc.shape[:2], context_bmc.shape[2]).scatter_add(
            1, rows_bmc, context_bmc
        )

    def _pairs(self, layer: int, tokens: Tokens) -> int:
        patches, prefix = tokens.patches, tokens.prefix
        evens, odds = ((prefix + patches - parity + 1) // 2 - (prefix - parity + 1) // 2 for parity in (0, 1))
        return min(self.counts[layer - 1] * tokens.joined, patches // 2, evens if odds else 0)


def merging(tokens: Tokens, edges: Edges, edit=None) -> Plan:
    """Return the plan that merges along the edges, each token weighted by the patches behind it.

    Args:
        tokens: the present sequence.
        edges: each source once, no token both source and target.
        edit: acts on the tokens first.
    """
    batch, rows = tokens.x_bnc.shape[:2]
    leaves_bn = torch.zeros(batch, rows, dtype=torch.bool, device=tokens.x_bnc.device).scatter(1, edges.source_br, 1)
    order_n = torch.arange(rows, device=tokens.x_bnc.device)
    # Prefix first, then what is left of the even positions, then the odd ones.
    is_even_n, is_odd_n = (
        (order_n >= tokens.prefix) & (order_n % 2 == 0),
        (order_n >= tokens.prefix) & (order_n % 2 == 1),
    )
    even_bn = (is_even_n & ~leaves_bn).cumsum(1)
    place_bn = torch.where(is_odd_n, even_bn[:, -1:] + is_odd_n.cumsum(0), even_bn) + tokens.prefix - 1
    place_bn = torch.where(order_n < tokens.prefix, order_n, place_bn)
    index_bn = place_bn.scatter(1, edges.source_br, place_bn.gather(1, edges.target_br))
    return averaging(tokens, index_bn, rows - edges.source_br.shape[1], edges.source_br, edit)


def averaging(tokens: Tokens, index_bn: Tensor, length: int, source_br: Tensor, edit=None) -> Plan:
    """Return the plan whose every destination is the mean of the patches behind the tokens sent there.

    Args:
        tokens: the present sequence.
        index_bn: B×N, a destination in [0, length) for every token.
        length: tokens that remain; each is the destination of one token that is no source.
        source_br: B×r, the tokens that join another.
        edit: acts on the tokens first.
    """
    size_bn = tokens.sizes_bn
    total_bl = size_bn.new_zeros(len(size_bn), length).scatter_add(1, index_bn, size_bn)
    weight_bn = size_bn / total_bl.gather(1, index_bn).clamp(min=torch.finfo(size_bn.dtype).tiny)
    return Plan(index_bn, length, weight_bn, edit=edit, moves=Moves.joining(index_bn, length, source_br))
