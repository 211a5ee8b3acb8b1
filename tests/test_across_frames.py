"""ToMe over all frames of a clip: a plain float64 loop over joined rows, and a law: frames that repeat each other merge
without a trace.
"""

import pytest
import torch

from hosts import DEPTH, HEADS, HOSTS, WIDTH, assert_near, build, images_for
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from references.names import as_timm
from references.parts import attend, gelu, linear, normalise
from references.sequence import Decision, Sequence
from references.tome import edges, merging
from references.vit import embed
from small_classifier import adapter, classifier, config
from small_clips import CROSS, clips, samples, video

FRAMES, JOIN, PATCHES = 4, 2, 16
OF_OTHERS = {
    'timm_relative': dict(HOSTS['timm'], name='vit_relpos_small_patch16_224', class_token=True),
    'timm_dinov3': dict(HOSTS['timm'], name='vit_small_patch16_dinov3', init_values=0.5),
}


def across(r=2, **options):
    return dict(type='mmsparse.ToMe', r=r) | dict(across_frames=True, join_layer=JOIN) | options


def ffn(state, block, x):
    x = normalise(x, state[f'{block}.norm2.weight'], state[f'{block}.norm2.bias'])
    return linear(gelu(linear(x, state, f'{block}.mlp.fc1')), state, f'{block}.mlp.fc2')


def attention(state, block, sequence):
    x = normalise(sequence.x, state[f'{block}.norm1.weight'], state[f'{block}.norm1.bias'])
    mixed, sequence.look = attend(x, state, f'{block}.attn', HEADS, sequence.sizes)
    sequence.x = sequence.x + mixed


def merge(sequence, r):
    found, margin = edges(sequence, r)
    sequence.follow(Decision(matrix=merging(found, sequence.sizes, sequence.prefix), margin=margin))


def together(parts):
    """One sequence: prefix rows frame by frame, then what stands at one place of all frames side by side."""
    rows = [(frame, row) for frame, part in enumerate(parts) for row in range(part.prefix)]
    rows += [(frame, row) for row in range(parts[0].prefix, len(parts[0].x)) for frame in range(len(parts))]
    place = {pair: index for index, pair in enumerate(rows)}
    joined = Sequence(
        0,
        torch.stack([parts[frame].x[row] for frame, row in rows]),
        sum(part.prefix for part in parts),
        [place[frame, row] for frame, part in enumerate(parts) for row in part.sources],
        [parts[frame].sizes[row] for frame, row in rows],
        margin=min(part.margin for part in parts),
    )
    joined.look = parts[0].look
    joined.look.keys = torch.stack([parts[frame].look.keys[:, row] for frame, row in rows], dim=1)
    return joined


def plain_loop(state, frames, r):
    state = {name: value.double() for name, value in as_timm(state).items()}
    sequences = []
    for item, frame in enumerate(frames.double()):
        x, prefix = embed(state, frame, 1e-6)
        sequences.append(Sequence(item, x, prefix, list(range(prefix, len(x))), [1] * len(x)))
    for layer in range(1, DEPTH + 1):
        for sequence in sequences:
            attention(state, f'blocks.{layer - 1}', sequence)
        sequences = [together(sequences)] if layer == JOIN else sequences
        for sequence in sequences:
            merge(sequence, r * (len(frames) if layer >= JOIN else 1))
            sequence.x = sequence.x + ffn(state, f'blocks.{layer - 1}', sequence.x)
    (sequence,) = sequences
    return normalise(sequence.x, state['norm.weight'], state['norm.bias']), sequence


@pytest.mark.parametrize('host', ['timm', 'timm_registers'])
def test_the_sequence_of_a_clip_equals_a_plain_loop(host):
    backbone = build(host, None, across()).double()
    for seed in range(20):
        frames = images_for(host, FRAMES, seed)
        rows, sequence = plain_loop(backbone.host.state_dict(), frames, 2)
        if sequence.margin > 1e-6:
            break
    with torch.no_grad():
        found = backbone.forward_tokens(frames.double()[None])
    assert found.source_bm.tolist() == [sequence.sources]
    assert found.size_bn.tolist() == [sequence.sizes] and max(sequence.sizes) > 2
    assert_near(found.x_bnc[0], rows, 1e-9)


ADAPTERS = {
    'none': None,
    'dense': adapter(),
    'prompts': dict(type='mmsparse.VPT', num_prompts=3),
    'convolution': dict(type='mmsparse.ConvPass'),
    'bypass': dict(type='mmsparse.ResTuningBypass'),
    'experts': dict(type='mmsparse.DyTMoEAdapter', bottleneck=4, experts=2),
    'noah': dict(type='mmsparse.NOAH'),
}
CASES = [('timm', name) for name in ADAPTERS] + [
    (host, 'dense') for host in ('timm_no_class_token', 'mmpretrain', 'open_clip', *OF_OTHERS)
]


