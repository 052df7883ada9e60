# The report of a complete pipeline. If a run failed, the handler below writes a report of the others, which names it; the next
# complete run writes the report again. Cluster jobs (--no-hooks) and dry runs do not call the handler.
import subprocess


rule report:
    input:
        "work/settings/report.json",
        expand("results/runs/{run}/train/train.json", run=RUNS),
        expand("results/runs/{run}/evaluate/metrics.json", run=RUNS),
        expand("results/datasets/{dataset}/census.json", dataset=DATASETS),
        expand("results/datasets/{dataset}/baseline.json", dataset=DATASETS),
    output:
        report(
            "reports/index.html",
            caption="../report/comparison.rst",
            category="Report",
            labels={"page": "all runs"},
        ),
        report(
            "reports/results.csv",
            caption="../report/results_csv.rst",
            category="Report",
            labels={"page": "table of results, unrounded"},
        ),
        report(
            "reports/results.md",
            caption="../report/results.rst",
            category="Report",
            labels={"page": "table of results"},
        ),
        [
            report(
                f"reports/runs/{run}.html",
                caption="../report/run.rst",
                category="Report",
                labels={"page": f"run {run}"},
            )
            for run in RUNS
        ],
    log:
        "logs/report/all.log",
    conda:
        "../envs/isnet.yaml"
    message:
        "Write the report"
    shell:
        "isnet report"


onerror:
    if any(job.rule.name == "report" for job in workflow.dag.jobs):
        subprocess.run(["isnet", "report"], check=False)
