"""Losses of parts reach the dictionary, under their names and once; a model that would lose them is refused."""

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS as THEIRS
from torch.nn import functional as F

from hosts import draw, timm_host
from mmsparse.config.check import check_config
from mmsparse.errors import InputError
from mmsparse.models.ops.losses import divergence
from mmsparse.models.part import has_losses
from mmsparse.registry import METRICS, MODELS
from small_classifier import adapter, batch, classifier, config, registered, step
from small_run import ROOT

OWN = {
    'Cropr': {'loss_cropr'},
    'DynamicViT': {'loss_dynamicvit_ratio', 'loss_dynamicvit_logits', 'loss_dynamicvit_tokens', 'dynamicvit_kept'},
    'DyTDispatcher': {'loss_complete', 'loss_dyt_distill', 'loss_dyt_rate', 'dyt_rate'},
}
COMPARING = ['DynamicViT', 'DyTDispatcher']  # with a pass that reduces nothing
PLAIN = 'mmpretrain.ImageClassifier'


def passes(model):
    """Note (sparsify, adapt) of every pass through the backbone; a list that fills."""
    seen, encode = [], model.backbone.encode

    def noting(images, sparsify=True, adapt=True):
        seen.append((sparsify, adapt))
        return encode(images, sparsify, adapt)

    model.backbone.encode = noting
    return seen


@pytest.mark.parametrize('name', registered())
def test_the_losses_of_a_part_join_those_of_the_head(name):
    losses = step(classifier(config(name), adapter()))
    assert set(losses) == {'loss'} | OWN.get(name, set())
    assert has_losses(type(classifier(config(name)).backbone.sparsifiers[0])) == (name in OWN)
    # The log shows all of them, and sums those that are losses.
    total, log = classifier(None).parse_losses(losses)
    assert set(log) == set(losses) | {'loss'}
    torch.testing.assert_close(total, sum(value for key, value in losses.items() if 'loss' in key))


@pytest.mark.parametrize('name', COMPARING)
def test_the_complete_pass_is_made_once_and_a_part_without_losses_asks_for_none(name):
    model = classifier(config(name), adapter())
    seen = passes(model)
    step(model)
    host_alone = [(False, False)] if name == 'DynamicViT' else []
    assert sorted(seen) == sorted([(True, True), (False, True), *host_alone])
    plain = classifier(config('EViT'), adapter())
    seen = passes(plain)
    step(plain)
    assert seen == [(True, True)]


def test_two_parts_share_the_complete_pass():
    """DyT trains the complete model, DynamicViT only compares with it: asked second, it takes DyT's pass."""
    model = classifier([config('DyTDispatcher'), config('DynamicViT')], adapter())
    seen = passes(model)
    losses = step(model)
    assert set(losses) == {'loss'} | OWN['DynamicViT'] | OWN['DyTDispatcher']
    assert seen.count((False, True)) == 1


def test_what_is_only_compared_with_has_no_gradient():
    model = classifier(config('DynamicViT'), adapter())
    graphs, encode = [], model.backbone.encode

    def noting(*args):
        layers = encode(*args)
        graphs.append(layers[-1].x_bnc.requires_grad)
        return layers

    model.backbone.encode = noting
    step(model)
    assert sorted(graphs) == [False, False, True]


def test_two_parts_of_one_type_keep_their_losses_apart():
    one, two = (
        dict(config('DynamicViT'), layers=(2,), keep_rates=(0.7,)),
        dict(config('DynamicViT'), layers=(4,), keep_rates=(0.4,)),
    )
    model = classifier([one, two], adapter())
    losses = step(model)
    assert {'loss_dynamicvit_ratio', 'loss_dynamicvit_ratio_2'} <= set(losses)  # part 0 is the adapter
    model.backbone.sparsifiers[0].losses = lambda ctx: dict(loss=torch.ones(()))
    assert {'loss', 'loss_1', 'loss_dynamicvit_ratio'} <= set(step(model))


