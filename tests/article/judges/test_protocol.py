import pandas as pd
import pytest

from evalkit.tables import FLOORS, IMAGES

PROTOCOL = [f"S{n}" for n in range(1, 9)]

THE_SIX = [
    {"kind": "portrait", "note": "highlights clipped by us", "is_synthetic": True},
    {"kind": "portrait", "note": "backlit: dark face before a bright ground"},
    {"kind": "portrait", "note": "JPEG blocks; the same face as s0"},
    {"kind": "building"},
    {"kind": "building"},
    {"kind": "text"},
]


def sized(rows, width, height):
    return [row | {"width_px": width, "height_px": height} for row in rows]


@pytest.mark.parametrize("claim", PROTOCOL)
def test_an_empty_run_folder_tests_nothing(run, claim):
    verdict, found, evidence = run.judge(claim)
    assert verdict == "not yet tested"
    assert pd.isna(found)
    assert evidence


def test_s1_three_flawed_portraits_two_buildings_one_text_follow(run):
    run.images(*THE_SIX, {"kind": "mixed"})
    verdict, found, evidence = run.judge("S1")
    assert verdict == "followed"
    assert "3 portrait" in found
    assert "1 mixed" in found
    assert "We degraded 1 of 7 ourselves" in evidence
    assert "0 share a face" in evidence


def test_s1_a_missing_building_or_flaw_is_told(run):
    run.images(*THE_SIX[1:4], THE_SIX[5])
    verdict, _, evidence = run.judge("S1")
    assert verdict == "not followed"
    assert "portrait 2 of 3" in evidence
    assert "building 1 of 2" in evidence
    assert "clipped highlights" in evidence


def test_s1_a_file_that_cannot_be_used_does_not_count(run):
    run.images(*THE_SIX[:5], THE_SIX[5] | {"error": "zero bytes"})
    assert run.judge("S1")[0] == "not followed"


def test_s2_another_size_is_told(run, gpu):
    run.environment(gpu)
    run.images(*sized(THE_SIX[:2], 1024, 768), *sized(THE_SIX[2:3], 512, 512))
    verdict, found, evidence = run.judge("S2")
    assert verdict == "not followed"
    assert found == "3 of 3 PNG, 2 of 3 at 1024x768 or 768x1024 px"
    assert "512x512" in evidence


def test_s2_a_picture_that_was_enlarged_for_cost_is_told(run, gpu):
    run.environment(gpu)
    run.images(*sized(THE_SIX[:2], 512, 512))
    frame = {"figure": "measured", "width_px": 1024, "height_px": 768}
    unknown = {"figure": "measured", "experiment": "cost"}
    FLOORS.write(FLOORS.frame([unknown, frame]), run.path / "tables")
    told = "For cost one was enlarged to 1024x768 px (tables/floors.csv)."
    assert run.judge("S2")[2].endswith(told)
    FLOORS.write(FLOORS.frame([unknown]), run.path / "tables")
    assert told not in run.judge("S2")[2]


def test_s2_the_right_size_on_a_machine_without_gpu_is_not_testable(run, cpu_only):
    run.environment(cpu_only)
    run.images(*sized(THE_SIX, 1024, 768))
    assert run.judge("S2")[0] == "not testable here"


def test_s2_nothing_says_yet_that_a_gpu_was_idle(run, gpu):
    run.environment(gpu)
    run.images(*sized(THE_SIX, 1024, 768))
    verdict, _, evidence = run.judge("S2")
    assert verdict == "inconclusive"
    assert "ran nothing else" in evidence


def test_s3_three_subjects_follow(run):
    run.scores(["ann", "bob", "cem", "cem"])
    assert run.judge("S3")[:2] == ("followed", "3 subjects")


def test_s3_two_subjects_do_not(run):
    run.scores(["ann", "bob"])
    assert run.judge("S3")[:2] == ("not followed", "2 subjects")


def test_s3_another_scale_does_not(run):
    run.scores(["ann", "bob", "cem"], score=80)
    assert run.judge("S3")[0] == "not followed"


def test_s3_tells_what_the_study_plans(run):
    (run.path / "study.yaml").write_text("rating: {subjects: 12}\n", encoding="utf-8")
    assert "12 subjects" in run.judge("S3")[2]


def test_s4_needs_a_gpu(run, cpu_only):
    run.environment(cpu_only)
    run.record("cost")
    assert run.judge("S4")[0] == "not testable here"


def test_s4_a_gpu_without_runs_is_not_yet_tested(run, gpu):
    run.environment(gpu)
    assert run.judge("S4")[0] == "not yet tested"


def test_s4_two_readings_in_every_run_follow(run, gpu):
    run.environment(gpu)
    run.record("cost", cuda_reserved_peak_mib=1000, nvml_process_peak_mib=1400)
    run.record("cost", cuda_reserved_peak_mib=1000, nvml_device_delta_mib=1500)
    verdict, found, evidence = run.judge("S4")
    assert (verdict, found) == ("followed", "2 of 2 runs with both")
    assert "450 MiB" in evidence  # the median of 400 and 500


