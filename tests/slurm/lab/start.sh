#!/usr/bin/env bash
# Start a private, real Slurm (munged + slurmctld + N slurmd) on this machine.
#
# No systemd, no cgroups, no accounting database. Everything lives under one
# directory; nothing in /etc is touched. Safe to call again: a running lab is
# left alone, a half-dead one is completed.
#
#   tests/slurm/lab/start.sh && . ${TMPDIR:-/tmp}/slurm-lab/env.sh && sinfo
#
# Settings (environment):
#   SLURM_LAB        directory of the lab            (default ${TMPDIR:-/tmp}/slurm-lab)
#   SLURM_LAB_NODES  number of slurmd "nodes"        (default 2)
#   SLURM_LAB_NAME   what they are called: lab1, ... (default lab)
#   SLURM_LAB_PARTITIONS  names of two partitions; jobs of the second preempt those of the first (default "main urgent")
#   SLURM_LAB_LIMIT  longest time of a job           (default 1-00:00:00)
#   SLURM_LAB_CPUS   CPUs each node advertises       (default 4)
#   SLURM_LAB_MEM    MB of memory each node offers   (default 4000)
#   SLURM_LAB_GPUS   fake GPUs each node advertises  (default 2, 0 = none)
#   SLURM_LAB_PORT   first TCP port used             (default 17817)
#   SLURM_LAB_TIMEOUT     seconds until a silent node is down    (default 30)
#   SLURM_LAB_REMEMBER    seconds an ended job is shown          (default 300)
#   SLURM_LAB_WAIT   seconds to wait for idle nodes  (default 60)
set -euo pipefail

LAB=${SLURM_LAB:-${TMPDIR:-/tmp}/slurm-lab}
NODES=${SLURM_LAB_NODES:-2}
CPUS=${SLURM_LAB_CPUS:-4}
MEM=${SLURM_LAB_MEM:-4000}
GPUS=${SLURM_LAB_GPUS:-2}
PORT=${SLURM_LAB_PORT:-17817}
NAME=${SLURM_LAB_NAME:-lab}
read -r FIRST SECOND <<<"${SLURM_LAB_PARTITIONS:-main urgent}"
LIMIT=${SLURM_LAB_LIMIT:-1-00:00:00}
TIMEOUT=${SLURM_LAB_TIMEOUT:-30}
REMEMBER=${SLURM_LAB_REMEMBER:-300}
WAIT=${SLURM_LAB_WAIT:-60}

