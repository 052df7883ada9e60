# Checkpoints and the journal are in work/<run>/, which no conductor deletes: the same command continues.


rule train:
    input:
        slice="work/slices/runs/{run}.train.json",
        manifest=dataset_file("manifest.json"),
        store=dataset_file("store.json"),
    output:
        weights="results/runs/{run}/train/weights.pth",
        summary="results/runs/{run}/train/train.json",
        curves="results/runs/{run}/train/curves.csv",
        validation="results/runs/{run}/train/validation.csv",
        config="results/runs/{run}/train/config.py",
    log:
        "logs/train/{run}.log",
    priority: 1  # the longest way: nothing else may keep it waiting
    conda:
        "../envs/isnet.yaml"
    threads: train_threads
    resources:
        gpu=gpus,
    message:
        "Train {wildcards.run}"
    shell:
        "isnet train --run {wildcards.run}"
