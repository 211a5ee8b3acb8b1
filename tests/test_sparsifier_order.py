"""What a list of sparsifiers may not be is refused when it is built; every other list runs and trains."""

from itertools import product

import pytest

import mmsparse.models  # noqa: F401  registers
from hosts import build, images_for
from mmsparse.errors import InputError
from mmsparse.models import BaseSparsifier, KeepRateSparsifier
from mmsparse.registry import MODELS
from mmsparse.tokens import Plan
from small_classifier import adapter, classifier, config, registered, step

TOME, EVIT, DYT = config('ToMe'), config('EViT'), config('DyTDispatcher')
DYNAMICVIT, ATS, DROP = config('DynamicViT'), config('ATS'), config('RandomDrop')


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        ([DYT, TOME], 'ToMe acts at layer 1 after DyTDispatcher has chosen the tokens of the FFN. List it first'),
        ([DYT, config('NoOp')], 'NoOp acts at layer 1 after DyTDispatcher'),
        ([TOME, EVIT], 'EViT ranks tokens by the attention of layer 2, but ToMe, listed before it, moves the tokens'),
        ([EVIT, TOME], 'ToMe ranks tokens by the attention of layer 2, but EViT.*Choose other layers'),
        ([TOME | dict(r=[0, 0, 2, 0, 0, 0]), EVIT | dict(layers=(3,))], 'attention of layer 3'),
        ([DROP, ATS], 'ATS ranks tokens by the attention of layer 2, but RandomDrop'),
        ([DYT, DYT], 'two DyTDispatcher act at layer 1.*Leave one out'),
        ([DYNAMICVIT, DYNAMICVIT | dict(layers=(4,), keep_rates=(0.2,))], 'two DynamicViT act at layer 4'),
        (
            [DYNAMICVIT, TOME],
            'ToMe moves tokens at layer 6, after DynamicViT has left invalid ones.*before layer 2 only',
        ),
        ([EVIT, DYNAMICVIT], 'EViT moves tokens at layer 4, after DynamicViT'),
        ([ATS, DROP | dict(layers=(2,))], 'RandomDrop moves tokens at layer 2, after ATS'),
        ([ATS, DYNAMICVIT], 'DynamicViT moves tokens at layer 4, after ATS'),
    ],
)
def test_parts_that_are_in_each_others_way_are_refused_when_built(parts, message):
    with pytest.raises(InputError, match=message):
        build(sparsifier=parts)


@pytest.mark.parametrize('one, two', product(registered(), registered()))
def test_a_list_that_is_built_trains_and_predicts(one, two):
    """No conflict waits for the first image; what DDP would wait for is not there either."""
    try:
        model = classifier([config(one), config(two)], adapter())
    except InputError:
        return
    step(model)
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    model.eval().backbone(images_for())


def test_few_pairs_with_layers_of_their_own_are_refused():
    """A list is a promise: methods that act in different layers, reduction first, go together."""
    early = [dict(TOME, r=[1, 1, 0, 0, 0, 0]), EVIT | dict(layers=(2,)), DROP | dict(layers=(1,))]
    late = [
        dict(TOME, r=[0, 0, 1, 0, 1, 0]),
        EVIT | dict(layers=(4,)),
        DROP | dict(layers=(3,)),
        ATS | dict(layers=(3, 5)),
        DYT,
    ]
    late += [DYNAMICVIT | dict(layers=(3, 5)), DYNAMICVIT | dict(layers=(3,), keep_rates=(0.6,))]
    for one, two in product(early, late):
        build(sparsifier=[one, two])
        if two is not DYT:
            build(sparsifier=[two, one])


def test_a_method_that_says_nothing_about_itself_is_not_refused():
    @MODELS.register_module(name='Silent')
    class Silent(BaseSparsifier):
        def __init__(self, view):
            super().__init__()

        def plan(self, layer, tokens, probe):
            return Plan.stay(tokens)

    try:
        for other in (TOME, EVIT, ATS, DYNAMICVIT):
            build(sparsifier=[config('NoOp'), other, dict(type='mmsparse.Silent')]).forward_tokens(images_for())
    finally:
        MODELS.module_dict.pop('Silent')


def test_the_rows_of_the_ffn_are_chosen_after_attention():
    class Early(KeepRateSparsifier):
        stage, chooses_ffn = 'before', True

        def __init__(self, view):
            super().__init__(view, (2,), 1.0)

    MODELS.register_module(name='EarlyChoice', module=Early, force=True)
    with pytest.raises(
        InputError,
        match="Early chooses the tokens of the FFN .chooses_ffn., which is done after attention: set stage = 'after'",
    ):
        build(sparsifier=dict(type='mmsparse.EarlyChoice'))