def test_dyts_losses_are_those_of_the_paper():
    model = draw(classifier(config('DyTDispatcher'), adapter()))
    losses = step(model)
    images, samples = batch()
    labels = torch.cat([sample.gt_label for sample in samples])
    torch.manual_seed(0)
    dynamic = model.head((model.backbone.encode(images)[-1].x_bnc[:, 0],))
    complete = model.head((model.backbone.encode(images, sparsify=False)[-1].x_bnc[:, 0],))
    torch.testing.assert_close(losses['loss'], F.cross_entropy(dynamic, labels))
    torch.testing.assert_close(losses['loss_complete'], F.cross_entropy(complete, labels))
    p, q = complete.softmax(-1), dynamic.softmax(-1)
    torch.testing.assert_close(losses['loss_dyt_distill'], (p * (p.log() - q.log())).sum() / len(labels))
    torch.testing.assert_close(losses['loss_dyt_rate'], 2.0 * (losses['dyt_rate'] - 0.5) ** 2)
    assert 0 < losses['dyt_rate'] < 1


def test_tome_and_dyt_work_in_a_list_and_in_this_order_only():
    """Table IV's DyT + ToMe: the reduction first, then the tokens of the FFN."""
    losses = step(classifier([config('ToMe'), config('DyTDispatcher')], adapter()))
    assert {'loss', *OWN['DyTDispatcher']} == set(losses)
    with pytest.raises(
        InputError, match='ToMe acts at layer 1 after DyTDispatcher has chosen the tokens of the FFN. List it first'
    ):
        classifier([config('DyTDispatcher'), config('ToMe')])


@pytest.mark.parametrize(
    'first', [dict(type='mmsparse.ToMe', r=[2, 1, 0, 0, 0, 0]), dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5)]
)
def test_dynamicvit_counts_and_compares_original_patches_whatever_has_reduced_them_before(first):
    rates = {3: 0.5, 5: 0.3}
    model = draw(
        classifier(
            [first, dict(type='mmsparse.DynamicViT', layers=tuple(rates), keep_rates=tuple(rates.values()))], adapter()
        )
    )
    choices, ask = {}, model.backbone.sparsifiers[1].plan

    def plan(layer, tokens, probe):
        made = ask(layer, tokens, probe)
        if made is not None:
            choices[layer] = made.mask_bn[:, 1:].detach().round()
        return made

    model.backbone.sparsifiers[1].plan = plan
    passes, encode = [], model.backbone.encode

    def noting(*args):
        passes.append(encode(*args)[-1])
        return [passes[-1]]

    model.backbone.encode = noting
    losses = step(model)
    sparse = passes[0]
    host = model.backbone.encoder(batch()[0], (6,))[-1]
    shares = {layer: [sum(image.tolist()) / 16 for image in mask] for layer, mask in choices.items()}
    wanted = [sum((share - rates[layer]) ** 2 for share in shares[layer]) / 6 for layer in rates]
    assert float(losses['loss_dynamicvit_ratio']) == pytest.approx(2.0 * sum(wanted) / 2, rel=1e-4)
    assert float(losses['dynamicvit_kept']) == pytest.approx(sum(shares[5]) / 6, rel=1e-4)
    far = []
    for item in range(6):
        for patch, row in enumerate(sparse.source_bm[item].tolist()):
            if row >= 0 and choices[5][item, row - 1] == 1:
                far.append(float((sparse.x_bnc[item, row] - host.x_bnc[item, 1 + patch]).square().mean()))
    assert float(losses['loss_dynamicvit_tokens']) == pytest.approx(0.5 * sum(far) / len(far), rel=1e-4)


REPORTS = {
    'tome': [config('ToMe'), config('DyTDispatcher')],
    'padded': [config('ATS'), config('DyTDispatcher')],
    'dynamicvit': [config('DynamicViT'), config('DyTDispatcher')],
}


@pytest.mark.parametrize('name', REPORTS)
def test_the_prediction_of_an_image_tells_how_many_of_its_rows_entered_the_ffn(name):
    model = draw(classifier(REPORTS[name], adapter())).eval()
    images, samples = batch()
    rates = [sample.ffn_rate for sample in model(images, samples, mode='predict')]
    assert len(set(rates)) > 1 and all(0 <= rate <= 1 for rate in rates)
    alone = [model(images[[index]], [samples[index]], mode='predict')[0].ffn_rate for index in range(len(images))]
    torch.testing.assert_close(rates, alone)
    assert 'ffn_rate' not in classifier(config('EViT')).eval()(*batch(), mode='predict')[0]


