"""Test a checkpoint.

python tools/test.py configs/sparse_tuning/tiny_digits.py work_dirs/tiny_digits/epoch_10 --out predictions.pkl
"""

from copy import deepcopy
from pathlib import Path

from mmsparse.cli.options import add_precision, parse, parser
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError

FORMATS = {'pred': ('.pkl', '.pickle'), 'metrics': ('.json', '.yaml', '.yml', '.pkl', '.pickle')}


def parse_args():
    options = parser('Test a checkpoint.')
    options.add_argument(
        'checkpoint',
        help="an adapter (its folder or its adapter.safetensors), a file of weights, or 'none' if nothing was trained",
    )
    options.add_argument('--out', help='file for the results')
    options.add_argument(
        '--out-item',
        choices=list(FORMATS),
        help="what --out gets: every image's prediction in the order of the data (default), or the metrics",
    )
    add_precision(
        options, 'fp32, as training validates', 'half precision, fast or not: bfloat16, on a GPU without it float16'
    )
    options.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: tta_model and tta_pipeline of the config, else mirroring',
    )
    options.add_argument(
        '--fold', action='store_true', help='run the form for testing: the same answers by fewer operators'
    )
    options.add_argument('--show-dir', help='folder for drawn predictions')
    options.add_argument(
        '--per-class', action='store_true', help='also precision, recall and F1 of each class (one label per image)'
    )
    options.add_argument('--interval', type=int, help='draw every n-th image (default: 1)')
    args = parse(options)
    if args.out_item and not args.out:
        options.error('--out-item needs --out FILE.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import mmengine
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults

from mmsparse.cli.launch import build_runner, existing, load_config
from mmsparse.engine.evolution_search import RECORD
from mmsparse.engine.hooks.fold import fold_before_test
from mmsparse.engine.precision import test_in
from mmsparse.visualization.tables import writable

PER_CLASS = dict(
    type='mmpretrain.SingleLabelMetric',
    thrs=None,
    items=('precision', 'recall', 'f1-score', 'support'),
    average=None,
    prefix='per-class',
)


def build_config(args) -> Config:
    """Return the config with all options applied."""
    if args.out and Path(args.out).suffix not in FORMATS[args.out_item or 'pred']:
        item = args.out_item or 'pred'
        raise InputError(
            f'--out {args.out}: for --out-item {item} expected a name ending in {" or ".join(FORMATS[item])}.'
        )
    if args.out:
        writable(args.out)
    cfg = load_config(args, ('test_dataloader',))
    cfg.load_from, cfg.resume = None if args.checkpoint == 'none' else existing(args.checkpoint), False
    if args.show_dir:
        drawing = dict(
            type='mmsparse.DrawingHook', out_dir=args.show_dir, interval=1 if args.interval is None else args.interval
        )
        cfg.default_hooks.visualization = ConfigDict(drawing)
    if args.per_class:
        head = cfg.model.get('head', {}).get('type', '')
        if 'Cls' not in head or 'MultiLabel' in head:
            raise InputError(
                f'--per-class: expected a classifier with one label per image, received head {head or "none"}. Leave '
                'the option out; '
                "the table of classes of mmseg's metric is in the log file of every test."
            )
        cfg.test_evaluator = [
            *(cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]),
            PER_CLASS,
        ]
    if args.tta:
        if args.show_dir:
            raise InputError(
                '--tta --show-dir: an image has several inputs then, and none to draw on. Leave one of the two out.'
            )
        use_tta(cfg)
    return cfg


def use_tta(cfg: Config) -> None:
    """Wrap the model and the pipeline, by default as mmpretrain does: mean score over the image and its mirror
    image.
    """
    if 'tta_model' not in cfg and cfg.get('default_scope') == 'mmseg':
        raise InputError(
            "--tta: the config has no tta_model. Set tta_model=dict(type='SegTTAModel') and tta_pipeline, as in mmseg."
        )
    pipeline = cfg.test_dataloader.dataset.pipeline
    flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
    # Label maps are loaded after the mirroring: predictions are mirrored back, labels are not.
    labels = next(
        (index for index, step in enumerate(pipeline) if step['type'].endswith('LoadAnnotations')), len(pipeline) - 1
    )
    augment = dict(type='TestTimeAug', transforms=[flips, *([step] for step in pipeline[labels:])])
    cfg.test_dataloader.dataset.pipeline = cfg.get('tta_pipeline', [*deepcopy(pipeline[:labels]), augment])
    cfg.model = ConfigDict(**cfg.get('tta_model', dict(type='mmpretrain.AverageClsScoreTTA')), module=cfg.model)


class Predictions(DumpResults):
    """Predictions without the scores of every pixel, which fill the memory (ADE20K: 391 GiB); label maps in the
    smallest type.
    """

    def process(self, data_batch, predictions) -> None:
        """Keep what the file is to hold."""
        for prediction in predictions:
            small = {key: value for key, value in prediction.items() if key != 'seg_logits'}
            if 'pred_sem_seg' in small:
                label_map = small['pred_sem_seg']['data']
                small['pred_sem_seg'] = dict(data=label_map.to(torch.uint8 if label_map.max() < 256 else torch.int16))
            super().process(data_batch, [small])


def how_to_go_on(args) -> str:
    searched = args.work_dir and Path(args.work_dir, RECORD).is_file()
    return 'The same command goes on.' if searched else 'Nothing was saved.'


def main() -> None:
    args = parse_args()
    with reporting(lambda: how_to_go_on(args)):
        runner = build_runner(build_config(args))
        if args.precision:
            test_in(runner, args.precision)
        if args.fold:
            fold_before_test(runner)
        if args.out and args.out_item != 'metrics':
            runner.test_evaluator.metrics.append(Predictions(out_file_path=args.out))
        metrics = runner.test()
        if args.out_item == 'metrics' and is_main_process():
            mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    main()
