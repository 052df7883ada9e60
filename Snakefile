# The pipeline: download -> convert -> baseline, train -> evaluate -> report. DVC runs the same commands (dvc.yaml).
from snakemake.utils import min_version

min_version("9.1")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


# Only used with --sdm apptainer: docs/how-to/cluster.md.
container: "containers/isnet.sif"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    dataset=NAME,
    run=NAME,


localrules:
    all,
    download,
    report,


rule all:
    default_target: True
    input:
        # Includes the page of each run: a report without some of its runs is not complete.
        rules.report.output,
