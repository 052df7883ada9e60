rule evaluate:
    input:
        settings="work/settings/runs/{run}.evaluate.json",
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
        confusion=report(
            "results/runs/{run}/evaluate/confusion.csv",
            caption="../report/confusion.rst",
            category="Confusion",
            labels={"run": "{run}"},
        ),
        per_image="results/runs/{run}/evaluate/per_image.csv",
        model_card="results/runs/{run}/train/model_card.md",
        overlays=directory("results/runs/{run}/evaluate/overlays"),
    log:
        "logs/evaluate/{run}.log",
    conda:
        "../envs/isnet.yaml"
    threads: evaluate_threads
    resources:
        gpu=local_gpus,
        gres=one_gres,
    message:
        "Evaluate {wildcards.run}"
    shell:
        "isnet evaluate --run {wildcards.run}"