@pytest.mark.parametrize(('host', 'name'), CASES)
def test_frames_that_repeat_each_other_merge_without_a_trace(host, name):
    """Two equal frames: every token of one joins its twin in the other, counts twice, and what each patch gets is what
    it gets in the image model."""
    host = OF_OTHERS.get(host, host)
    half = [0] * DEPTH
    half[JOIN - 1] = PATCHES // 2  # per frame: all of one of the two
    clip, image = build(host, ADAPTERS[name], across(half)), build(host, ADAPTERS[name])
    pictures = images_for('timm', 2)
    with torch.no_grad():
        merged = clip.double().forward_tokens(pictures.double().unsqueeze(1).expand(-1, 2, -1, -1, -1))
        alone = image.double().forward_tokens(pictures.double())
    assert merged.patches == PATCHES and merged.size_bn[:, merged.prefix :].eq(2).all()
    rows_bmc = merged.x_bnc.gather(1, merged.source_bm.unsqueeze(-1).expand(-1, -1, WIDTH))
    expected = alone.x_bnc[:, alone.prefix :]
    assert_near(rows_bmc, torch.cat([expected, expected], 1), 1e-9)
    if own := alone.segments[0]:
        assert_near(merged.x_bnc[:, : 2 * own], alone.x_bnc[:, :own].repeat(1, 2, 1), 1e-9)


def test_neighbours_are_read_in_the_one_sequence_too():
    """Nothing merges: what cross-frame links read is what they read in sequences of frames, by another route."""
    nothing = across([0] * DEPTH, join_layer=DEPTH)
    joined, apart_ = (build('timm', CROSS, each) for each in (nothing, None))
    with torch.no_grad():
        one, frames = (model.forward_tokens(clips(frames=FRAMES)[:, 0]) for model in (joined, apart_))
    rows_bmc = one.x_bnc.gather(1, one.source_bm.unsqueeze(-1).expand(-1, -1, WIDTH))
    assert_near(rows_bmc, frames.x_bnc[:, 1:].unflatten(0, (2, FRAMES)).flatten(1, 2))
    assert_near(one.x_bnc[:, :FRAMES], frames.x_bnc[:, 0].unflatten(0, (2, FRAMES)))


def test_it_learns_with_checkpointing_and_merges_as_many_as_by_frame():
    losses = []
    for with_cp in (False, True):
        model = video(across(r=3), [CROSS, ADAPTERS['prompts']], frames=FRAMES, with_cp=with_cp).train()
        loss = model(clips(frames=FRAMES), samples(), mode='loss')['loss']
        loss.backward()
        assert all(each.grad is not None for each in model.parameters() if each.requires_grad)
        losses.append((loss, model.backbone.adapters[0].layers['4']['cross']['prev_after'].weight.grad))
    assert_near(losses[1][0], losses[0][0])
    assert_near(losses[1][1], losses[0][1])
    by_frame = account(video(dict(type='mmsparse.ToMe', r=2), frames=FRAMES), [clips(1, frames=FRAMES)])
    together = account(video(across(), frames=FRAMES), [clips(1, frames=FRAMES)])
    assert together.tokens == by_frame.tokens
    attended = [FRAMES * (17 - 2 * layer) for layer in range(DEPTH)]  # tokens that enter each attention
    more = sum(2 * rows**2 * WIDTH * (1 - 1 / FRAMES) for rows in attended[JOIN:])
    assert together.part('attention').published - by_frame.part('attention').published == more


def test_what_knows_single_frames_alone_is_refused_beside_it():
    late = across([0, 2, 2, 0, 2, 2])
    for parts, options, words in (
        ([across(), config('DyTDispatcher')], {}, 'DyTDispatcher acts on frames there or later'),
        ([dict(config('EViT'), layers=(1, 4)), late], {}, 'Let EViT act before layer 2 only'),
        ([across()], dict(out_type='cls_token'), "out_type='cls_token' is of a frame. Use out_type='tokens'"),
        ([across()], dict(stash=True), 'a stash is kept by frame'),
        ([across()], dict(adapter=dict(type='mmsparse.SynQT')), 'SynQT keeps a vector of each frame'),
    ):
        with pytest.raises(InputError, match=f'^SparseViT: ToMe makes one sequence of the frames.*{words}'):
            build('timm', options.pop('adapter', None), parts, **options)
    build('timm', None, [dict(config('EViT'), layers=(1,)), late])
    with pytest.raises(InputError, match='^ToMe: across_frames=True matches tokens of all frames.*received images'):
        classifier(across(), out_type='avg_featmap')(torch.zeros(1, 3, 32, 32))
    for options, words in (
        (dict(join_layer=9), 'join_layer=9, expected a layer of this host. Layers count from 1 to 6'),
        (dict(across_frames=False), 'join_layer=2 without across_frames=True'),
        (dict(metric='context'), "across_frames=True and metric='context', expected metric='key'"),
    ):
        with pytest.raises(InputError, match=f'^ToMe: received {words}'):
            build('timm', None, across(**options))
