"""The form for testing through the commands: --fold says what it did, and answers what the trained form answers."""

import json
import pickle
from types import SimpleNamespace

import pytest
import torch

import mmsparse
from mmsparse.engine.evolution_search import EvolutionSearchLoop
from mmsparse.engine.hooks.fold import fold_before_test
from mmsparse.errors import InputError
from small_run import refused, tool, write_run
from small_state import change_tensors, train

VPT, LORA, ADAPTFORMER, DENSE = (
    dict(type='mmsparse.VPT', num_prompts=2),
    dict(type='mmsparse.LoRA', rank=2),
    dict(type='mmsparse.AdaptFormer', bottleneck=4),
    dict(type='mmsparse.DenseAdapter', bottleneck=4),
)
LISTS = {
    'DenseAdapter': ([DENSE], 'DenseAdapter in the form for testing'),
    'all': (
        [LORA, ADAPTFORMER, VPT, DENSE],
        'LoRA merged into the host; AdaptFormer, DenseAdapter in the form for testing; VPT unfolded',
    ),
    'VPT': ([VPT], 'VPT unfolded (VPT adds tokens'),
    'none': ([], 'no adapter to fold'),
}


def draw_all(tensors):
    random = torch.Generator().manual_seed(0)
    for name, value in tensors.items():
        if value.is_floating_point():
            tensors[name] = torch.randn(value.shape, generator=random) * 0.1


@pytest.fixture(scope='module', params=LISTS)
def trained(request, tmp_path_factory):
    """A config, and a state of it whose parameters are all drawn."""
    adapters, said = LISTS[request.param]
    config = write_run(tmp_path_factory.mktemp('fold'), train=8)
    config.write_text(config.read_text() + f'\nmodel["backbone"]["adapter"] = {adapters}\n')
    train(config, 'run', **{'train_cfg.max_epochs': 2})
    state = config.parent / 'run/epoch_2'
    change_tensors(state, draw_all)
    return SimpleNamespace(config=config, state=state, said=said, folder=config.parent)


def test_the_test_command_predicts_the_same_and_says_what_it_folded(trained):
    scores = []
    for options in ([], ['--fold']):
        folder = trained.folder / f'tested{len(options)}'
        out, name = folder / 'scores.pkl', ['--cfg-options', f'experiment_name={folder}'.replace('/', '_')]
        assert tool('test.py', trained.config, trained.state, '--work-dir', folder, '--out', out, *options, *name) == 0
        log = ''.join(file.read_text() for file in folder.rglob('*.log'))
        assert (f'Folded for testing: {trained.said}' in log) == bool(options)
        scores.append(torch.stack([one['pred_score'] for one in pickle.loads(out.read_bytes())]))
    plain, folded = scores
    assert plain.std(0).min() > 1e-4  # the answers do differ
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-5)


def test_the_command_for_pictures_answers_the_same(trained, capsys):
    answers = []
    for options in ([], ['--fold']):
        out = trained.folder / f'answers{len(options)}'
        assert tool('infer.py', trained.state, trained.folder / 'data/test', '--out', out, *options) == 0
        assert (f'Folded for testing: {trained.said}' in capsys.readouterr().out) == bool(options)
        found = json.loads((out / 'answers.json').read_text())
        answers.append({(file, one['name']): one['score'] for file, top in found.items() for one in top})
    assert answers[1] == pytest.approx(answers[0], abs=1e-5) and len(answers[0]) == 60


def test_a_folded_model_predicts_and_does_not_train(trained):
    plain, folded = (mmsparse.load(trained.state, fold=fold) for fold in (False, True))
    folder = trained.folder / 'data/test/class_0'
    for one, other in zip(plain.predict(folder), folded.predict(folder), strict=True):
        assert other.name == one.name and other.score == pytest.approx(one.score, abs=1e-5)
    with pytest.raises(InputError, match=r'a training step after fold\(\)'):
        folded.train()(torch.zeros(1, 3, 32, 32), mode='tensor')
    with pytest.raises(InputError, match='fold'):
        mmsparse.load(trained.state, fold='yes')


def test_averaged_weights_are_not_folded(trained, capsys):
    hooks = ['--cfg-options', "custom_hooks=[dict(type='EMAHook')]"]
    common = (trained.config, trained.state, '--work-dir', trained.folder / 'ema')
    assert 'EMAHook exchanges parameters' in refused(capsys, 'test.py', *common, '--fold', *hooks)


def test_a_search_is_not_folded():
    loop = EvolutionSearchLoop.__new__(EvolutionSearchLoop)
    with pytest.raises(InputError, match='another sub-network for every score'):
        fold_before_test(SimpleNamespace(test_loop=loop, hooks=[]))
