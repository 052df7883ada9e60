rule evaluate:
    input:
        slice="work/slices/runs/{run}.evaluate.json",
        manifest=dataset_file("manifest.json"),
        weights="results/runs/{run}/train/weights.pth",
        summary="results/runs/{run}/train/train.json",
    output:
        scores="results/runs/{run}/evaluate/scores.json",
        metrics="results/runs/{run}/evaluate/metrics.json",
        per_class=report(
            "results/runs/{run}/evaluate/per_class.csv",
            caption="../report/per_class.rst",
            category="Scores per class",
            labels={"run": "{run}"},
        ),
        confusion="results/runs/{run}/evaluate/confusion.csv",
        overlays=directory("results/runs/{run}/evaluate/overlays"),
    log:
        "logs/evaluate/{run}.log",
    conda:
        "../envs/isnet.yaml"
    threads: train_threads
    resources:
        gpu=lambda wildcards: min(1, gpus(wildcards)),
    message:
        "Evaluate {wildcards.run}"
    shell:
        "isnet evaluate --run {wildcards.run}"
