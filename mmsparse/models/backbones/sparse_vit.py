"""SparseViT: a frozen host, its view, adapters and sparsifiers, as one MMEngine backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.folding import changed_keys
from mmsparse.models.backbones.build_parts import build_parts, check_output, layers_of
from mmsparse.models.backbones.encoder import Encoder
from mmsparse.models.backbones.folding import Folding
from mmsparse.models.hosts.build import build_view
from mmsparse.models.hosts.frozen_model import fill_frozen
from mmsparse.models.hosts.views.view import mean_of_patches
from mmsparse.models.necks.order import check_joining, check_order
from mmsparse.models.part import has_losses, reads_rows
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens, restore
from mmsparse.utils.value_checks import check_flag, check_word

OUT_TYPES = {
    'cls_token': lambda view, t: t.x_bnc[:, 0],
    'pooled': lambda view, t: view.pooled(t),
    'raw': lambda view, t: t.x_bnc,
    'featmap': lambda view, t: restore(t),
    'avg_featmap': lambda view, t: mean_of_patches(t),
    'tokens': lambda view, t: t,
}


@MODELS.register_module()
class SparseViT(Folding, BaseModule):
    """A pre-trained ViT that runs with adapters and fewer tokens (Sparse-Tuning, arXiv 2405.14700, and all others).

    Args:
        host: config of the host: ``mmsparse.TimmViT`` or an mmpretrain ViT with `checkpoint`.
        adapter: config of a PEFT method, a list of them (composed in order), or None.
        sparsifier: config of a token sparsifier, a list of them (asked in order), or None.
        out_type: 'cls_token' B×C; 'pooled' B×C, the host's own pooling; 'raw' B×N×C; 'featmap' B×C×h×w, restored by
            gather; 'avg_featmap' B×C, mean over patches; 'tokens': `mmsparse.structures.Tokens`.
        out_indices: blocks whose output is returned, counted from 0 as in mmpretrain, negative from the end.
        stash: keep the patch tokens that leave, for the modes stale and delta of `mmsparse.Restore`.
        readout: config of what runs in the place of the last block (`mmsparse.models.BaseReadout`), or None. Adapters
            and sparsifiers then see, and `out_indices` count, the blocks before it.
        with_cp: compute the blocks again in the backward pass instead of keeping what it needs of them: less memory,
            more time.
        memory: what a training step keeps, for the same gradients: None: what torch's operators ask for; 'fast': what
            costs much to compute again; 'balanced': of an FFN its input alone; 'lean': of attention too.

    Raises:
        InputError: a value that the host or a part cannot take.
    """

    def __init__(
        self,
        host: dict,
        adapter: dict | Sequence[dict] | None = None,
        sparsifier: dict | Sequence[dict] | None = None,
        out_type: str = 'cls_token',
        out_indices: int | Sequence[int] = -1,
        stash: bool = False,
        readout: dict | None = None,
        with_cp: bool = False,
        memory: str | None = None,
    ):
        super().__init__()
        for name, flag in (('stash', stash), ('with_cp', with_cp)):
            check_flag(f'SparseViT: {name}', flag)
        self.view = build_view(host)
        if (channels := self.view.channels) != 3:
            raise InputError(
                f'SparseViT: the host {self.view.name} takes images of {channels} '
                f'channel{"s" if channels > 1 else ""}, expected 3: pictures are loaded as colour. Leave out '
                'in_chans, or in_channels, of the host; timm adapts pretrained weights of 3.'
            )
        self.readout = None if readout is None else MODELS.build(dict(readout, view=self.view))
        self.view = self.view if readout is None else self.view.without_last()
        self.host = self.view.host
        self.adapters = build_parts('adapter', adapter, self.view)
        self.sparsifiers = build_parts('sparsifier', sparsifier, self.view)
        check_word('SparseViT: received out_type', out_type, tuple(OUT_TYPES))
        check_output(out_type, self.view, self.adapters)
        check_order(self.sparsifiers)
        check_joining(self.sparsifiers, self.adapters, out_type, stash)
        self.out_type, self.out_layers = out_type, layers_of(out_indices, self.view.depth)
        self.host_trains = self._freeze()
        self._refuse_what_no_gradient_reaches(out_indices)
        if out_type == 'pooled':  # an image's worth of zeros: a pooling that the view does not know is refused here
            zeros_bnc = next(self.host.parameters()).new_zeros(
                1, self.view.prefix + self.view.patches, self.view.width
            )
            with torch.no_grad():
                self.view.pooled(Tokens.start(zeros_bnc, self.view.prefix, self.view.grid))
        # Exact for the class token, and a third of the last block's cost.
        self.shortcut = out_type == 'cls_token' and self.out_layers == (self.view.depth,) and readout is None
        self.encoder = Encoder(self.view, stash, with_cp, memory)
        self.train()

    @property
    def class_row_only(self) -> bool:
        """Whether the last block now runs for the class token alone: not where a part looks at the other tokens."""
        return self.shortcut and not any(reads_rows(part) for part in (*self.adapters, *self.sparsifiers))

    def forward(self, images: Tensor) -> tuple:
        """Return one output per entry of `out_indices`.

        Args:
            images: B×3×H×W, normalised as the host expects; or clips, B×T×3×H×W, whose outputs are those of B·T
                images, the frames of a clip side by side.

        Raises:
            InputError: in training, where a part has losses: who calls this would train without them.
        """
        learns = self.training and not self.folded and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        parts = (*self.adapters, *self.sparsifiers)
        if learns and (lost := [type(part).__name__ for part in parts if has_losses(part)]):
            raise InputError(
                f'SparseViT: {" and ".join(lost)} has losses of its own, and a model that calls the backbone does not '
                "collect them, so it would not learn. Use type='mmsparse.SparseClassifier' (mmsparse.SparseSegmentor) "
                'for the model; in a loop of your own call encode(images) and mmsparse.models.ops.losses.collect.'
            )
        return self.outputs(self.encode(images))

    def encode(
        self, images: Tensor, sparsify: bool = True, adapt: bool = True, context: object = None
    ) -> list[Tokens]:
        """Return the tokens of every wanted layer; only the class token of the last where nothing else is read.

        Args:
            images: as in `forward`.
            sparsify: False leaves the sparsifiers out.
            adapt: False leaves the adapters out.
            context: as in `forward_tokens`.
        """
        return self._run(images, self.out_layers, sparsify, adapt, context, self.class_row_only)

    def _run(
        self, images: Tensor, layers: Sequence[int], sparsify: bool, adapt: bool, context: object, class_row_only: bool
    ):
        self.refuse_training_if_folded()
        adapters = self.encoder.memory.adapters(self.adapters, images.device) if adapt else ()
        with self.encoder.memory.keeping():
            return self.encoder(
                images,
                layers,
                adapters=adapters,
                sparsifiers=self.sparsifiers if sparsify else (),
                readout=self.readout,
                class_row_only=class_row_only,
                context=context,
            )

    def outputs(self, layers: Sequence[Tokens]) -> tuple:
        """Bring tokens into the form of `out_type`."""
        return tuple(OUT_TYPES[self.out_type](self.view, t) for t in layers)

    def forward_tokens(self, images: Tensor, context: object = None, sparsify: bool = True) -> Tokens:
        """Return all tokens of the last layer, after the final norm.

        Args:
            images: as in `forward`.
            context: what adapters and sparsifiers (``t.context``) and the readout may read besides, such as a second
                network's features or the embedding of a text.
            sparsify: False leaves the sparsifiers out; the adapters stay.
        """
        return self._run(images, (self.view.depth,), sparsify, True, context, False)[-1]

    def init_weights(self) -> None:
        """Leave every weight alone: MMEngine's Runner would redraw a timm host."""
        self._is_init = True

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the depth of a parameter, 0 for what comes before the blocks, and the number of depths; mmpretrain's
        layer decay asks for it.

        Args:
            param_name: its name in the model.
            prefix: where the backbone stands in the model. What lies outside the host, adapters too, belongs to the
                last depth.
        """
        stem, depths = f'{prefix}host.', self.view.depth + 2
        return self.view.layer_of(param_name.removeprefix(stem)) if param_name.startswith(stem) else depths - 1, depths

    def train(self, mode: bool = True) -> SparseViT:
        """Set the mode; a frozen host stays in evaluation mode, without dropout and drop-path."""
        super().train(mode)
        # batch norms of a convolutional stem keep their statistics: they are no parameters, and no state has them
        norms = (each for each in self.host.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm))
        for still in norms if self.host_trains else (self.host,):
            nn.Module.train(still, False)
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, *others) -> None:
        """Take a state from MMEngine's `load_checkpoint` too: it leaves the frozen weights out."""
        fill_frozen(self, state_dict, prefix, local_metadata)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def _freeze(self) -> frozenset[str]:
        """Let train what the adapters name and the output reads, and nothing else of the host."""
        trains, changed = set(), changed_keys(self.adapters, self.view)
        for key, parameter in self.host.named_parameters():
            claims = [type(adapter).__name__ for adapter in self.adapters if adapter.trains(key)]
            unread = key in self.view.unread or self.out_type != 'pooled' and self.view.pools(key)
            unread = unread or self.readout is not None and not self.readout.reads(key)
            claims = [] if unread else claims  # no gradient would come, and DDP would wait for it
            both = claims + [changed[key]] if key in changed else claims
            if len(both) > 1:
                raise InputError(
                    f'SparseViT: {" and ".join(both)} both train the host parameter {key!r}. Leave one of them out.'
                )
            parameter.requires_grad_(bool(claims))
            trains |= {key} if claims else set()
        return frozenset(trains)

    def _refuse_what_no_gradient_reaches(self, out_indices: int | Sequence[int]) -> None:
        names = sorted({name.split('.')[0] for name, parameter in self.named_parameters() if parameter.requires_grad})
        if names and self.out_layers[-1] < self.view.depth:
            raise InputError(
                f'SparseViT: received out_indices={out_indices}; the blocks behind the last of them do not run, and '
                f'what trains there ({", ".join(names)}) would get no gradient. Let the last index be -1, or leave '
                'out what trains.'
            )
