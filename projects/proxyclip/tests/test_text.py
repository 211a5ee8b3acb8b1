"""Words, prompts and what is kept of them on disk."""

import math

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from hosts import draw
from mmsparse.errors import InputError
from projects.proxyclip.proxyclip import text_bank as module
from projects.proxyclip.proxyclip.text_bank import text_bank
from projects.proxyclip.proxyclip.text_head import TextHead
from projects.proxyclip.proxyclip.vocabulary import vocabulary
from small_proxyclip import TEXT, VISION, small_clip

COUNTS = {
    'voc20': (20, 20), 'voc21': (21, 46), 'context59': (59, 59), 'context60': (60, 60), 'coco_object': (81, 97), 'coco_stuff': (171, 171),
    'ade20k': (150, 150), 'cityscapes': (19, 19),
}  # fmt: skip


@pytest.mark.parametrize('name', COUNTS)
def test_a_benchmark_has_as_many_classes_and_queries_as_published(name):
    found = vocabulary(name)
    assert (len(found.classes), len(found.queries)) == COUNTS[name]
    assert len(found.query_class) == len(found.queries) and set(found.query_class) == set(range(len(found.classes)))


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('voc20', {3: 'ship', 10: 'table', 0: 'aeroplane', 19: 'tvmonitor'}),
        ('voc21', {0: 'sky', 4: 'ship', 20: 'tvmonitor'}),
        ('context60', {0: 'background', 1: 'aeroplane'}),
        ('context59', {0: 'aeroplane'}),
        ('coco_object', {0: 'sky', 10: 'traffic light', 80: 'toothbrush'}),
        ('coco_stuff', {9: 'trafficlight', 78: 'hairdrier'}),
        ('ade20k', {44: 'chestofdrawers', 56: 'pooltable'}),
        ('cityscapes', {6: 'trafficlight'}),
    ],
)
def test_names_follow_the_published_rules(name, words):
    found = vocabulary(name)
    assert {index: found.classes[index] for index in words} == words


def test_background_is_described_by_its_own_words():
    for name, count in (('voc21', 26), ('coco_object', 17)):
        found = vocabulary(name)
        own = [query for query, index in zip(found.queries, found.query_class) if index == 0]
        assert len(own) == count and own[0] == 'sky' and 'rail' in own


def test_a_class_file_has_a_line_per_class_and_synonyms_by_semicolon_or_comma(tmp_path):
    file = tmp_path / 'classes.txt'
    file.write_text('sky; wall\n\ncat, kitten\nplant pot\n')
    found = vocabulary(str(file))
    assert found.classes == ('sky', 'cat', 'plant pot')
    assert (found.queries, found.query_class) == (('sky', 'wall', 'cat', 'kitten', 'plant pot'), (0, 0, 1, 1, 2))
    assert vocabulary(['sky, wall', 'cat, kitten', 'plant pot']) == found


@pytest.mark.parametrize(
    ('classes', 'words'),
    [
        ([], 'no classes'),
        (['cat', ' , '], 'a class without a name'),
        (['cat', 'sofa', 'cat'], "'cat' more than once"),
        (['cat, kitten', 'dog, kitten'], "'kitten' more than once"),
        ('nowhere.txt', "'nowhere.txt', which is neither a file nor one of voc20"),
    ],
)
def test_words_that_cannot_be_used_are_refused(classes, words):
    with pytest.raises(InputError, match=words):
        vocabulary(classes)


def test_an_empty_class_file_and_one_that_is_no_text_are_refused_by_name(tmp_path):
    empty, binary = tmp_path / 'empty.txt', tmp_path / 'classes.bin'
    empty.write_text('\n')
    binary.write_bytes(b'\xff\xfe\x00cat')
    for file, words in ((empty, 'no classes'), (binary, 'not a text file')):
        with pytest.raises(InputError, match=f'{file.name}: .*{words}'):
            vocabulary(str(file))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'text_banks'


@pytest.fixture
def whole(tmp_path):
    """A file of a whole model with drawn parameters, and that model."""
    small_clip()
    model = draw(open_clip.CLIP(24, VISION, TEXT, quick_gelu=True)).eval()
    file = tmp_path / 'clip.safetensors'
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    return str(file), model


def test_an_embedding_is_the_mean_of_eighty_prompts(cache, whole):
    file, model = whole
    found = text_bank(('cat', 'plant pot'), small_clip(), file)
    tokenize = open_clip.get_tokenizer(small_clip())
    assert len(open_clip.OPENAI_IMAGENET_TEMPLATES) == 80
    for query, vector in zip(('cat', 'plant pot'), found):
        with torch.no_grad():
            said = [model.encode_text(tokenize(prompt(query)))[0] for prompt in open_clip.OPENAI_IMAGENET_TEMPLATES]
        mean = torch.stack([one / one.norm() for one in said]).mean(0)
        torch.testing.assert_close(vector, mean / mean.norm(), atol=1e-6, rtol=0)


def test_a_bank_is_encoded_once_and_kept_under_what_it_was_made_from(cache, whole, monkeypatch):
    file, model = whole
    encoded = []
    monkeypatch.setattr(module, '_encode', lambda *given: encoded.append(given) or torch.eye(2, 24))
    first = text_bank(('cat', 'sofa'), small_clip(), file)
    assert torch.equal(text_bank(('cat', 'sofa'), small_clip(), file), first)
    assert len(encoded) == 1 and len(list(cache.iterdir())) == 1
    text_bank(('sofa', 'cat'), small_clip(), file)
    model.ln_final.bias.data += 1
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    text_bank(('cat', 'sofa'), small_clip(), file)
    assert len(encoded) == 3 and len(list(cache.iterdir())) == 3
    assert all(load_file(kept)['text'].shape == (2, 24) for kept in cache.iterdir())


