"""COCO-Object's mapping, case by case, and the converter on files."""

import sys

import numpy as np
import pytest
from PIL import Image

from projects.proxyclip import convert_coco_object
from projects.proxyclip.convert_coco_object import NEVER_USED, convert
from projects.proxyclip.proxyclip.datasets import COCOObjectDataset

# COCO's own category numbers, from its data format; the maps hold them minus one.
CATEGORIES = {
    1: 'person', 2: 'bicycle', 11: 'fire hydrant', 13: 'stop sign', 25: 'giraffe', 27: 'backpack', 28: 'umbrella', 31: 'handbag', 44: 'bottle',
    46: 'wine glass', 65: 'bed', 67: 'dining table', 70: 'toilet', 72: 'tv', 82: 'refrigerator', 84: 'book', 90: 'toothbrush',
}  # fmt: skip


@pytest.mark.parametrize(('category', 'name'), CATEGORIES.items())
def test_an_object_gets_the_class_of_its_name(category, name):
    assert COCOObjectDataset.METAINFO['classes'][convert(np.array([category - 1]))[0]] == name


@pytest.mark.parametrize('label', [91, 92, 100, 181, 255])
def test_stuff_and_void_become_background(label):
    assert convert(np.array([label]))[0] == 0


def test_eighty_objects_fill_the_classes_in_order():
    used = [number for number in range(90) if number not in NEVER_USED]
    assert convert(np.array(used)).tolist() == list(range(1, 81))
    assert len(COCOObjectDataset.METAINFO['classes']) == len(COCOObjectDataset.METAINFO['palette']) == 81


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command on a root of its own."""
    monkeypatch.setattr(sys, 'argv', ['convert_coco_object.py', str(tmp_path), '--processes', '1'])
    return convert_coco_object.main


def test_the_converter_writes_beside_the_maps_and_leaves_others_alone(run, tmp_path, capsys):
    folder = tmp_path / 'annotations' / 'val2017'
    folder.mkdir(parents=True)
    labels = np.array([[0, 89, 91], [255, 12, 181]], np.uint8)
    Image.fromarray(labels).save(folder / '000000000139.png')
    Image.fromarray(labels).save(folder / '000000000139_labelTrainIds.png')
    for _ in range(2):
        run()
        assert '1 maps' in capsys.readouterr().out
    names = ['000000000139.png', '000000000139_instanceTrainIds.png', '000000000139_labelTrainIds.png']
    assert sorted(path.name for path in folder.iterdir()) == names
    found = np.asarray(Image.open(folder / names[1]))
    assert found.tolist() == [[1, 80, 0], [0, 12, 0]]


def test_a_folder_without_maps_and_a_map_of_something_else_are_refused(run, tmp_path, capsys):
    with pytest.raises(SystemExit, match='2'):
        run()
    assert 'no label maps' in capsys.readouterr().err
    folder = tmp_path / 'annotations' / 'val2017'
    folder.mkdir(parents=True)
    Image.fromarray(np.full((2, 2), 200, np.uint8)).save(folder / '1.png')
    with pytest.raises(SystemExit, match='2'):
        run()
    assert '1.png: holds 200' in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ['1.png']
