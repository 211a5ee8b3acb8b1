"""Clips from training to an answer: the tools on a small run, and parts of a video."""

import json

import numpy as np
import pytest
from PIL import Image

import mmsparse
from hosts import timm_host
from mmsparse.apis.clip_reader import spans
from mmsparse.errors import InputError
from mmsparse.state.files import newest
from small_run import ROOT, refused, tool
from small_videos import write_video

CONFIG = """
_base_ = ['{root}/configs/video/tiny_clips.py']
model = dict(
    backbone=dict(host=dict({host}, _delete_=True), sparsifier=dict(layers=(2,))),
    neck=dict(in_channels=32, num_heads=2),
    head=dict(in_channels=32),
)
train_dataloader = dict(dataset=dict(indices=[0, 13, 26, 39]), batch_size=2)
val_dataloader = dict(dataset=dict(indices=[0, 23]))
test_dataloader = val_dataloader
optim_wrapper = dict(type='OptimWrapper')
train_cfg = dict(max_epochs=1, val_interval=1)
"""


def test_a_video_is_cut_into_parts_of_equal_time(tmp_path):
    path = write_video(tmp_path / 'a.mp4', frames=50)
    assert [(each.segment, each.seconds) for each in spans(path)] == [((0, 50), (0, 2))]
    parts = spans(path, 0.8)
    assert [each.segment for each in parts] == [(0, 17), (17, 34), (34, 50)]
    assert [str(each) for each in parts] == [f'{path} 0.0–0.7 s', f'{path} 0.7–1.4 s', f'{path} 1.4–2.0 s']
    with pytest.raises(InputError, match='window of 0 seconds'):
        spans(path, 0)


@pytest.mark.slow
def test_train_test_and_infer_on_clips(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    host = ', '.join(f'{key}={value!r}' for key, value in timm_host(width=32, depth=3, heads=2).items())
    (tmp_path / 'small.py').write_text(CONFIG.format(root=ROOT, host=host))
    assert tool('train.py', 'small.py') == 0
    assert 'clip.mp4' in capsys.readouterr().out  # what to call next
    state = newest(tmp_path / 'work_dirs/small', print)
    assert tool('test.py', 'small.py', state) == 0
    (tmp_path / 'clips').mkdir()
    video, broken = write_video(tmp_path / 'clips/a.mp4', frames=50), tmp_path / 'clips/b.mp4'
    broken.write_text('no video')
    capsys.readouterr()
    assert tool('infer.py', state, 'clips', '--window', '1', '--show-tokens', '--out', 'out') == 1
    out, err = capsys.readouterr()
    assert 'a.mp4 0.0–1.0 s: ' in out and 'a.mp4 1.0–2.0 s: ' in out and 'b.mp4: FFmpeg finds no video in it' in err
    answers = json.loads((tmp_path / 'out/answers.json').read_text())
    assert len(answers) == 2 and all(len(top) == 4 for top in answers.values())
    assert Image.open(next((tmp_path / 'out').glob('*_tokens.png'))).width > 8 * 112
    model = mmsparse.load(state)
    whole = model.predict(video)
    assert whole.top == model.predict(spans(video)[0]).top and whole.name in model.card.classes
    assert len(model.predict(np.zeros((9, 40, 50, 3), np.uint8)).top) == 4
    assert 'no such image, video or folder' in refused(capsys, 'infer.py', state, 'nothing.mp4')
