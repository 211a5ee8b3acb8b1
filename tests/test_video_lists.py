"""Lists of videos in the field's three forms, and what is wrong with them."""

import json

import pytest

from mmsparse.datasets.video.list_files import read_list
from mmsparse.datasets.video.video_list import VideoList
from mmsparse.errors import InputError

KINETICS = 'label,youtube_id,time_start,time_end,split\nwalking the dog,--0a,7,17,val\nabseiling,b_C-,119,129,val\n'
TEMPLATES = {'Holding something': '0', 'Pushing something from left to right': '1'}
ENTRY = dict(
    id='78687', label='pushing a cup', template='Pushing [something] from left to right', placeholders=['a cup']
)


@pytest.mark.parametrize(
    'content', [b'\xef\xbb\xbfa b/c.mp4 3\r\n\r\nd.mp4\t0\r\n', b'a b/c.mp4, 3\nd.mp4,0', b'"a b/c.mp4" 3\rd.mp4 0\r']
)
def test_lines_of_path_and_label_in_any_encoding_and_with_blanks(content, tmp_path):
    expected = [('a b/c.mp4', 3), ('d.mp4', 0)]
    (tmp_path / 'list.txt').write_bytes(content)
    assert read_list(tmp_path / 'list.txt') == (expected, None)
    (tmp_path / 'wide.txt').write_bytes(content.decode('utf-8-sig').encode('utf-16'))
    assert read_list(tmp_path / 'wide.txt') == (expected, None)


def test_a_csv_of_kinetics_names_files_and_numbers_classes_in_alphabetical_order(tmp_path):
    (tmp_path / 'val.csv').write_text(KINETICS)
    rows, names = read_list(tmp_path / 'val.csv')
    assert names == ['abseiling', 'walking the dog']
    assert rows == [('--0a_000007_000017.mp4', 1), ('b_C-_000119_000129.mp4', 0)]
    assert read_list(tmp_path / 'val.csv', classes=['walking the dog', 'abseiling'])[0][0][1] == 0


def test_json_of_something_something_is_numbered_by_its_labels(tmp_path):
    (tmp_path / 'train.json').write_text(json.dumps([ENTRY]))
    (tmp_path / 'labels.json').write_text(json.dumps(TEMPLATES))
    rows, names = read_list(tmp_path / 'train.json', tmp_path / 'labels.json')
    assert rows == [('78687.webm', 1)] and names == list(TEMPLATES)


BAD = {
    'no list': (None, 'no such list of videos'),
    'empty': ('\n', 'this list is empty'),
    'no label': ('a.mp4 0\nb.mp4\n', 'line 2: received .b.mp4'),
    'a class too many': ('a.mp4 0\nb.mp4 2\n', 'line 2: received the label 2 for b.mp4, expected 0 to 1'),
    'a negative class': ('a.mp4 -1\n', 'line 1: received the label -1'),
    'another class': (KINETICS, "line 2: received the label 'walking the dog', expected one of 2 classes"),
    'no seconds': (KINETICS.replace('119', 'x').replace('walking the dog', 'y').replace('abseiling', 'y'), 'line 3'),
    'no labels.json': ('[{}]', 'set labels to labels.json'),
    'broken JSON': ('[{', 'cannot be read as JSON'),
}


@pytest.mark.parametrize('kind', BAD)
def test_a_wrong_list_is_refused_with_its_line(kind, tmp_path):
    content, words = BAD[kind]
    if content is not None:
        (tmp_path / 'list').write_text(content)
    with pytest.raises(InputError, match=words):
        read_list(tmp_path / 'list', classes=['x', 'y'])


@pytest.mark.parametrize('folder', ['', 'walking the dog', 'walking_the_dog'])
def test_videos_lie_beside_each_other_or_in_folders_of_their_classes(folder, tmp_path):
    (tmp_path / 'val.csv').write_text(KINETICS)
    (tmp_path / 'val' / folder).mkdir(parents=True)
    (tmp_path / 'val' / folder / '--0a_000007_000017.mp4').touch()
    data = VideoList('val.csv', 'val', data_root=str(tmp_path), pipeline=[])
    assert data[0]['video_path'] == str(tmp_path / 'val' / folder / '--0a_000007_000017.mp4')
    assert data[1]['video_path'] == str(tmp_path / 'val' / 'b_C-_000119_000129.mp4')  # missing: one may be
    assert data.metainfo['classes'] == ('abseiling', 'walking the dog') and data[0]['gt_label'] == 1


def test_too_many_missing_videos_are_refused_at_once(tmp_path):
    (tmp_path / 'list.txt').write_text('a.mp4 0\nb.mp4 1\nc.mp4 1\n')
    with pytest.raises(InputError, match='3 of its 3 videos are not there, the first one at .*a.mp4'):
        VideoList('list.txt', data_root=str(tmp_path))
    (tmp_path / 'b.mp4').touch()
    assert len(VideoList('list.txt', data_root=str(tmp_path), max_bad=0.7)) == 3
