"""What every run shares: cards, one progress line, guards, the last state and the best one.

All hooks are named, so that a config changes or drops one by its name (``default_hooks=dict(progress=None)``) and has ``custom_hooks`` for itself.
"""

default_scope = 'mmpretrain'
runner_type = 'mmsparse.SparseRunner'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmsparse.CheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    bad_samples=dict(type='mmsparse.BadSamplesHook'),
    class_count=dict(type='mmsparse.ClassCountHook'),
    finite_loss=dict(type='mmsparse.FiniteLossHook'),
    epoch_seed=dict(type='mmsparse.EpochSeedHook'),
    interrupt=dict(type='mmsparse.InterruptHook'),
    card=dict(type='mmsparse.CardHook'),
    result=dict(type='mmsparse.ResultHook'),
    progress=dict(type='mmsparse.ProgressHook'),
)
env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
new_head = False  # True: load_from gives the adapter alone, the head is trained anew (for other classes)
resume = False
randomness = dict(seed=0, deterministic=False)