def test_the_mean_of_what_is_reported_is_logged_beside_the_accuracy():
    cfg = Config.fromfile(ROOT / 'configs/sparsify/tiny_dyt_dense_adapter_digits.py')
    model = draw(classifier(config('DyTDispatcher'), adapter())).eval()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        evaluator = Evaluator(cfg.val_evaluator)
    rates = []
    for seed in (0, 1):
        samples = model(*batch(seed=seed), mode='predict')
        rates += [sample.ffn_rate for sample in samples]
        evaluator.process(samples)
    found = evaluator.evaluate(12)
    assert list(found) == ['accuracy/top1', 'mean/ffn_rate']  # the first is what the best state is chosen by
    assert found['mean/ffn_rate'] == pytest.approx(sum(rates) / 12)


def test_a_prediction_without_the_figure_is_left_out_of_its_mean():
    metric = METRICS.build(dict(type='mmsparse.ReportMean', name='ffn_rate'))
    metric.process(None, [dict(ffn_rate=0.5), dict(), dict(ffn_rate=0.25)])
    assert metric.evaluate(3) == {'mean/ffn_rate': 0.375}
    metric.process(None, [dict()])
    assert metric.evaluate(1) == {}


def test_dyts_rate_counts_the_rows_that_dynamicvit_has_left_and_no_others():
    """Masked rows are there in training alone: with every row active the rate is 1 all the same."""
    model = draw(classifier([config('DynamicViT'), config('DyTDispatcher')], adapter()))
    with torch.no_grad():
        for dispatcher in model.backbone.sparsifiers[1].dispatchers.values():
            dispatcher.weight.zero_()
            dispatcher.bias.fill_(1e3)
    losses = step(model)
    torch.testing.assert_close(losses['dyt_rate'], torch.ones(()))
    assert losses['dynamicvit_kept'] < 0.9


def test_predictions_are_those_of_the_plain_classifier():
    model = classifier(config('EViT'), adapter()).eval()
    plain = classifier(config('EViT'), adapter(), PLAIN).eval()
    ours, theirs = (m(*batch(), mode='predict') for m in (model, plain))
    assert all(torch.equal(one.pred_score, two.pred_score) for one, two in zip(ours, theirs, strict=True))


@pytest.mark.parametrize('listed', [False, True])
@pytest.mark.parametrize('name', sorted(OWN))
def test_a_model_that_collects_no_losses_is_refused_when_built(name, listed):
    part = [config('NoOp'), config(name)] if listed else config(name)
    message = rf"backbone\.sparsifier: {name} has losses of its own.*ImageClassifier does not collect.*type='mmsparse\.SparseClassifier'"
    with pytest.raises(InputError, match=message):
        classifier(part, kind=PLAIN)
    with DefaultScope.overwrite_default_scope('mmpretrain'), pytest.raises(InputError, match=message):
        classifier(part, kind=ImageClassifier)


@pytest.mark.parametrize('name', sorted(OWN))
def test_a_config_that_would_lose_losses_is_refused_at_its_place(name):
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=config(name))
    model = dict(type='ImageClassifier', backbone=backbone, head=dict(type='LinearClsHead'))
    with pytest.raises(InputError, match=f'^model.backbone.sparsifier: {name} has losses'):
        check_config(Config(dict(default_scope='mmpretrain', model=model)))
    model['backbone'] = dict(type='LoRAModel', module=backbone, targets=[dict(type='.*qkv')])
    with pytest.raises(InputError, match=f'^model.backbone.module.sparsifier: {name} has losses'):
        check_config(Config(dict(default_scope='mmpretrain', model=model)))
    model['type'] = 'mmsparse.SparseClassifier'
    check_config(Config(dict(default_scope='mmpretrain', model=model)))


def test_what_is_misspelt_is_named_before_losses_are_asked_about():
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=dict(type='mmsparse.DynamicVit'))
    with pytest.raises(
        InputError, match="^model.backbone.sparsifier: received type.*Did you mean 'mmsparse.DynamicViT'"
    ):
        check_config(Config(dict(default_scope='mmpretrain', model=dict(type='ImageClassifier', backbone=backbone))))