def test_s4_one_reading_is_no_cross_check(run, gpu):
    run.environment(gpu)
    run.record("cost", cuda_reserved_peak_mib=1000)
    assert run.judge("S4")[:2] == ("not followed", "0 of 1 runs with both")


def test_s5_stages_from_decode_to_encode_inside_the_wall_time_follow(run):
    stages = {"decode": 0.1, "network": 0.7, "encode": 0.1}
    run.record("cost", n=2, stages_s=stages, wall_time_s=1.0)
    verdict, found, evidence = run.judge("S5")
    assert (verdict, found) == ("followed", "2 of 2 timed runs end to end")
    assert "90% of the wall time" in evidence


def test_s5_a_clock_around_the_network_only_is_not_end_to_end(run):
    run.record("cost", stages_s={"network": 0.7}, wall_time_s=0.8)
    assert run.judge("S5")[0] == "not followed"


def test_s5_stages_outside_the_wall_time_are_not_end_to_end(run):
    stages = {"decode": 0.5, "network": 0.7, "encode": 0.5}
    run.record("cost", stages_s=stages, wall_time_s=0.7)
    assert run.judge("S5")[0] == "not followed"


def test_s5_failed_runs_and_other_experiments_are_no_timings(run):
    run.record("cost", outcome="oom")
    run.record("quality", stages_s={"decode": 1.0}, wall_time_s=1.0)
    assert run.judge("S5")[0] == "not yet tested"


def test_s6_fifty_runs_of_each_condition_follow_even_where_some_fail(run):
    run.record("stability", n=50)
    run.record("stability", n=49, condition="lanczos")
    run.record("stability", condition="lanczos", outcome="oom")
    verdict, _, evidence = run.judge("S6")
    assert verdict == "followed"
    assert "1 of 100 failed" in evidence


def test_s6_a_run_that_the_machine_interrupted_is_none(run):
    run.record("stability", n=49)
    run.record("stability", condition="lanczos", n=50)
    run.record("stability", outcome="interrupted")
    verdict, found, evidence = run.judge("S6")
    assert (verdict, found) == ("not followed", "49 to 50 runs")
    assert "0 of 99 failed" in evidence


def test_s6_forty_nine_runs_do_not(run):
    run.record("stability", n=50)
    run.record("stability", n=49, condition="lanczos")
    assert run.judge("S6")[:2] == ("not followed", "49 to 50 runs")


def test_s7_other_hardware_is_told_with_both_machines(run, cpu_only):
    run.environment(cpu_only)
    verdict, found, evidence = run.judge("S7")
    assert verdict == "not followed"
    assert "Some CPU" in found
    assert "RTX 4090" in evidence
    assert "3.10.12" in evidence


def test_s7_the_same_hardware_still_has_another_python(run, gpu):
    run.environment(gpu)
    verdict, _, evidence = run.judge("S7")
    assert verdict == "followed"
    assert "older than evalkit supports" in evidence


def test_s7_reads_the_environment_that_this_machine_writes(run):
    from evalkit.provenance import environment

    here = environment()
    run.environment(here)
    assert here["machine"]["cpu"] in run.judge("S7")[1]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("gpu", "NVIDIA GeForce RTX 4090 D"),
        ("gpu", "NVIDIA GeForce RTX 4090 Laptop GPU"),
        ("cpu", "13th Gen Intel(R) Core(TM) i9-13900KS"),
    ],
)
def test_s7_a_similar_name_is_other_hardware(run, gpu, part, name):
    changed = {"cpu": name} if part == "cpu" else {"gpus": [{"name": name}]}
    run.environment(gpu | {"machine": gpu["machine"] | changed})
    assert run.judge("S7")[0] == "not followed"


def test_s8_metrics_without_people_decide_nothing(run):
    run.metric(30.0)
    verdict, found, evidence = run.judge("S8")
    assert (verdict, found) == ("not followed", "nobody has rated")
    assert "1 values of metrics against a reference (1 of psnr" in evidence


def test_s8_people_first_follows(run):
    run.metric(30.0)
    run.scores(["ann"])
    assert run.judge("S8")[:2] == ("followed", "secondary")


def test_s1_the_set_quick_follows(run):
    from evalkit.imagesets import prepare

    IMAGES.write(prepare("quick"), run.path / "tables")
    verdict, found, evidence = run.judge("S1")
    assert (verdict, found) == ("followed", "3 portrait, 2 building, 1 text, 1 mixed")
    assert "We degraded 7 of 7 ourselves" in evidence
    assert "2 share a face or an original" in evidence
    assert run.judge("S2")[0] == "not followed"
