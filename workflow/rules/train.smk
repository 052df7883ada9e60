# A run with `weights` trains nothing: the same command imports the file. Of a training, checkpoints and the journal are in work/<run>/, which no workflow engine deletes, so the same command resumes.


rule train:
    input:
        settings="work/settings/runs/{run}.train.json",
        manifest=dataset_file("manifest.json"),
        store=store_of_training,
        start=start_weights,
    output:
        weights="results/runs/{run}/train/weights.pth",
        summary="results/runs/{run}/train/train.json",
        curves=report(
            "results/runs/{run}/train/curves.csv",
            caption="../report/curves.rst",
            category="Curves",
            labels={"run": "{run}", "curve": "loss, learning rate, speed, memory"},
        ),
        validation=report(
            "results/runs/{run}/train/validation.csv",
            caption="../report/validation.rst",
            category="Curves",
            labels={"run": "{run}", "curve": "validation"},
        ),
        config="results/runs/{run}/train/config.py",
    log:
        "logs/train/{run}.log",
    wildcard_constraints:
        run=ONE_NODE,
    priority: 1  # the longest path through the pipeline
    conda:
        "../envs/isnet.yaml"
    threads: train_threads
    resources:
        gpu=training_gpus,
        gres=gres,
    params:
        launcher="",
    message:
        "Train {wildcards.run}"
    shell:
        "{params.launcher}isnet train --run {wildcards.run}"


# Training on several nodes of a cluster: the rule starts one launcher per node (`mpi: srun` in the profile).
use rule train as train_multinode with:
    wildcard_constraints:
        run=MORE_NODES,
    resources:
        gpu=local_gpus,
        gres=gres,
        nodes=nodes,
        tasks=nodes,
        tasks_per_gpu=0,
    params:
        launcher=on_each_node,
