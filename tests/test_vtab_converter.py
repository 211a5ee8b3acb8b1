"""VTAB-1K from raw sets: labels by hand, every raw format, resuming, checksums, and what is said about what is missing."""

import sys
from collections import Counter

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from PIL import Image

import small_raw_sets
from mmsparse.datasets.vtab import export as exporting
from mmsparse.datasets.vtab import labels
from mmsparse.datasets.vtab.natural import at_most
from mmsparse.datasets.vtab.pictures import Pictures, shares
from mmsparse.datasets.vtab.sources import SOURCES
from mmsparse.datasets.vtab.specialized import eye
from mmsparse.datasets.vtab.tasks import TASKS
from small_run import refused, tool

TOOL, N = 'dataset_converters/vtab1k.py', 2
TEST = dict(caltech101=2, eurosat=4, kitti=2, dsprites_loc=2, dsprites_ori=2, smallnorb_azi=2, smallnorb_ele=2)


@pytest.mark.parametrize(
    ('label', 'expected'),
    [
        (labels.clevr_count([{}] * 3), 0),
        (labels.clevr_count([{}] * 10), 7),
        (labels.clevr_distance([dict(pixel_coords=[0, 0, depth]) for depth in (12.0, 8.5)]), 1),
        (labels.clevr_distance([dict(pixel_coords=[99, 0, 10.001])]), 5),
        (labels.clevr_distance([dict(pixel_coords=[0, 0, 7.0])]), 0),
        (labels.kitti_distance(['Van 0 0 0 1 2 3 4 5 6 7 8 9 19.99 0', 'Car 0 0 0 1 2 3 4 5 6 7 8 9 7.5 0']), 0),
        (labels.kitti_distance(['Truck 0 0 0 1 2 3 4 5 6 7 8 9 20.01 0', '']), 2),
        (labels.kitti_distance(['Person_sitting 0 0 0 1 2 3 4 5 6 7 8 9 3 0']), 3),
        (labels.kitti_distance([]), 3),
        (labels.dsprites_bin(31, 32), 15),
        (labels.dsprites_bin(39, 40), 15),
        (labels.dsprites_bin(4, 40), 1),
        (labels.dsprites_bin(5, 40), 2),
        (labels.smallnorb_azimuth(34), 17),
        (labels.svhn_digit(10), 0),
        (labels.svhn_digit(9), 9),
    ],
)
def test_labels_by_hand(label, expected):
    assert label == expected


