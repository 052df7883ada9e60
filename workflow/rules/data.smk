# Stages of a data set. Images and labels are under the data root; the outputs here describe them.


rule download:
    input:
        "work/settings/datasets/{dataset}.download.json",
    output:
        "results/datasets/{dataset}/source.json",
    log:
        "logs/download/{dataset}.log",
    conda:
        "../envs/isnet.yaml"
    threads: CORES
    message:
        "Download {wildcards.dataset}"
    shell:
        "isnet download --dataset {wildcards.dataset}"


rule convert:
    input:
        "work/settings/datasets/{dataset}.json",
        "results/datasets/{dataset}/source.json",
    output:
        manifest="results/datasets/{dataset}/manifest.json",
        census="results/datasets/{dataset}/census.json",
        labels=report(
            "results/datasets/{dataset}/labels.html",
            caption="../report/labels.rst",
            category="Labels",
            labels={"data set": "{dataset}"},
        ),
    log:
        "logs/convert/{dataset}.log",
    conda:
        "../envs/isnet.yaml"
    threads: all_cores
    message:
        "Convert the labels of {wildcards.dataset}"
    shell:
        "isnet convert --dataset {wildcards.dataset}"


# Decodes images into a memory-mapped store under the data root. Training is faster with it and gives the same weights.
rule pack:
    input:
        "work/settings/datasets/{dataset}.pack.json",
        "results/datasets/{dataset}/manifest.json",
    output:
        "results/datasets/{dataset}/store.json",
    log:
        "logs/pack/{dataset}.log",
    conda:
        "../envs/isnet.yaml"
    threads: all_cores
    message:
        "Pack the images of {wildcards.dataset}"
    shell:
        "isnet pack --dataset {wildcards.dataset}"


rule baseline:
    input:
        "results/datasets/{dataset}/manifest.json",
    output:
        "results/datasets/{dataset}/baseline.json",
    log:
        "logs/baseline/{dataset}.log",
    conda:
        "../envs/isnet.yaml"
    message:
        "Fit the per-pixel baseline on {wildcards.dataset}"
    shell:
        "isnet baseline --dataset {wildcards.dataset}"
