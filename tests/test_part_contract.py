"""What the loop asks of adapters and sparsifiers, and what it refuses because it would be wrong without a word."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hosts import DEPTH, assert_near, build, draw, images_for, timm_host, watch
from mmsparse.convert.merge import merge_adapters
from mmsparse.errors import InputError
from mmsparse.models import BaseAdapter, SiteOutput
from mmsparse.models.part import SITES
from mmsparse.registry import MODELS
from mmsparse.tokens import put_prefix, restore, rows_of
from small_classifier import classifier, config, registered, step

EVIT = dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.6)


def plug_in(kind):
    MODELS.register_module(module=kind, force=True)
    return dict(type=f'mmsparse.{kind.__name__}')


class Gain(BaseAdapter):
    """A matrix at a site; the base of what is tried here."""

    sites = ('mlp',)

    def __init__(self, view):
        super().__init__()
        self.square = nn.Linear(view.width, view.width)

    def site(self, name, layer, x, y, t):
        return y + self.square(y)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(sites=('mpl',)), r"received the site 'mpl'. Did you mean 'mlp'\? Known: embed, norm1"),
        (dict(sites=('proj', 'ffn')), r"received the site 'ffn'"),
        (dict(sites=()), r'received sites=\(\) and a method site, so it would never act'),
        (dict(site=BaseAdapter.site), '.*and no method site, so it would never act'),
    ],
)
def test_an_adapter_that_would_never_act_is_refused_when_built(changes, message):
    with pytest.raises(InputError, match=f'^Dead: {message}'):
        build(adapter=plug_in(type('Dead', (Gain,), changes)))


def test_a_shape_that_a_residual_sum_would_broadcast_is_refused():
    class Broadcasts(Gain):
        def site(self, name, layer, x, y, t):
            return y.mean(1, keepdim=True)

    with pytest.raises(
        InputError,
        match=r'^Broadcasts: received a tensor of \(3, 17, 48\) at the site mlp of layer 1 and returned .*1, 48',
    ):
        build(adapter=plug_in(Broadcasts))(images_for())


def test_an_adapter_beside_a_branch_gets_the_rows_of_its_output_in_the_shortened_last_block_too():
    rows = []

    class Beside(Gain):
        sites = ('attn',)

        def site(self, name, layer, x, y, t):
            rows.append((x.shape[1], y.shape[1], t.x_bnc.shape[1]))
            return y + self.square(x)

    backbone = build(adapter=plug_in(Beside), out_type='cls_token')
    with torch.no_grad():
        found = backbone(images_for())[-1]
        expected = backbone.forward_tokens(images_for()).x_bnc[:, 0]
    assert_near(found, expected)
    assert rows[:DEPTH] == [(17, 17, 17)] * (DEPTH - 1) + [(1, 1, 1)]


class Everywhere(Gain):
    """Looks at every site."""

    sites = SITES

    def site(self, name, layer, x, y, t):
        if name != 'embed':
            chosen = name in ('fc1', 'fc2')  # a dispatcher sends some tokens through the FFN's linears
            assert x.shape[:-1] == y.shape[:-1] and (
                chosen or name in ('q', 'attended', 'proj', 'attn') or y.shape[1] == t.x_bnc.shape[1]
            ), (name, layer)
        return y


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('out_type', ['cls_token', 'raw'])
@pytest.mark.parametrize('sparsifier', [None, *map(config, registered())])
def test_input_and_output_of_a_site_are_of_the_same_tokens(sparsifier, out_type, training):
    backbone = build(
        adapter=[plug_in(Everywhere), dict(type='mmsparse.VPT', num_prompts=2)],
        sparsifier=sparsifier,
        out_type=out_type,
    )
    backbone.train(training).encode(images_for())


class Beside(Gain):
    """Reads the FFN's normed input for every token, as ConvPass does."""

    def site(self, name, layer, x, y, t):
        return y + self.square(x)


def test_what_reads_the_input_of_the_ffn_reads_all_tokens_under_a_dispatcher():
    """As a loop over the images, in which each chooses other tokens; also before a Dense Adapter, which reads no input
    there.
    """
    adapters = [plug_in(Beside), dict(type='mmsparse.DenseAdapter', bottleneck=4)]
    backbone = build(adapter=adapters, sparsifier=dict(type='mmsparse.DyTDispatcher')).double()
    images = images_for().double()
    with torch.no_grad():
        together, rates = backbone(images)[-1], backbone.encode(images)[-1].notes['dyt.1']
        assert len(rates.unique()) > 1
        torch.testing.assert_close(
            together, torch.cat([backbone(image[None])[-1] for image in images]), rtol=0, atol=1e-12
        )