def test_angles_are_binned_as_by_division_by_two_and_a_half():
    """VTAB divides in floating point, 40 angles by 2.5 and 32 positions by 2."""
    assert [labels.dsprites_bin(value, 40) for value in range(40)] == [int(value // 2.5) for value in range(40)]
    assert Counter(labels.dsprites_bin(value, 32) for value in range(32)) == dict.fromkeys(range(16), 2)


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp('raw')
    small_raw_sets.write_all(folder, N)
    return folder


@pytest.fixture
def small(monkeypatch):
    """Eight and two pictures instead of 800 and 200."""
    small_raw_sets.stand_in(monkeypatch, N)
    monkeypatch.setattr(exporting, 'DRAWN', dict(train=4 * N, val=N))


def read_list(folder, name: str) -> list[tuple[str, int]]:
    rows = (line.rsplit(' ', 1) for line in (folder / f'{name}.txt').read_text().splitlines())
    return [(path, int(label)) for path, label in rows]


@pytest.mark.filterwarnings('ignore:VTAB. .* lists')
@pytest.mark.parametrize('task', TASKS)
def test_every_raw_format_becomes_the_layout(raw, small, tmp_path, task):
    assert tool(TOOL, tmp_path, '--raw', raw, '--tasks', task) == 0
    folder = tmp_path / task
    lists = {name: read_list(folder, name) for name in ('train800', 'val200', 'train800val200', 'test')}
    drawn = TEST.get(task, small_raw_sets.TEST)
    assert [len(rows) for rows in lists.values()] == [4 * N, N, 5 * N, drawn]
    assert lists['train800val200'] == lists['train800'] + lists['val200']
    for path, label in lists['train800val200'] + lists['test']:
        if task != 'diabetic_retinopathy':  # whose pictures are grey in the middle of nothing, once processed
            mark = small_raw_sets.mark_of(task, folder / path)
            assert label == small_raw_sets.LABELS.get(task, range(200))[mark], path
        assert Image.open(folder / path).format == 'PNG'
    assert len({label for rows in lists.values() for _, label in rows}) > 1
    assert not list(folder.rglob('*.part')) and not (folder / exporting.LEDGER).exists()
    data = DATASETS.build(dict(type='mmsparse.VTAB', task=task, data_root=str(tmp_path), split='test'))
    assert list(data.get_gt_labels()) == [label for _, label in lists['test']]


def test_all_tasks_have_a_source():
    assert list(SOURCES) == list(TASKS)


def test_what_was_written_is_kept_when_a_call_was_killed(raw, small, tmp_path, monkeypatch):
    """The second call writes what is missing, and ends with the lists of an undisturbed one."""
    assert tool(TOOL, tmp_path / 'whole', '--raw', raw, '--tasks', 'svhn') == 0
    save, saved, folder = Image.Image.save, [], tmp_path / 'cut/svhn'

    def stopping(image, path, *args):
        saved.append(path)
        if len(saved) > 3:
            raise KeyboardInterrupt
        save(image, path, *args)

    monkeypatch.setattr(exporting.os, 'cpu_count', lambda: 1)
    times = {}
    for half in ('0123', '0123 4'):  # as if killed in the middle of a line
        saved.clear()
        monkeypatch.setattr(Image.Image, 'save', stopping)
        assert tool(TOOL, tmp_path / 'cut', '--raw', raw, '--tasks', 'svhn') == 130
        assert not exporting.is_whole(folder)
        ledger = folder / exporting.LEDGER
        kept = [line.split()[2] for line in ledger.read_text().splitlines() if line.count(' ') == 2]
        assert len(kept) == len(times) + 3
        assert {name: (folder / name).stat().st_mtime_ns for name in times} == times
        times = {name: (folder / name).stat().st_mtime_ns for name in kept}
        with ledger.open('a') as file:
            file.write(half)
    monkeypatch.setattr(Image.Image, 'save', save)
    assert tool(TOOL, tmp_path / 'cut', '--raw', raw, '--tasks', 'svhn') == 0
    assert {name: (folder / name).stat().st_mtime_ns for name in times} == times
    for file in (tmp_path / 'whole/svhn').glob('*.txt'):
        assert (folder / file.name).read_text() == file.read_text()


def test_checksums_find_what_has_changed(raw, small, tmp_path, capsys):
    assert tool(TOOL, tmp_path, '--raw', raw, '--tasks', 'kitti', 'eurosat') == 0
    assert "not the benchmark's numbers" in capsys.readouterr().out
    assert tool(TOOL, tmp_path, '--check', '--tasks', 'kitti', 'eurosat') == 0
    assert capsys.readouterr().out.count('as written') >= 2
    (tmp_path / 'kitti/images/val/000001.png').write_bytes(b'?')
    text = refused(capsys, TOOL, tmp_path, '--check', '--tasks', 'kitti', 'eurosat', 'svhn')
    assert 'kitti: 1 pictures are not what was written, such as images/val/000001.png' in text
    assert 'svhn: not whole' in text and 'eurosat' not in text


def test_a_set_that_is_missing_is_named_with_its_place_and_the_others_are_made(
    raw, small, tmp_path, capsys, monkeypatch
):
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw/eurosat').symlink_to(raw / 'eurosat')
    monkeypatch.setitem(sys.modules, 'datasets', None)
    wanted = ('dtd', 'sun397', 'resisc45', 'kitti', 'smallnorb_ele', 'eurosat')
    text = refused(capsys, TOOL, tmp_path / 'out', '--raw', tmp_path / 'raw', '--tasks', *wanted)
    assert 'dtd: cannot be read from' in text and '--download fetches' in text
    for place in ('https://vision.princeton.edu', 'pip install datasets', 'devkit_object.zip', 'norb-v1.0-small'):
        assert place in text, text
    assert exporting.is_whole(tmp_path / 'out/eurosat')


def test_an_empty_class_folder_is_refused(raw, small, tmp_path, capsys):
    folder = tmp_path / 'eurosat/2750'
    for name in ('AnnualCrop', 'Forest'):
        (folder / name).mkdir(parents=True)
    small_raw_sets.save(folder / 'Forest/a.jpg', 0)
    text = refused(capsys, TOOL, tmp_path / 'out', '--raw', tmp_path, '--tasks', 'eurosat')
    assert 'eurosat/2750: no picture in AnnualCrop' in text


def test_a_task_with_a_typo_is_refused(tmp_path, capsys):
    assert "'svnh'" in refused(capsys, TOOL, tmp_path, '--tasks', 'svnh')


def test_parts_share_no_picture_and_are_the_same_every_time():
    whole = Pictures(1000, lambda index: (None, index))
    parts = shares(whole, 80, 10, 10)
    taken = [[part.item(index)[1] for index in range(part.count)] for part in parts]
    assert [len(each) for each in taken] == [800, 100, 100]
    assert sorted(sum(taken, [])) == list(range(1000))
    assert taken == [[part.item(index)[1] for index in range(part.count)] for part in shares(whole, 80, 10, 10)]


def test_drives_of_kitti_lie_in_one_part_each(raw):
    lines = (raw / 'Kitti/raw/mapping/train_mapping.txt').read_text().splitlines()
    order = [int(word) - 1 for word in (raw / 'Kitti/raw/mapping/train_rand.txt').read_text().split(',')]
    parts = SOURCES['kitti'].read(raw, False)
    assert [part.count for part in parts] == [16, 2, 2]
    assert len(order) == sum(part.count for part in parts) == len(lines)


def test_large_scenes_shrink_to_the_area_of_the_benchmark():
    assert at_most(Image.new('RGB', (800, 600))).size == (400, 300)
    assert at_most(Image.new('RGB', (300, 400))).size == (300, 400)


def test_an_eye_is_scaled_to_its_radius_and_loses_its_mean_colour():
    ys, xs = np.mgrid[:400, :600]
    disc = ((xs - 300) ** 2 + (ys - 200) ** 2 < 150**2)[..., None] * np.array([200, 100, 50])
    pixels = np.asarray(eye(Image.fromarray(disc.astype(np.uint8))))
    assert pixels.shape == (540, 540, 3)  # 90 % of a radius of 300, on both sides
    assert (pixels[0, 0] == 128).all() and (abs(pixels[270, 270].astype(int) - 128) <= 1).all()
