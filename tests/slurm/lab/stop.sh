#!/usr/bin/env bash
# Stop the Slurm that start.sh started: its pid files only, newest first.
#   tests/slurm/lab/stop.sh [--purge]      --purge also deletes the lab directory
set -euo pipefail
LAB=${SLURM_LAB:-${TMPDIR:-/tmp}/slurm-lab}
export PATH=$PATH:/usr/sbin:/sbin
say() { printf 'slurm-lab: %s\n' "$*" >&2; }

[ -d "$LAB/run" ] || { say "nothing at $LAB"; exit 0; }

# Cancel what still runs, so that no job step outlives its daemon.
if [ -S "$LAB/munge/socket" ] && [ -s "$LAB/run/slurmctld.pid" ] && command -v scancel >/dev/null; then
    export SLURM_CONF=$LAB/slurm.conf
    timeout 10 scancel --quiet --user="$(id -un)" 2>/dev/null || true
    for _ in $(seq 40); do
        [ -n "$(timeout 5 squeue -h 2>/dev/null || true)" ] || break
        sleep 0.5
    done
fi

stop_one() {  # stop_one PIDFILE COMM
    local file=$1 comm=$2 pid
    [ -s "$file" ] || return 0
    pid=$(cat "$file")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$comm" ]; then
        rm -f "$file"; return 0                      # stale: the pid is someone else's
    fi
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 60); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$comm" ] || { rm -f "$file"; return 0; }
        sleep 0.25
    done
    say "$comm ($pid) ignores TERM; killing it"
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$file"
}
shopt -s nullglob
for f in "$LAB"/run/slurmd-*.pid; do stop_one "$f" slurmd; done
stop_one "$LAB/run/slurmctld.pid" slurmctld
stop_one "$LAB/run/munged.pid" munged
rm -f "$LAB/munge/socket" "$LAB/munge/socket.lock"
[ "${1:-}" != --purge ] || rm -rf "$LAB"
say stopped