class InNotes(Gain):
    """What one layer made is read, and replaced, in the next; not a tensor per row, so it rides in the notes."""

    def site(self, name, layer, x, y, t):
        before = t.notes.get('side', 0)
        side = self.square(y.mean(1, keepdim=True)).tanh() + before
        return SiteOutput(y * (1 + side + before), notes={'side': side})


class WritesNotes(InNotes):
    """The same, written to what it got."""

    def site(self, name, layer, x, y, t):
        y, _, notes = super().site(name, layer, x, y, t)
        t.notes.update(notes)
        return y


class WritesCarry(InNotes):
    """One entry per token, written to what it got."""

    def site(self, name, layer, x, y, t):
        t.carry['side'] = y
        return y


class OnItself(InNotes):
    """The same, on the adapter."""

    def site(self, name, layer, x, y, t):
        before = 0 if layer == 1 else self.side
        self.side = self.square(y.mean(1, keepdim=True)).tanh() + before
        return y * (1 + self.side + before)


def gradients(adapter, with_cp):
    model = draw(classifier(config('EViT'), plug_in(adapter), with_cp=with_cp))
    step(model)
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_what_rides_in_the_notes_has_the_same_gradients_when_blocks_run_again():
    expected, found = gradients(InNotes, False), gradients(InNotes, True)
    assert all(torch.equal(found[name], own) and own.any() for name, own in expected.items())


@pytest.mark.parametrize('adapter', [WritesNotes, WritesCarry])
@pytest.mark.parametrize('with_cp', [False, True])
def test_a_part_that_writes_to_the_tokens_it_is_shown_is_refused(adapter, with_cp):
    with pytest.raises((TypeError, AttributeError), match="'mappingproxy' object"):
        gradients(adapter, with_cp)


def test_what_is_kept_on_the_part_is_refused_when_blocks_run_again():
    held, noted = gradients(OnItself, False), gradients(InNotes, False)
    assert all(torch.equal(held[name], own) for name, own in noted.items())
    with pytest.raises(
        InputError, match='^OnItself keeps tensors of a pass on itself; with_cp=True runs a block again'
    ):
        gradients(OnItself, True)


class Reader(BaseAdapter):
    """A factor behind norm1 that merges into what reads it, as RepAdapter does."""

    sites, folds = ('norm1',), True

    def __init__(self, view):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(view.depth, view.width))

    def site(self, name, layer, x, y, t):
        return y * self.gain[layer - 1]

    def fold(self, view):
        for layer, gain_c in enumerate(self.gain, start=1):
            for name in ('q', 'k', 'v'):
                operator = view.operator(layer, name)
                operator.add(operator.weight * (gain_c - 1))


LORA, SSF = dict(type='mmsparse.LoRA', rank=4), dict(type='mmsparse.SSF')


@pytest.mark.parametrize(
    ('behind', 'stay'),
    [([], 0), ([LORA], 2), ([SSF], 2), ([dict(type='mmsparse.BitFit')], 0)],
    ids=['alone', 'lora', 'ssf', 'nobody'],
)
def test_an_adapter_does_not_merge_past_another_that_acts_behind_it(behind, stay):
    backbone, images = build(adapter=[plug_in(Reader), *behind]).double(), images_for().double()
    with torch.no_grad():
        before = backbone(images)[-1]
        backbone.fold()
        torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)
    assert len(backbone.adapters) == stay


@pytest.mark.parametrize('ahead', [LORA, SSF])
def test_what_stands_before_it_merges_with_it(ahead):
    backbone, images = build(adapter=[ahead, plug_in(Reader)]).double(), images_for().double()
    with torch.no_grad():
        before = backbone(images)[-1]
        backbone.fold()
        torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)
    assert len(backbone.adapters) == 0


def test_a_list_that_does_not_merge_whole_is_refused_by_the_tool_that_merges():
    with pytest.raises(
        InputError,
        match='^Reader merges into more than what its sites have, and LoRA, listed behind it, acts in between',
    ):
        merge_adapters(classifier(None, [plug_in(Reader), LORA]), {})


class Varying(BaseAdapter):
    """Prompts whose number is another in every layer (NOAH)."""

    span, counts = 'varying', (2, 0, 3, 1, 0, 2)

    def __init__(self, view):
        super().__init__()
        self.rows = nn.ParameterList(torch.zeros(count, view.width) for count in self.counts)

    def tokens(self, layer, t):
        return put_prefix(t, self.span, self.rows[layer - 1].expand(len(t.x_bnc), -1, -1))


