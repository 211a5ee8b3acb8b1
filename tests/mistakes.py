"""Typical mistakes, each with words that its one sentence must hold: what was received, and what is expected. All end
with status 2.

CONFIG is found in the config alone, MODEL once the network is built, DATA once the annotations are read, COMMAND by
the tools. Entries change `small_run.CONFIG`; SEG's change `small_segmentation`'s. `{folder}` is the folder of the run.
"""

CONV = dict(type='LinearClsHead', num_classes=3, in_channels=32)
HOST = dict(type='mmsparse.TimmViT', checkpoint=False, img_size=32, patch_size=8, depth=2)
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')

CONFIG = {
    # types, asked of the registry of their place
    'model': ({'model.type': 'ImageClasifier'}, "model: received type 'ImageClasifier'", "'ImageClassifier'"),
    'head': ({'model.head.type': 'LinearClsHed'}, "received type 'LinearClsHed'", "'LinearClsHead'"),
    'host': ({'model.backbone.host.type': 'mmsparse.TimViT'}, "received type 'mmsparse.TimViT'", "'mmsparse.TimmViT'"),
    'sparsifier without its package': (
        {'model.backbone.sparsifier.type': 'EViT'},
        "received type 'EViT'",
        "'mmsparse.EViT'",
    ),
    'sparsifier in small letters': (
        {'model.backbone.sparsifier.type': 'mmsparse.Evit'},
        "'mmsparse.Evit'",
        "'mmsparse.EViT'",
    ),
    'torchvision data set': (
        {'train_dataloader.dataset.type': 'ImageFolder'},
        "received type 'ImageFolder'",
        "Did you mean 'CustomDataset'",
    ),
    'data set': ({'train_dataloader.dataset.type': 'CustomDatset'}, "received type 'CustomDatset'", "'CustomDataset'"),
    'transform as data set': (
        {'train_dataloader.dataset.type': 'Resize'},
        "'Resize', which is of another kind",
        'expected one of',
    ),
    'transform': (
        {'train_dataloader.dataset.pipeline': [LOAD, dict(type='RandomFlp'), PACK]},
        "'RandomFlp'",
        "'RandomFlip'",
    ),
    'hook': (
        {'default_hooks.checkpoint.type': 'mmsparse.CheckpontHook'},
        "'mmsparse.CheckpontHook'",
        "'mmsparse.CheckpointHook'",
    ),
    'metric as hook': (
        {'custom_hooks': [dict(type='Accuracy')]},
        "'Accuracy', which is of another kind",
        'expected one of',
    ),
    'metric': ({'val_evaluator.type': 'Acuracy'}, "'Acuracy'", "'Accuracy'"),
    'sampler': ({'train_dataloader.sampler.type': 'DefautSampler'}, "'DefautSampler'", "'DefaultSampler'"),
    'optimiser': ({'optim_wrapper.optimizer.type': 'AdamWW'}, "'AdamWW'", "'AdamW'"),
    'wrapper': ({'optim_wrapper.type': 'AmpOptimWraper'}, "'AmpOptimWraper'", "'AmpOptimWrapper'"),
    'schedule': ({'param_scheduler': [dict(type='CosineLR')]}, "'CosineLR'", 'expected one of'),
    'loop': ({'train_cfg': dict(type='EpochLoop', max_epochs=3)}, "'EpochLoop'", 'expected one of'),
    'sparsifier as neck': (
        {'model.neck': dict(type='mmsparse.EViT', layers=(2,))},
        'model.neck: received mmsparse.EViT',
        'sparsifier of a',
    ),
    'adapter as neck': (
        {'model.neck': dict(type='mmsparse.LoRA', rank=2)},
        'model.neck: received mmsparse.LoRA',
        'adapter or sparsifier',
    ),
    'no type': (
        {'train_dataloader.sampler': dict(_delete_=True, shuffle=True)},
        'train_dataloader.sampler: received',
        'type=',
    ),
    # arguments
    'argument of a sparsifier': ({'model.backbone.sparsifier.keep_rat': 0.5}, "argument 'keep_rat'", "'keep_rate'"),
    'argument of an adapter': ({'model.backbone.adapter.botleneck': 4}, "argument 'botleneck'", "'bottleneck'"),
    'argument of a head': ({'model.head.num_class': 3}, "argument 'num_class'", "'num_classes'"),
    'argument of a model': ({'model.bakbone': dict()}, "argument 'bakbone'", "'backbone'"),
    'argument of an optimiser': ({'optim_wrapper.optimizer.lrr': 1e-3}, "argument 'lrr'", "'lr'"),
    'argument of a wrapper': ({'optim_wrapper.clip_grads': dict()}, "argument 'clip_grads'", "'clip_grad'"),
    'argument of a loader': ({'train_dataloader.batchsize': 8}, "argument 'batchsize'", "'batch_size'"),
    'argument of a sampler': ({'train_dataloader.sampler.shufle': True}, "argument 'shufle'", "'shuffle'"),
    'argument of a data set': ({'train_dataloader.dataset.data_rot': 'x'}, "argument 'data_rot'", "'data_root'"),
    'argument of a transform': (
        {'train_dataloader.dataset.pipeline': [LOAD, dict(type='RandomFlip', probability=0.5), PACK]},
        "argument 'probability'",
        'prob',
    ),
    'argument of a torchvision transform': (
        {'train_dataloader.dataset.pipeline': [LOAD, dict(type='torchvision/Pad', paddding=4), PACK]},
        "argument 'paddding'",
        "'padding'",
    ),
    'argument of a hook': ({'default_hooks.logger.intervall': 5}, "argument 'intervall'", "'interval'"),
    'argument of train_cfg': ({'train_cfg.max_epoch': 3}, "argument 'max_epoch'", "'max_epochs'"),
    'argument of val_cfg': ({'val_cfg.fp61': True}, "argument 'fp61'", "'fp16'"),
    'argument of a metric': ({'val_evaluator.top_k': (1,)}, "argument 'top_k'", "'topk'"),
    'argument of a schedule': (
        {'param_scheduler': [dict(type='CosineAnnealingLR', Tmax=3)]},
        "argument 'Tmax'",
        "'T_max'",
    ),
    'argument of randomness': ({'randomness.sed': 3}, "argument 'sed'", "'seed'"),
    'missing argument': (
        {'model.backbone.adapter': dict(_delete_=True, type='mmsparse.DenseAdapter')},
        'needs bottleneck',
        'no argument',
    ),
    'left over argument': ({'model.backbone.sparsifier.type': 'mmsparse.PYRA'}, "argument 'layers'", '_delete_=True'),
    'misspelt entry of a file': ({'param_schedular': []}, 'param_schedular: nothing reads', "'param_scheduler'"),
    # numbers
    'batch size 0': ({'train_dataloader.batch_size': 0}, 'train_dataloader.batch_size: received 0', 'at least 1'),
    'half a batch': ({'train_dataloader.batch_size': 0.5}, 'received 0.5', 'an integer of at least 1'),
    'workers': ({'val_dataloader.num_workers': -1}, 'val_dataloader.num_workers: received -1', 'at least 0'),
    'rate': ({'optim_wrapper.optimizer.lr': -1e-3}, 'optim_wrapper.optimizer.lr: received -0.001', 'at least 0'),
    'rate of words': ({'optim_wrapper.optimizer.lr': 'fast'}, "received 'fast'", 'a number'),
    'infinite rate': ({'optim_wrapper.optimizer.lr': float('inf')}, 'received inf', 'a number'),
    'weight decay': ({'optim_wrapper.optimizer.weight_decay': -0.1}, 'weight_decay: received -0.1', 'at least 0'),
    'momentum': (
        {'optim_wrapper.optimizer': dict(type='SGD', lr=1.0, momentum=-0.9)},
        'momentum: received -0.9',
        'at least 0',
    ),
    'no epochs': ({'train_cfg.max_epochs': 0}, 'train_cfg.max_epochs: received 0', 'at least 1'),
    'no accumulation': ({'optim_wrapper.accumulative_counts': 0}, 'accumulative_counts: received 0', 'at least 1'),
    'validation every 0': ({'train_cfg.val_interval': 0}, 'train_cfg.val_interval: received 0', 'at least 1'),
    'states every 0': ({'default_hooks.checkpoint.interval': 0}, 'checkpoint.interval: received 0', '-1 for never'),
    'keeps 0 states': ({'default_hooks.checkpoint.max_keep_ckpts': 0}, 'max_keep_ckpts: received 0', '-1'),
    'log every 0': ({'default_hooks.logger.interval': 0}, 'logger.interval: received 0', 'at least 1'),
    'seed': ({'randomness.seed': -1}, 'randomness.seed: received -1', 'at least 0'),
    'no classes': ({'model.head.num_classes': 0}, 'num_classes: received 0', 'at least 1'),
    # entries that contradict each other
    'topk of a head': (
        {'model.head.cal_acc': True, 'model.head.topk': (1, 5)},
        'model.head.topk: received 5',
        'at most 3',
    ),
    'head left out': ({'model.head': None}, 'model.head: received None', "type='LinearClsHead'"),
    'heads in a list': ({'model.head': [CONV, CONV]}, 'model.head: received [', "type='LinearClsHead'"),
    'no metric': ({'val_evaluator': []}, 'received without val_evaluator', 'all three, or none'),
    'work folder that is a number': ({'work_dir': 5}, 'work_dir: received 5', 'path of a folder'),
    'means of four channels': (
        {'data_preprocessor.mean': [1.0] * 4, 'data_preprocessor.std': [1.0] * 4},
        '4 means',
        'expected 3',
    ),
    'words as adapter': ({'model.backbone.adapter': 'LoRA'}, "adapter: received 'LoRA'", "dict(type='LoRA'"),
    'topk': (
        {'val_evaluator.topk': (1, 5)},
        'val_evaluator.topk: received 5, but model.head.num_classes is 3',
        'at most 3',
    ),
    'evaluator without loader': ({'val_dataloader': None}, 'received without val_dataloader', 'all three, or none'),
    'loader without evaluator': ({'test_evaluator': None}, 'received without test_evaluator', 'all three, or none'),
    'no optimiser': ({'optim_wrapper': None}, 'received without optim_wrapper', 'all three, or none'),
    'iterations in a loop over epochs': (
        {'train_cfg': dict(_delete_=True, by_epoch=True, max_iters=5)},
        "argument 'max_iters'",
        'max_epochs',
    ),
    'epochs in a loop over iterations': (
        {'train_cfg': dict(_delete_=True, by_epoch=False, max_epochs=5)},
        "argument 'max_epochs'",
        'max_iters',
    ),
    'neither': (
        {'train_cfg': dict(_delete_=True, max_epochs=5)},
        'received by_epoch=None',
        'expected True with max_epochs',
    ),
    'states by epoch in a loop over iterations': (
        {'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=5), 'param_scheduler': None},
        'checkpoint: received by_epoch=True',
        'by_epoch=False',
    ),
    'schedule by epoch in a loop over iterations': (
        {
            'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=5),
            'default_hooks.checkpoint.by_epoch': False,
            'param_scheduler': [dict(type='CosineAnnealingLR', T_max=5)],
        },
        'param_scheduler[0]: received by_epoch=True',
        'by_epoch=False',
    ),
    'no pack step': (
        {'train_dataloader.dataset.pipeline': [LOAD]},
        "pipeline: received ['LoadImageFromFile']",
        "dict(type='PackInputs')",
    ),
    'no pipeline': ({'val_dataloader.dataset.pipeline': []}, 'pipeline: received []', "dict(type='PackInputs')"),
    "Mixup's classes": (
        {'model.train_cfg': dict(augments=dict(type='Mixup', alpha=0.8)), 'data_preprocessor.num_classes': 10},
        'data_preprocessor.num_classes: received 10, but model.head.num_classes is 3',
        'num_classes=3',
    ),
    # entries that are read key by key
    'setting of the machine': (
        {'env_cfg.cudnn_benchmrk': True},
        "env_cfg: nothing reads 'cudnn_benchmrk'",
        "'cudnn_benchmark'",
    ),
    'setting of groups': (
        {'optim_wrapper.paramwise_cfg': dict(bias_lrmult=2)},
        "nothing reads 'bias_lrmult'",
        "'bias_lr_mult'",
    ),
    'setting of a group': (
        {'optim_wrapper.paramwise_cfg': dict(custom_keys={'head': dict(lrmult=0.1)})},
        "custom_keys['head']: nothing reads 'lrmult'",
        "'lr_mult'",
    ),
    'argument of clipping': ({'optim_wrapper.clip_grad': dict(maxnorm=1)}, "argument 'maxnorm'", "'max_norm'"),
    'limit of clipping': ({'optim_wrapper.clip_grad': dict(max_norm=-1)}, 'the limit -1', 'a number above 0'),
    'clipping by a number': ({'optim_wrapper.clip_grad': 1.0}, 'clip_grad: received 1.0', 'dict(max_norm=1.0)'),
    'wrapper without optimiser': (
        {'optim_wrapper': dict(_delete_=True, type='OptimWrapper')},
        'optim_wrapper: received type',
        'optimizer=dict',
    ),
    'level of the log': ({'log_level': 'LOUD'}, "received 'LOUD'", 'INFO'),
    'state as resume': (
        {'resume': 'work_dirs/run/epoch_3'},
        "resume: received 'work_dirs/run/epoch_3'",
        'load_from=STATE',
    ),
    'rate without its batch': (
        {'auto_scale_lr': dict(enable=True)},
        'no base_batch_size',
        'auto_scale_lr=dict(base_batch_size=N)',
    ),
    'default hook of another name': (
        {'default_hooks.loger': dict(interval=5)},
        "loger: received {'interval': 5}",
        'dict(type=',
    ),
    'number as hook': ({'default_hooks.logger_interval': 5}, 'logger_interval: received 5', 'dict(type='),
    'one hook for a list': ({'custom_hooks': dict(type='EMAHook')}, "received {'type': 'EMAHook'}", '[dict(type='),
    'loader without data': (
        {'val_dataloader': dict(_delete_=True, batch_size=8)},
        'val_dataloader: received no dataset',
        'dataset=dict',
    ),
    'prefetch without workers': (
        {'train_dataloader.prefetch_factor': 2},
        'prefetch_factor: received 2',
        'num_workers',
    ),
    'deviation of 0': ({'data_preprocessor.std': [0] * 3}, 'std: received [0, 0, 0]', 'above 0'),
    'means without as many deviations': ({'data_preprocessor.mean': [1.0]}, '1 means and 3 deviations', 'per channel'),
    'word as backbone': (
        {'model.backbone': 'mmsparse.SparseViT'},
        "model.backbone: received 'mmsparse.SparseViT'",
        'dict(type=',
    ),
    'word as loss': (
        {'model.head.loss': 'CrossEntropyLoss'},
        "model.head.loss: received 'CrossEntropyLoss'",
        'dict(type=',
    ),
    'words as pipeline': (
        {'train_dataloader.dataset.pipeline': ['LoadImageFromFile', 'PackInputs']},
        'received [',
        'a list of steps',
    ),
    'length of a schedule': (
        {'param_scheduler': [dict(type='CosineAnnealingLR', T_max=0)]},
        'T_max: received 0',
        'at least 1',
    ),
    'step of a schedule': (
        {'param_scheduler': [dict(type='StepLR', step_size=0)]},
        'step_size: received 0',
        'at least 1',
    ),
    'end of a schedule': (
        {'param_scheduler': [dict(type='LinearLR', start_factor=0.1, end='2')]},
        "end: received '2'",
        'an integer',
    ),
    'misspelt setting of a run': (
        {'find_unused_parameter': True},
        'find_unused_parameter: nothing reads',
        "'find_unused_parameters'",
    ),
    'weights of classes': (
        {'model.head.loss': dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0])},
        'received 2, but',
        '3 classes',
    ),
    'classes of a loss': (
        {'model.head.loss': dict(type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=5)},
        'received 5, but',
        '3 classes',
    ),
    'package that is not there': (
        {'model.neck': dict(type='mmnope.FPN')},
        "received type 'mmnope.FPN'",
        'no package mmnope is installed',
    ),
    'misspelt package': (
        {'model.backbone.sparsifier.type': 'mmspars.EViT'},
        'no package mmspars',
        'Did you mean mmsparse.EViT?',
    ),
}
MODEL = {
    'width of a linear head': (
        {'model.head.in_channels': 31},
        'model.head.in_channels: received 31, but 32',
        'Set model.head.in_channels=32',
    ),
    'another host': (
        {'model.backbone.host.embed_dim': 64},
        'model.head.in_channels: received 32, but 64',
        'Set model.head.in_channels=64',
    ),
    'width of a ViT head': (
        {
            'model.head': dict(
                _delete_=True, type='VisionTransformerClsHead', num_classes=3, in_channels=31, hidden_dim=8
            ),
            'model.backbone.out_type': 'raw',
        },
        'model.head',
        'model.backbone.out_type',
    ),
    'width of a stacked head': (
        {
            'model.head': dict(
                _delete_=True, type='StackedLinearClsHead', num_classes=3, in_channels=16, mid_channels=[8]
            )
        },
        'model.head.in_channels: received 16, but 32',
        'in_channels=32',
    ),
    'maps for a linear head': ({'model.backbone.out_type': 'featmap'}, "out_type='featmap'", "'cls_token', 'pooled'"),
    'tokens for a linear head': (
        {'model.backbone.out_type': 'tokens'},
        "Tokens from a backbone with out_type='tokens'",
        "'cls_token', 'pooled'",
    ),
    'all tokens for a linear head': ({'model.backbone.out_type': 'raw'}, "out_type='raw'", "'cls_token', 'pooled'"),
    'class token for a pooling neck': (
        {'model.neck': dict(type='GlobalAveragePooling')},
        "B×32 from a backbone with out_type='cls_token'",
        "'featmap'",
    ),
    'unknown output': ({'model.backbone.out_type': 'map'}, "received out_type='map'", 'expected one of'),
    'host of 1 channel': ({'model.backbone.host.in_chans': 1}, 'takes images of 1 channel', 'expected 3'),
    'host of 4 channels': ({'model.backbone.host.in_chans': 4}, 'takes images of 4 channels', 'expected 3'),
    'two that train one key': (
        {'model.backbone.adapter': [dict(type='mmsparse.FullTuning'), dict(type='mmsparse.BitFit')]},
        'FullTuning and BitFit both train the host parameter',
        'Leave one of them out',
    ),
    **{
        f'{kind} of a rank above the width': (
            {'model.backbone.adapter': dict(_delete_=True, type=f'mmsparse.{kind}', rank=33)},
            f'{kind}: received rank=33, but',
            'rank 32 at most. Choose a smaller rank',
        )
        for kind in ('LoRA', 'DoRA', 'FacTTT', 'FacTTK')
    },
    'layer beyond the host': ({'model.backbone.sparsifier.layers': (9,)}, 'layers=(9,)', 'from 1 to 4'),
    'keep rate above 1': ({'model.backbone.sparsifier.keep_rate': 1.5}, '1.5', '(0, 1]'),
    'argument of the hook of states': (
        {'default_hooks.checkpoint.max_keep': 5},
        'received max_keep',
        'max_keep_ckpts',
    ),
    'best by an unknown rule': (
        {'default_hooks.checkpoint.save_best': 'goodness'},
        'Cannot infer the rule for key goodness',
        "rule='greater'",
    ),
}
DATA = {
    'no folder': (
        {'train_dataloader.dataset.data_root': '{folder}/nowhere'},
        '{folder}/nowhere',
        'no such file or folder',
    ),
    'empty folder': (
        {'val_dataloader.dataset.data_root': '{folder}/empty'},
        '{folder}/empty',
        'one folder of pictures per class',
    ),
    'folders without pictures': (
        {'val_dataloader.dataset.data_root': '{folder}/hollow'},
        '{folder}/hollow',
        'one folder of pictures per class',
    ),
    'one level too high': (
        {'train_dataloader.dataset.data_root': '{folder}/data', 'model.head.num_classes': 2},
        'parts of the data',
        '/data/t',
    ),
    'one level too low': (
        {'train_dataloader.dataset.data_root': '{folder}/data/train/class_0'},
        '{folder}/data/train/class_0',
        'per class',
    ),
    'batch above the data': (
        {'train_dataloader.batch_size': 64, 'train_dataloader.drop_last': True},
        '32 images make no batch of 64',
        'smaller',
    ),
    'number of classes': ({'model.head.num_classes': 4}, 'num_classes is 4', 'num_classes=3'),
    'other classes in validation': (
        {'val_dataloader.dataset.data_root': '{folder}/others'},
        "class 1 is 'class_2'",
        'metainfo.classes',
    ),
    'classes in another order': (
        {'train_dataloader.dataset.metainfo': dict(classes=['class_1', 'class_0', 'class_2'])},
        "names class 0 'class_1'",
        "('class_0', 'class_1'",
    ),
    'fewer names than folders': (
        {'train_dataloader.dataset.metainfo': dict(classes=['a', 'b'])},
        '3 folders',
        '2 names',
    ),
    'labels from 1': (
        {
            'val_dataloader.dataset.ann_file': '{folder}/from_one.txt',
            'val_dataloader.dataset.metainfo': dict(classes=['class_0', 'class_1', 'class_2']),
        },
        'labels from 1 to 3',
        'expected 0 to 2',
    ),
    'label beyond the classes': (
        {
            'train_dataloader.dataset.ann_file': '{folder}/beyond.txt',
            'train_dataloader.dataset.metainfo': dict(classes=['class_0', 'class_1', 'class_2']),
        },
        'labels from 0 to 7',
        'expected 0 to 2',
    ),
    'no annotation file': (
        {'train_dataloader.dataset.ann_file': '{folder}/none.txt'},
        '{folder}/none.txt',
        'Set data_root, data_prefix and ann_file',
    ),
    'no load step': (
        {'train_dataloader.dataset.pipeline': [dict(type='RandomFlip', prob=0.5), PACK]},
        "finds no 'img'",
        'LoadImage',
    ),
    'best by an unknown score': (
        {'default_hooks.checkpoint.save_best': 'accuracy/top5'},
        "save_best: received 'accuracy/top5'",
        'accuracy/top1',
    ),
    'stop by an unknown score': (
        {'custom_hooks': [dict(type='EarlyStoppingHook', monitor='acc')]},
        "monitor: received 'acc'",
        'accuracy/top1',
    ),
}
# Arguments of a tool; {config} is the config, {run} the folder of a finished run with the state epoch_3, {taken} a
# port in use.
COMMAND = {
    'no such config': ('train.py {folder}/smal.py', '{folder}/smal.py: no such config file', 'Did you mean {config}?'),
    'state for a config': ('train.py {run}/epoch_3', '{run}/epoch_3: a folder', 'expected a config file'),
    'weights for a config': (
        'train.py {run}/epoch_3/adapter.safetensors',
        'received a .safetensors file',
        'expected a config',
    ),
    'config for a state': ('test.py {config} {config}', '{config}: a config', 'expected a checkpoint'),
    'config for an adapter': (
        'infer.py {config} {folder}/data/test',
        '{config}: a config',
        'expected the folder of a state',
    ),
    'run for a state': ('test.py {config} {run}', '{run}: the folder of a run', 'epoch_2, epoch_3'),
    'run for an adapter': ('infer.py {run} {folder}/data/test', '{run}: the folder of a run', 'epoch_2, epoch_3'),
    'no such state': ('test.py {config} {run}/epoch_9', '{run}/epoch_9: no such checkpoint', '{run}/epoch_3'),
    'other classes than the state': (
        'test.py {config} {run}/epoch_3 --cfg-options test_dataloader.dataset.data_root={folder}/others',
        'trained for the classes',
        'the same classes in the same order',
    ),
    'another order than the state': (
        'test.py {config} {run}/epoch_3 --cfg-options test_dataloader.dataset.ann_file={folder}/from_zero.txt '
        "test_dataloader.dataset.metainfo=dict(classes=['class_1','class_0','class_2'])",
        'trained for the classes',
        'the same classes in the same order',
    ),
    'labels of a test from 1': (
        'test.py {config} {run}/epoch_3 --cfg-options test_dataloader.dataset.ann_file={folder}/from_one.txt '
        "test_dataloader.dataset.metainfo=dict(classes=['class_0','class_1','class_2'])",
        'labels from 1 to 3',
        'expected 0 to 2',
    ),
    'folders of a test in another order': (
        'test.py {config} {run}/epoch_3 --cfg-options '
        "test_dataloader.dataset.metainfo=dict(classes=['class_1','class_0','class_2'])",
        "names class 0 'class_1'",
        "('class_0', 'class_1'",
    ),
    'values that a library refuses': (
        'train.py {config} --cfg-options optim_wrapper.optimizer.betas=[1.5,0.9]',
        'AdamW: received lr=0.01, betas=[1.5, 0.9]',
        'Invalid beta parameter at index 0: 1.5',
    ),
    'no such state to resume': (
        'train.py {config} --resume {run}/epoch_9',
        '{run}/epoch_9: no such checkpoint',
        '{run}/epoch_3',
    ),
    'address offline': (
        'test.py {config} http://127.0.0.1:9/adapter.pth',
        'http://127.0.0.1:9/adapter.pth: cannot be reached',
        'Download it elsewhere',
    ),
    'address offline to start from': (
        'train.py {config} --cfg-options load_from=http://127.0.0.1:9/a.pth',
        'cannot be reached',
        'Download it elsewhere',
    ),
    'host offline': (
        'train.py {config} --cfg-options model.backbone.host.checkpoint=http://127.0.0.1:9/a.pth',
        'http://127.0.0.1:9/a.pth: cannot be reached',
        'Download it elsewhere',
    ),
    'address of an unknown kind': ('test.py {config} s3://bucket/a.pth', 's3://bucket/a.pth', 'Expected a file'),
    'misspelt path': (
        'train.py {config} --cfg-options traincfg.max_epochs=3',
        'traincfg',
        'Did you mean train_cfg.max_epochs?',
    ),
    'path that no one reads': (
        'train.py {config} --cfg-options device=cpu',
        '--cfg-options device: device is an entry',
        'nothing would change',
    ),
    'variable of the file': (
        'train.py {config} --cfg-options backbone.out_type=raw',
        'backbone is only a variable of the file',
        'nothing would change',
    ),
    'no value': ('train.py {config} --cfg-options randomness.seed', "'randomness.seed'", 'KEY=VALUE'),
    'half a dict': ("train.py {config} --cfg-options model.head={{'type':", '--cfg-options', 'KEY=VALUE'),
    'wrong dict': (
        "train.py {config} --cfg-options model.head={{'type':'LinearClsHed'}}",
        "'LinearClsHed'",
        "'LinearClsHead'",
    ),
    'wrong dict as in a config': (
        "train.py {config} --cfg-options model.head=dict(type='LinearClsHed')",
        "'LinearClsHed'",
        "'LinearClsHead'",
    ),
    'work dir is a file': (
        'train.py {config} --work-dir {config}',
        '--work-dir {config}: cannot be written',
        'Name another folder',
    ),
    'work dir below a file': (
        'train.py {config} --work-dir {config}/run',
        '--work-dir {config}/run: cannot be written',
        'Name another folder',
    ),
    'answers into a file': (
        'infer.py {run}/epoch_3 {folder}/data/test --out {config}',
        '--out {config}: cannot be written',
        'Name another folder',
    ),
    'results into a folder': (
        'test.py {config} {run}/epoch_3 --out {folder}/taken.pkl',
        '{folder}/taken.pkl',
        'cannot be written',
    ),
    'results of a kind': ('test.py {config} {run}/epoch_3 --out a.json', '--out a.json', '.pkl or .pickle'),
    'device': ('infer.py {run}/epoch_3 {folder}/data/test --device gpu', "device 'gpu'", 'expected one of: cpu'),
    'no GPU': (
        'infer.py {run}/epoch_3 {folder}/data/test --device cuda:99',
        "device 'cuda:99'",
        'expected one of: cpu',
    ),
    'no pictures': ('infer.py {run}/epoch_3 {folder}/empty', '{folder}/empty: no image', 'Expected files ending in'),
    'not launched': ('train.py {config} --launcher slurm', 'SLURM_PROCID', 'leave out --launcher'),
    'no processes': ('dist_train.sh {config}', 'received', 'CONFIG PROCESSES'),
    'options for processes': ('dist_train.sh {config} --amp', "received '--amp'", 'CONFIG PROCESSES'),
    'no processes of a test': ('dist_test.sh {config} {run}/epoch_3', 'received', 'CONFIG CHECKPOINT PROCESSES'),
    'port in use': ('PORT={taken} dist_train.sh {config} 2', 'PORT {taken}', 'a free one'),
    'no partition': ('slurm_train.sh {config}', 'received 1 arguments', 'PARTITION JOB_NAME CONFIG WORK_DIR'),
    'rate without its batch': (
        'train.py {config} --auto-scale-lr',
        '--auto-scale-lr',
        'auto_scale_lr=dict(base_batch_size=N)',
    ),
    'cost of a wrong head': (
        'analysis_tools/get_flops.py {config} --cfg-options model.head.in_channels=31',
        'received 31, but 32',
        'in_channels=32',
    ),
    'cost of a type': (
        'analysis_tools/get_flops.py {config} --cfg-options model.head.type=LinearClsHed',
        "'LinearClsHed'",
        "'LinearClsHead'",
    ),
}