def test_a_damaged_bank_is_made_again(cache, whole):
    file, _ = whole
    first = text_bank(('cat', 'sofa'), small_clip(), file)
    kept = next(cache.iterdir())
    kept.write_bytes(kept.read_bytes()[:-9])
    assert torch.equal(text_bank(('cat', 'sofa'), small_clip(), file), first)
    assert torch.equal(load_file(kept)['text'], first)


@pytest.mark.parametrize(
    ('broken', 'said'),
    [(torch.ones(1, 24), '1 × 24 numbers instead of 2 × 24'), (torch.ones(2, 24), 'made from other words')],
    ids=['shape', 'words'],
)
def test_a_bank_of_other_words_is_made_again(cache, whole, monkeypatch, broken, said):
    file, _ = whole
    first, heard = text_bank(('cat', 'sofa'), small_clip(), file), []
    save_file({'text': broken}, next(cache.iterdir()))
    monkeypatch.setattr(module, 'print_log', lambda text, *_: heard.append(text))
    assert torch.equal(text_bank(('cat', 'sofa'), small_clip(), file), first)
    assert len(heard) == 1 and said in heard[0]


@pytest.mark.parametrize(
    ('queries', 'words'),
    [
        (('cat', 'sofa', 'Cat'), "reads 'cat' and 'Cat' alike"),
        (('cat', 'traffic  light', 'traffic light'), "reads 'traffic  light' and 'traffic light' alike"),
        (('cat', 'sofa ' * 80), 'makes prompts of .* tokens, but small-clip-quickgelu reads 77'),
    ],
    ids=['case', 'spaces', 'long'],
)
def test_words_that_the_tokenizer_reads_alike_or_cuts_off_are_refused(queries, words):
    with pytest.raises(InputError, match=words):
        text_bank(queries, small_clip(), False)


def test_the_longest_word_that_fits_is_taken():
    tokenize = open_clip.get_tokenizer(small_clip())
    longest = max(len(tokenize.encode(template(''))) for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    fits = 'cat ' * (77 - 2 - longest)
    text_bank((fits.strip(), 'sofa'), small_clip(), False)
    with pytest.raises(InputError, match='prompts of 78 tokens'):
        text_bank((fits + 'cat', 'sofa'), small_clip(), False)


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path):
    (tmp_path / 'words.txt').write_text('cat, kitten\nsofa\n', encoding='utf-8-sig')
    assert vocabulary(str(tmp_path / 'words.txt')).queries == ('cat', 'kitten', 'sofa')


def test_without_weights_the_vectors_are_random_the_same_and_not_kept(cache):
    found = text_bank(('cat', 'sofa'), small_clip(), False)
    assert torch.equal(found, text_bank(('cat', 'sofa'), small_clip(), False))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2))
    assert not cache.exists()


def test_a_file_of_the_visual_tower_alone_and_one_of_another_model_are_refused(cache, whole, tmp_path):
    _, model = whole
    visual = tmp_path / 'visual.safetensors'
    save_file({key: value.contiguous() for key, value in model.visual.state_dict().items()}, visual)
    with pytest.raises(InputError, match='visual.safetensors: .* tensors of the text tower .* the whole model'):
        text_bank(('cat',), small_clip(), str(visual))
    other = tmp_path / 'other.safetensors'
    wide = open_clip.CLIP(24, VISION, TEXT | dict(width=64))
    save_file({key: value.contiguous() for key, value in wide.state_dict().items()}, other)
    with pytest.raises(InputError, match='other.safetensors: not the weights of'):
        text_bank(('cat',), small_clip(), str(other))
    with pytest.raises(InputError, match='nowhere.pth: no such file'):
        text_bank(('cat',), small_clip(), 'nowhere.pth')


def test_a_model_without_a_text_tower_of_its_own_kind_is_refused():
    for name in ('ViT-B-16-SigLIP', 'ViT-B-99'):
        with pytest.raises(InputError, match=f'{name}.* no text tower'):
            text_bank(('cat',), name, False)


def test_a_class_is_as_probable_as_its_best_word():
    """By hand: five queries of three classes, two pixels."""
    head = TextHead(lambda x: x, torch.eye(5), (0, 0, 1, 2, 2), scale=10.0)
    cosine = torch.tensor([[0.1, 0.3, 0.25, 0.0, 0.2], [0.5, 0.5, 0.5, 0.5, 0.5]]).T.unsqueeze(-1)
    weights = [math.exp(10 * c) for c in (0.1, 0.3, 0.25, 0.0, 0.2)]
    expected = [weights[1] / sum(weights), weights[2] / sum(weights), weights[4] / sum(weights)]
    found = head.probabilities(cosine)
    torch.testing.assert_close(found[:, 0, 0], torch.tensor(expected))
    torch.testing.assert_close(found[:, 1, 0], torch.full((3,), 0.2))
    torch.testing.assert_close(head.logits(cosine.unsqueeze(0))[0, :, 0, 0], torch.tensor([3.0, 2.5, 2.0]))


def test_the_list_of_prompts_is_mmsegs_too():
    from mmseg.utils import get_predefined_templates

    ours = {template('{}') for template in open_clip.OPENAI_IMAGENET_TEMPLATES}
    assert ours == set(get_predefined_templates('imagenet'))
