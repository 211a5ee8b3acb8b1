#!/usr/bin/env bash
# bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS, as in OpenMMLab. Two minutes before the limit the run is asked to save and ends with status 75.
set -euo pipefail
(($# >= 4)) || { echo "slurm_train.sh: error: received $# arguments, expected: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]." >&2; exit 2; }
# SRUN_ARGS holds several words: it stays unquoted.
exec srun -p "$1" --job-name="$2" --gres=gpu:"${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 --signal=USR1@120 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$3" --work-dir="$4" --launcher=slurm "${@:5}"
