# The study as a graph: which notebook runs with which parameters, and after what.
# `evalkit study` writes the configuration and starts this in the run folder.
# records.jsonl, outputs/ and ratings.sqlite are never outputs of a rule:
# Snakemake deletes those before a job.
import hashlib
import json
import os
import shlex
from pathlib import Path

from evalkit.study.parameters import declared_parameters

NOTEBOOKS = Path(workflow.basedir) / "notebooks"
RUN_NOTEBOOK = shlex.join(config["run_notebook"])
CONDITIONS = config["conditions"]  # file name -> condition
RUN = os.getcwd()
ASKED = config["experiments"]  # of each notebook of experiments
NETWORKS = ["realesrgan-x4plus", "gpen-512"]
# a profile may say these two: the cores of a node, and in how many jobs of one core
# each the pictures of a condition are restored; see docs/cluster.md
CORES = int(config.get("cores", workflow.cores))
PARTS = int(config.get("parts", 1))


# no path of the reader's is a file of a rule, and none stands in a plain parameter:
# there, but not in what a function returns, Snakemake takes braces for wildcards
def notebook(name):
    return hashlib.sha256((NOTEBOOKS / f"{name}.ipynb").read_bytes()).hexdigest()


def parameters(**given):
    return shlex.quote(json.dumps({"run_dir": RUN, **given}, ensure_ascii=False))


# a notebook whose metadata name those that it comes after gets its rule at the end
def comes_after(path):
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return metadata.get("evalkit", {}).get("after", [])


ADDED = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")) if comes_after(path)]


wildcard_constraints:
    condition="[^/]+",
    part="[0-9]+",
    network="[^/]+",


rule study:
    input:
        "report.html",
        expand("notebooks/{name}.ipynb", name=ADDED),


rule environment:
    output:
        "notebooks/00_environment.ipynb",
    params:
        notebook=notebook("00_environment"),
        given=lambda _: parameters(),
        code=config["code"],
    # by its cores a machine is told from others: those of what is timed, on a cluster
    threads: int(config.get("cores", 1))
    message:
        "what this machine is"
    shell:
        "exec {RUN_NOTEBOOK} 00_environment {output:q} {params.given}"


rule images:
    output:
        "notebooks/10_images.ipynb",
        table="tables/images.csv",
    params:
        notebook=notebook("10_images"),
        given=lambda _: parameters(images=config["images"]),
        digest=config["images_digest"],
        code=config["code"],
        pdf=config["pdf"],
    message:
        "the pictures"
    shell:
        "exec {RUN_NOTEBOOK} 10_images {output[0]:q} {params.given}"


# both kinds of cells below use the whole machine, so that nothing else
# runs beside what is timed

rule restore_part:
    input:
        "tables/images.csv",
    output:
        "notebooks/20_restore-{condition}/{part}.ipynb",
    params:
        notebook=notebook("20_restore"),
        given=lambda w: parameters(
            images=config["images"],
            condition=CONDITIONS[w.condition],
            part=int(w.part),
            n_parts=PARTS,
        ),
        weights=lambda w: config["weights"][w.condition],
        code=config["code"],
    message:
        "restore: {wildcards.condition}, part {wildcards.part}"
    shell:
        "exec {RUN_NOTEBOOK} 20_restore {output:q} {params.given}"


# where there are parts, it finds all pictures made
rule restore:
    input:
        "tables/images.csv",
        lambda w: [
            f"notebooks/20_restore-{w.condition}/{part}.ipynb"
            for part in range(PARTS if PARTS > 1 else 0)
            if w.condition not in config["random"]
        ],
    output:
        "notebooks/20_restore-{condition}.ipynb",
    params:
        notebook=notebook("20_restore"),
        given=lambda w: parameters(
            images=config["images"], condition=CONDITIONS[w.condition]
        ),
        weights=lambda w: config["weights"][w.condition],
        code=config["code"],
    # random weights make no picture: there is nothing to do but to say so
    threads: lambda w: 1 if PARTS > 1 or w.condition in config["random"] else CORES
    message:
        "restore: {wildcards.condition}"
    shell:
        "exec {RUN_NOTEBOOK} 20_restore {output:q} {params.given}"


rule cost:
    input:
        "tables/images.csv",
        "notebooks/20_restore-{condition}.ipynb",
    output:
        "notebooks/30_cost-{condition}.ipynb",
    params:
        notebook=notebook("30_cost"),
        given=lambda w: parameters(
            images=config["images"],
            condition=CONDITIONS[w.condition],
            repeats=config["repeats"],
            seed=config["seed"],
            experiments=ASKED["30_cost"]["experiments"],
            **ASKED["30_cost"]["parameters"],
        ),
        weights=lambda w: config["weights"][w.condition],
        code=config["code"],
        pdf=config["pdf"],
    threads: CORES
    message:
        "cost: {wildcards.condition}"
    shell:
        "exec {RUN_NOTEBOOK} 30_cost {output:q} {params.given}"