@pytest.mark.parametrize('name', sorted(OWN))
def test_a_backbone_on_its_own_and_a_part_without_losses_are_not_refused(name):
    MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=config(name)))
    classifier(config('ToMe'), adapter(), PLAIN)


@pytest.mark.parametrize('name', sorted(OWN))
def test_a_model_that_another_registry_or_python_builds_is_refused_before_it_trains(name):
    """The instance is asked: no config of ours has been read on the way."""
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=config(name))
    head = dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=48)
    models = [
        THEIRS.build(dict(type='mmpretrain.ImageClassifier', backbone=backbone, head=head)),
        THEIRS.build(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=dict(type='mmpretrain.LoRAModel', module=backbone, rank=2, targets=[dict(type='.*qkv')]),
                head=head,
            )
        ),
        ImageClassifier(backbone=MODELS.build(backbone), head=THEIRS.build(head)),
    ]
    for model in models:
        with pytest.raises(InputError, match=f'^SparseViT: {name} has losses of its own.*SparseClassifier.*collect'):
            model(*batch(), mode='loss')
        model.eval()(*batch(), mode='predict')
    with pytest.raises(InputError, match=f'{name} has losses'):
        torch.nn.Sequential(MODELS.build(backbone))(batch()[0])
    classifier_of_ours = THEIRS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=head))
    assert OWN[name] <= set(classifier_of_ours(*batch(), mode='loss'))


def test_a_part_whose_instance_alone_has_losses_is_asked_too():
    model = classifier(config('EViT'), adapter(), PLAIN)
    model.backbone.adapters[0].losses = lambda ctx: dict(loss_extra=torch.ones(()))
    with pytest.raises(InputError, match='DenseAdapter has losses of its own'):
        model(*batch(), mode='loss')


SIGMOID = {
    'multi_label': dict(type='mmpretrain.MultiLabelLinearClsHead', num_classes=5, in_channels=48),
    'focal': dict(
        type='mmpretrain.MultiLabelLinearClsHead',
        num_classes=5,
        in_channels=48,
        loss=dict(type='mmpretrain.FocalLoss'),
    ),
    'use_sigmoid': dict(
        type='mmpretrain.LinearClsHead',
        num_classes=5,
        in_channels=48,
        loss=dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True),
    ),
    'one_logit': dict(type='mmpretrain.MultiLabelLinearClsHead', num_classes=1, in_channels=48),
}


@pytest.mark.parametrize('head', SIGMOID)
@pytest.mark.parametrize('name', COMPARING)
def test_distillation_asks_about_each_class_where_the_head_does(name, head):
    """By hand: KL of as many coins as there are classes; the softmax of one logit would be 1 on both sides."""
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), adapter=adapter(), sparsifier=config(name))
    model = draw(MODELS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=SIGMOID[head])))
    classes = SIGMOID[head]['num_classes']
    images, samples = batch()
    for index, sample in enumerate(samples):
        sample.set_gt_score(torch.eye(5)[index % 5][:classes])
    seen, finish = [], model._finish
    model._finish = lambda samples, layers: seen.append(finish(samples, layers)) or seen[-1]
    torch.manual_seed(0)
    losses = model(images, samples, mode='loss')
    dynamic, complete = (run.logits.detach().double().sigmoid() for run in seen[:2])
    coins = complete * (complete / dynamic).log() + (1 - complete) * ((1 - complete) / (1 - dynamic)).log()
    found = losses['loss_dyt_distill'] if name == 'DyTDispatcher' else losses['loss_dynamicvit_logits'] / 0.5
    assert float(found) == pytest.approx(float(coins.sum(1).mean()), rel=1e-4) and float(found) > 1e-3


def test_several_tasks_are_refused_where_distillation_compares_one():
    task = dict(type='mmpretrain.LinearClsHead', num_classes=3)
    head = dict(type='mmpretrain.MultiTaskHead', task_heads=dict(a=task, b=task), in_channels=48)
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=config('DyTDispatcher'))
    model = MODELS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=head))
    with pytest.raises(InputError, match='received the logits of several tasks'):
        divergence(*[model._finish([], model.backbone.encode(batch()[0]))] * 2)
