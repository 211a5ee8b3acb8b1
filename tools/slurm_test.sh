#!/usr/bin/env bash
# bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS, as in OpenMMLab.
set -euo pipefail
(($# >= 4)) || { echo "slurm_test.sh: error: received $# arguments, expected: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]." >&2; exit 2; }
# SRUN_ARGS holds several words: it stays unquoted.
exec srun -p "$1" --job-name="$2" --gres=gpu:"${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/test.py" "$3" "$4" --launcher=slurm "${@:5}"