export PATH=$PATH:/usr/sbin:/sbin
unset "${!SLURM_@}"                 # a stray SLURM_CONF would misdirect the clients
me=$(id -un)
say() { printf 'slurm-lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# ---------------------------------------------------------------- packages
missing=0
for tool in munged slurmctld slurmd sbatch srun sinfo; do
    command -v "$tool" >/dev/null || missing=1
done
if [ "$missing" = 1 ]; then
    [ "$(id -u)" = 0 ] || die "Slurm is not installed and only root can install it (apt-get install slurm-wlm munge)"
    say "installing slurm-wlm and munge"
    # Keep the packages from starting their own daemons, then restore.
    policy=/usr/sbin/policy-rc.d; made_policy=0
    if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made_policy=1; fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null || say "apt-get update failed; trying the cached lists"
    apt-get install -y -qq --no-install-recommends slurm-wlm slurm-client munge >/dev/null \
        || { [ $made_policy = 0 ] || rm -f $policy; die "installation failed"; }
    [ $made_policy = 0 ] || rm -f $policy
fi

# ------------------------------------------------------------------- files
umask 022
mkdir -p "$LAB"/{bin,munge,state,log,run,dev}
chmod 755 "$LAB" "$LAB/munge"
if [ ! -s "$LAB/munge/key" ]; then
    (umask 077; head -c 1024 /dev/urandom >"$LAB/munge/key")
fi

node_list=$(seq -s, -f "$NAME%g" 1 "$NODES")
gres_type=''; gres_node=''
if [ "$GPUS" -gt 0 ]; then gres_type='GresTypes=gpu'; gres_node=" Gres=gpu:$GPUS"; fi
conf=$(
    cat <<CONF
ClusterName=$NAME
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$LAB/munge/socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/state/%n
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd-%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd-%n.log
# no cgroups, no binding: works in containers and small VMs
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
# no database: the snakemake plugin must then poll with squeue
AccountingStorageType=accounting_storage/none
MinJobAge=$REMEMBER
JobCompType=jobcomp/filetxt
JobCompLoc=$LAB/log/jobcomp.txt
# allocate CPUs, memory and GPUs
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
$gres_type
DefMemPerCPU=100
# requeue and preempt like a busy cluster does
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# fast answers for tests
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
KillWait=5
OverTimeLimit=0
CompleteWait=0
SlurmdTimeout=$TIMEOUT
InactiveLimit=0
ReturnToService=2
CONF
    for i in $(seq 1 "$NODES"); do
        echo "NodeName=$NAME$i NodeAddr=127.0.0.1 NodeHostname=localhost Port=$((PORT + i)) CPUs=$CPUS RealMemory=$MEM$gres_node State=UNKNOWN"
    done
    cat <<CONF
PartitionName=$FIRST Nodes=$node_list Default=YES MaxTime=$LIMIT DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE GraceTime=5 State=UP
PartitionName=$SECOND Nodes=$node_list Default=NO MaxTime=$LIMIT DefaultTime=10 PriorityTier=9 PreemptMode=OFF State=UP
CONF
)
alive() {   # alive PIDFILE NAME: is the process of this pid file ours and running?
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}
if [ "$conf" != "$(cat "$LAB/slurm.conf" 2>/dev/null || true)" ]; then
    ! alive "$LAB/run/slurmctld.pid" slurmctld || die "settings differ from those of the running lab: stop it first"
    printf '%s\n' "$conf" >"$LAB/slurm.conf"
    rm -rf "$LAB/state"; mkdir -p "$LAB/state"
fi
# Links to /dev/null stand in for GPU devices, so that Slurm schedules GPUs (and
# sets CUDA_VISIBLE_DEVICES) where none exist.
if [ "$GPUS" -gt 0 ]; then
    for i in $(seq 0 $((GPUS - 1))); do ln -sfn /dev/null "$LAB/dev/gpu$i"; done
    printf 'AutoDetect=off\nName=gpu File=%s/dev/gpu[0-%d]\n' "$LAB" $((GPUS - 1)) >"$LAB/gres.conf"
else
    rm -f "$LAB/gres.conf"
fi
# Clients find the lab through SLURM_CONF. The snakemake slurm-jobstep plugin
# drops that variable inside jobs, so thin wrappers on PATH put it back.
for tool in sbatch srun salloc scancel squeue sinfo scontrol sattach sbcast sacct sacctmgr sshare sprio; do
    real=$(type -aP "$tool" | grep -vxF "$LAB/bin/$tool" | head -n 1) || continue
    printf '#!/bin/sh\nSLURM_CONF=${SLURM_CONF:-%s} exec %s "$@"\n' "$LAB/slurm.conf" "$real" >"$LAB/bin/$tool"
    chmod 755 "$LAB/bin/$tool"
done
cat >"$LAB/env.sh" <<ENV
export SLURM_CONF=$LAB/slurm.conf
export SLURM_LAB=$LAB
case ":\$PATH:" in *":$LAB/bin:"*) ;; *) export PATH=$LAB/bin:\$PATH ;; esac
ENV
export SLURM_CONF=$LAB/slurm.conf

# ----------------------------------------------------------------- daemons
if ! alive "$LAB/run/munged.pid" munged; then
    rm -f "$LAB/munge/socket" "$LAB/munge/socket.lock" "$LAB/run/munged.pid"
    munged --force --key-file="$LAB/munge/key" --socket="$LAB/munge/socket" \
           --pid-file="$LAB/run/munged.pid" --seed-file="$LAB/munge/seed" \
           --log-file="$LAB/log/munged.log" >>"$LAB/log/munged.out" 2>&1 \
        || die "munged did not start: $(tail -n 3 "$LAB/log/munged.out")"
fi
munge -S "$LAB/munge/socket" -n | unmunge -S "$LAB/munge/socket" >/dev/null || die "munge cannot encode and decode"

if ! alive "$LAB/run/slurmctld.pid" slurmctld; then
    rm -f "$LAB/run/slurmctld.pid"
    slurmctld -f "$LAB/slurm.conf" || die "slurmctld did not start: $(tail -n 3 "$LAB/log/slurmctld.log")"
fi
for i in $(seq 1 "$NODES"); do
    mkdir -p "$LAB/state/$NAME$i"
    alive "$LAB/run/slurmd-$NAME$i.pid" slurmd && continue
    rm -f "$LAB/run/slurmd-$NAME$i.pid"
    slurmd -N "$NAME$i" -f "$LAB/slurm.conf" || die "slurmd $NAME$i did not start: $(tail -n 3 "$LAB/log/slurmd-$NAME$i.log")"
done

# -------------------------------------------------------------------- wait
deadline=$((SECONDS + WAIT))
while :; do
    up=$(sinfo -h -N -p "$FIRST" -t idle,mixed,allocated -o %N 2>/dev/null | sort -u | wc -l)
    [ "$up" -ge "$NODES" ] && break
    if [ $SECONDS -ge $deadline ]; then
        sinfo -R >&2 || true; tail -n 5 "$LAB"/log/slurm*.log >&2 || true
        die "only $up of $NODES nodes came up in ${WAIT}s"
    fi
    sleep 0.5
done
say "$NODES node(s) ready; now: . $LAB/env.sh"