rule stability:
    input:
        "tables/images.csv",
        "notebooks/30_cost-{condition}.ipynb",
    output:
        "notebooks/40_stability-{condition}.ipynb",
    params:
        notebook=notebook("40_stability"),
        given=lambda w: parameters(
            images=config["images"],
            condition=CONDITIONS[w.condition],
            seed=config["seed"],
            **ASKED["40_stability"]["parameters"],
        ),
        weights=lambda w: config["weights"][w.condition],
        code=config["code"],
        pdf=config["pdf"],
    threads: CORES
    message:
        "stability, budget, concurrency: {wildcards.condition}"
    shell:
        "exec {RUN_NOTEBOOK} 40_stability {output:q} {params.given}"


# the networks write one table
rule backends:
    input:
        "tables/images.csv",
        expand("notebooks/30_cost-{condition}.ipynb", condition=CONDITIONS),
    output:
        "notebooks/50_backends-{network}.ipynb",
    params:
        notebook=notebook("50_backends"),
        given=lambda w: parameters(
            images=config["images"],
            network=w.network,
            repeats=config["repeats"],
            seed=config["seed"],
            longest_px=0 if config["has_cuda"] else 96,
            **ASKED["50_backends"]["parameters"],
        ),
        code=config["code"],
        pdf=config["pdf"],
    threads: CORES
    message:
        "back ends: {wildcards.network}"
    shell:
        "exec {RUN_NOTEBOOK} 50_backends {output:q} {params.given}"


rule compare:
    input:
        expand("notebooks/20_restore-{condition}.ipynb", condition=CONDITIONS),
        expand("notebooks/30_cost-{condition}.ipynb", condition=CONDITIONS),
    output:
        "notebooks/60_compare.ipynb",
        "tables/metrics.csv",
        "tables/pathologies.csv",
        "tables/cost.csv",
    params:
        notebook=notebook("60_compare"),
        given=lambda _: parameters(
            images=config["images"], conditions=list(CONDITIONS.values())
        ),
        code=config["code"],
        pdf=config["pdf"],
    message:
        "side by side"
    shell:
        "exec {RUN_NOTEBOOK} 60_compare {output[0]:q} {params.given}"


rule rate:
    input:
        expand("notebooks/20_restore-{condition}.ipynb", condition=CONDITIONS),
    output:
        "notebooks/70_rate.ipynb",
    params:
        notebook=notebook("70_rate"),
        given=lambda _: parameters(
            images=config["images"], seed=config["seed"], **config["rating"]
        ),
        code=config["code"],
    message:
        "rating sessions: the plan and the stimuli"
    shell:
        "exec {RUN_NOTEBOOK} 70_rate {output:q} {params.given}"


rule scores:
    input:
        "notebooks/70_rate.ipynb",
        # scores are set against metrics; where nobody rated there is nothing to wait for
        "notebooks/60_compare.ipynb" if config["ratings"] else [],
    output:
        "notebooks/80_scores.ipynb",
    params:
        notebook=notebook("80_scores"),
        given=lambda _: parameters(routed=config["routed"]),
        ratings=config["ratings"],
        code=config["code"],
        pdf=config["pdf"],
    message:
        "what people said"
    shell:
        "exec {RUN_NOTEBOOK} 80_scores {output:q} {params.given}"


rule verdict:
    input:
        "notebooks/00_environment.ipynb",
        "notebooks/60_compare.ipynb",
        "notebooks/80_scores.ipynb",
        expand("notebooks/40_stability-{condition}.ipynb", condition=CONDITIONS)
        if ASKED["40_stability"]["experiments"]
        else [],
        expand("notebooks/50_backends-{network}.ipynb", network=NETWORKS)
        if ASKED["50_backends"]["experiments"]
        else [],
    output:
        "notebooks/90_verdict.ipynb",
        "tables/verdicts.csv",
        "report.html",
    params:
        notebook=notebook("90_verdict"),
        given=lambda _: parameters(),
        code=config["code"],
    message:
        "claims and report"
    shell:
        "exec {RUN_NOTEBOOK} 90_verdict {output[0]:q} {params.given}"


def parameters_of(name):
    offered = {
        "images": config["images"],
        "conditions": list(CONDITIONS.values()),
        "repeats": config["repeats"] or 3,  # 0 is for notebooks that time cells
        "seed": config["seed"],
    }
    declared = declared_parameters(name)
    return lambda _: parameters(**{k: offered[k] for k in declared if k in offered})


for name in ADDED:

    rule:
        name:
            f"added_{name}"
        input:
            expand(
                "notebooks/{name}.ipynb", name=comes_after(NOTEBOOKS / f"{name}.ipynb")
            ),
        output:
            f"notebooks/{name}.ipynb",
        params:
            step=name,
            notebook=notebook(name),
            given=parameters_of(name),
            code=config["code"],
            pdf=config["pdf"],
        message:
            "{params.step}"
        shell:
            "exec {RUN_NOTEBOOK} {params.step} {output:q} {params.given}"
