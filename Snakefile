# The study as a graph: which notebook runs with which parameters, and after what.
# `evalkit study` writes the configuration and starts this in the run folder.
# records.jsonl, outputs/ and ratings.sqlite are never outputs of a rule:
# Snakemake deletes those before a job.
import json
import os
import shlex
from pathlib import Path

NOTEBOOKS = Path(workflow.basedir) / "notebooks"
RUN_NOTEBOOK = shlex.join(config["run_notebook"])
CONDITIONS = config["conditions"]  # file name -> condition
RUN = os.getcwd()


def notebook(name):
    return str(NOTEBOOKS / f"{name}.ipynb")


def parameters(**given):
    return shlex.quote(json.dumps({"run_dir": RUN, **given}, ensure_ascii=False))


wildcard_constraints:
    condition="[^/]+",


rule study:
    input:
        "report.html",


rule environment:
    input:
        notebook("00_environment"),
    output:
        "notebooks/00_environment.ipynb",
    params:
        given=parameters(),
        code=config["code"],
    message:
        "what this machine is"
    shell:
        "exec {RUN_NOTEBOOK} 00_environment {output} {params.given}"


rule images:
    input:
        notebook("10_images"),
    output:
        "notebooks/10_images.ipynb",
        table="tables/images.csv",
    params:
        given=parameters(images=config["images"]),
        digest=config["images_digest"],
        code=config["code"],
    message:
        "the pictures"
    shell:
        "exec {RUN_NOTEBOOK} 10_images {output[0]} {params.given}"


# both kinds of cells below use the whole machine, so that nothing else
# runs beside what is timed

rule restore:
    input:
        notebook("20_restore"),
        "tables/images.csv",
    output:
        "notebooks/20_restore-{condition}.ipynb",
    params:
        given=lambda w: parameters(
            images=config["images"], condition=CONDITIONS[w.condition]
        ),
        weights=lambda w: config["weights"][w.condition],
        code=config["code"],
    threads: workflow.cores
    message:
        "restore: {wildcards.condition}"
    shell:
        "exec {RUN_NOTEBOOK} 20_restore {output} {params.given}"


rule cost:
    input:
        notebook("30_cost"),
        "tables/images.csv",
        "notebooks/20_restore-{condition}.ipynb",
    output:
        "notebooks/30_cost-{condition}.ipynb",
    params:
        given=lambda w: parameters(
            images=config["images"],
            condition=CONDITIONS[w.condition],
            repeats=config["repeats"],
            seed=config["seed"],
        ),
        weights=lambda w: config["weights"][w.condition],
        code=config["code"],
    threads: workflow.cores
    message:
        "cost: {wildcards.condition}"
    shell:
        "exec {RUN_NOTEBOOK} 30_cost {output} {params.given}"


rule compare:
    input:
        notebook("60_compare"),
        expand("notebooks/20_restore-{condition}.ipynb", condition=CONDITIONS),
        expand("notebooks/30_cost-{condition}.ipynb", condition=CONDITIONS),
    output:
        "notebooks/60_compare.ipynb",
        "tables/metrics.csv",
        "tables/cost.csv",
    params:
        given=parameters(
            images=config["images"], conditions=list(CONDITIONS.values())
        ),
        code=config["code"],
    message:
        "side by side"
    shell:
        "exec {RUN_NOTEBOOK} 60_compare {output[0]} {params.given}"


rule verdict:
    input:
        notebook("90_verdict"),
        "notebooks/00_environment.ipynb",
        "notebooks/60_compare.ipynb",
    output:
        "notebooks/90_verdict.ipynb",
        "tables/verdicts.csv",
        "report.html",
    params:
        given=parameters(),
        code=config["code"],
    message:
        "claims and report"
    shell:
        "exec {RUN_NOTEBOOK} 90_verdict {output[0]} {params.given}"