@pytest.mark.parametrize('sparsifier', [None, EVIT, dict(type='mmsparse.ToMe', r=2)], ids=['alone', 'EViT', 'ToMe'])
def test_prompts_whose_number_varies_leave_other_prompts_and_patches_alone(sparsifier):
    class Watch(Gain):
        sites = ('norm1',)

        def site(self, name, layer, x, y, t):
            seen.append(t)
            return y

    seen, vpt = [], dict(type='mmsparse.VPT', num_prompts=2)
    backbone = build('timm_registers', [vpt, plug_in(Varying), vpt, plug_in(Watch)], sparsifier)
    with torch.no_grad():
        backbone(images_for())
    first, varying, second, _ = backbone.adapters
    for layer, t in enumerate(seen, start=1):
        rows = [first.prompts[layer - 1], varying.rows[layer - 1], second.prompts[layer - 1]]
        assert t.prefix == 5 + 4 + Varying.counts[layer - 1]
        assert all(each.equal(torch.cat(rows)) for each in t.x_bnc[:, 5 : t.prefix])
        for part, row in zip(backbone.adapters, rows):
            assert t.x_bnc[0, t.span(part.span)].equal(row)
        assert ((t.source_bm < 0) | (t.source_bm >= t.prefix)).all()
    assert len(seen) == DEPTH and (sparsifier is None or seen[-1].patches < seen[0].patches)


def test_two_methods_that_claim_one_prefix_span_are_refused_when_built():
    with pytest.raises(
        InputError, match="^SparseViT: Varying and VPT both claim the prefix span 'VPT', .* `span` of its own"
    ):
        build(adapter=[plug_in(type('Varying', (Varying,), dict(span='VPT'))), dict(type='mmsparse.VPT')])


@pytest.mark.parametrize('mode', ['stale', 'delta'])
def test_rows_that_are_not_normed_yet_are_restored_as_they_are(mode):
    """By hand: the last row of a patch before it left, and for delta what its present row has gained since."""
    backbone = build(sparsifier=dict(EVIT, layers=(2,), fuse='drop'), stash=True)
    seen, kept = watch(backbone), []
    norm, backbone.encoder._finish = (
        backbone.encoder._finish,
        lambda layer, t, parts: kept.append(t) or norm(layer, t, parts),
    )
    backbone.forward_tokens(images_for())
    found = restore(kept[0], mode).flatten(2).transpose(1, 2)
    (before,) = [tokens for _, _, tokens, plan in seen if plan is not None]
    gone_bm1 = (kept[0].source_bm < 0).unsqueeze(-1)
    assert gone_bm1.any()
    torch.testing.assert_close(found, torch.where(gone_bm1, rows_of(before), rows_of(kept[0])))
    torch.testing.assert_close(restore(replace(kept[0], stash=None)).flatten(2).transpose(1, 2), rows_of(kept[0]))


def test_dynamicvit_leaves_a_small_image_one_patch():
    host = timm_host(dynamic_img_size=True)
    backbone = build(
        host, sparsifier=dict(type='mmsparse.DynamicViT', layers=(2, 4), keep_rates=(0.5, 0.1)), out_type='featmap'
    )
    small = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    tokens = backbone.forward_tokens(small)
    assert tokens.patches == 1 and (tokens.source_bm >= 0).sum(1).tolist() == [1, 1]
    bare = build(
        timm_host(dynamic_img_size=True, class_token=False, global_pool='avg'),
        sparsifier=config('DynamicViT'),
        out_type='pooled',
    )
    bare.sparsifiers[0].rates = {2: 0.5, 4: 0.1}
    assert bare(small)[-1].isfinite().all()


@pytest.mark.parametrize(
    ('r', 'inflect', 'counts'),
    [
        (13, -0.5, [19, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7]),
        (9, 0.3, [6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 12]),
        (8, -1, [16, 14, 13, 11, 10, 8, 7, 5, 4, 2, 1, 0]),
    ],
)
def test_tomes_line_starts_at_a_whole_number_as_published(r, inflect, counts):
    backbone = build(timm_host(depth=12), sparsifier=dict(type='mmsparse.ToMe', r=r, inflect=inflect))
    assert list(backbone.sparsifiers[0].counts) == counts


def test_a_shift_that_lies_in_the_positions_is_not_scaled_by_who_stands_behind():
    """CLIP's patch projection has no bias: of two SSF the first would keep its shift unscaled."""
    backbone, images = build('open_clip', [SSF, SSF]).double(), images_for('open_clip').double()
    with torch.no_grad():
        before = backbone(images)[-1]
        backbone.fold()
        torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)
    assert len(backbone.adapters) == 2
