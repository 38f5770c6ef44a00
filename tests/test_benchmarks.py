"""What `dnnc bench` makes of pytest-benchmark's JSON; the benchmarks themselves run only when asked for."""

import json

import pytest

from common import benchmarks
from common.base.results import read_result


def row(group, peer, seconds, **info):
    stats = {"median": seconds, "rounds": 3}
    name = f"bench[{peer}]"
    info = {"peer": peer} | info
    return {"group": group, "name": name, "fullname": f"{group}::{name}", "stats": stats, "extra_info": info}


RAW = {
    "benchmarks": [
        row("decode", "slow peer", 0.6, work=12.0, unit="M symbols", size=4000),
        row("decode", "this course, variant", 0.2, work=12.0, unit="M symbols", size=3000),
        row("decode", "this course", 0.1, work=12.0, unit="M symbols"),
        row("decode", "fast peer", 0.05, work=12.0, unit="M symbols"),
        row("memory", "this course, decode", 80.0, untimed=True, peak=12.5),
        {
            "group": None,
            "name": "alone",
            "fullname": "alone",
            "stats": {"median": 2e-6, "rounds": 1},
            "extra_info": {},
        },
    ]
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """`benchmarks.main` with pytest replaced by something that writes the given JSON, but what is left out.

    `raw` is the JSON of every sweep, or a list with one for each.
    """

    def run(raw, *arguments, code=0):
        raws = iter(raw if isinstance(raw, list) else [raw] * benchmarks.SWEEPS)

        def write(path, passed, left_out):
            assert list(passed) == list(arguments)
            rows = [each for each in next(raws)["benchmarks"] if each["fullname"] not in left_out]
            path.write_text(json.dumps({"benchmarks": rows}))
            return code

        monkeypatch.setattr(benchmarks, "_run_pytest", write)
        return benchmarks.main(arguments, results=tmp_path)

    return run


def test_ours_first_then_the_fastest_with_ratios_to_our_fastest():
    groups = benchmarks.collect(RAW)
    rows = groups["decode"]
    order = ["this course", "this course, variant", "fast peer", "slow peer"]
    assert [each["peer"] for each in rows] == order
    assert [each["rate"] for each in rows] == pytest.approx([120, 60, 240, 20])
    assert [each.get("ours_is_faster") for each in rows] == [None, None, pytest.approx(0.5), pytest.approx(6)]
    assert groups["alone"] == [{"peer": "alone", "seconds": 2e-6, "rounds": 1}]


def test_a_peer_that_gets_less_to_do_is_compared_by_rate():
    slow = row("decode", "slow peer", 0.08, work=0.1, unit="M symbols")
    ours, fast = RAW["benchmarks"][2], row("decode", "fast peer", 0.2, work=12.0, unit="M symbols")
    rows = benchmarks.collect({"benchmarks": [slow, ours, fast]})["decode"]
    assert [each["peer"] for each in rows] == ["this course", "fast peer", "slow peer"]
    assert [each.get("ours_is_faster") for each in rows[1:]] == pytest.approx([2, 96])


def test_writes_json_and_a_table_with_machine_and_date(run, tmp_path, capsys):
    assert run(RAW) == 0
    table = (tmp_path / "bench.md").read_text()
    written = read_result(tmp_path / "bench.json")
    assert table in capsys.readouterr().out
    assert written["date"][:10] in table
    assert written["machine"]["processor"] in table
    lines = table.splitlines()
    assert "|  | time | M symbols/s | size | ours is |" in lines
    assert "| slow peer | 600 ms | 20 | 4,000 | 6× as fast |" in lines
    assert "| fast peer | 50 ms | 240 |  | 0.5× as fast (0.5 to 0.5) |" in lines
    assert "| alone | 2 µs |  |" in lines
    assert "| this course, decode |  | 12.5 |  |" in lines


def test_close_peers_are_swept_several_times_and_a_ratio_never_mixes_sweeps(run, tmp_path):
    speeds = [(1.0, 1.2), (2.0, 1.8), (4.0, 4.4), (1.0, 1.1), (1.0, 1.3)]  # the machine halves its speed
    sweeps = [
        {
            "benchmarks": [
                row("decode", "this course", ours),
                row("decode", "fast peer", peer),
                row("decode", "slow peer", 5.0),
            ]
        }
        for ours, peer in speeds
    ]
    run(sweeps)
    rows = read_result(tmp_path / "bench.json")["figures"]["groups"]["decode"]
    assert [each["peer"] for each in rows] == ["this course", "fast peer", "slow peer"]
    assert [each.get("sweeps") for each in rows] == [5, 5, None]
    assert rows[0]["seconds"] == 1.0
    assert rows[1]["ours_is_faster"] == pytest.approx(1.1)  # 4.4 over 4.0, or 1.1 over 1.0
    assert rows[1]["ratios"] == pytest.approx([0.9, 1.3])
    assert rows[2]["ours_is_faster"] == 5.0  # of the first sweep
    assert "1.1× as fast (0.9 to 1.3)" in (tmp_path / "bench.md").read_text()


def test_one_sweep_is_enough_where_nothing_is_close():
    raw = {"benchmarks": [row("decode", "this course", 1.0), row("decode", "slow peer", 5.0)]}
    names = [each["fullname"] for each in raw["benchmarks"]]
    assert benchmarks.decided(raw, benchmarks.collect(raw)) == names


def test_some_benchmarks_keep_the_results_of_the_others(run, tmp_path):
    run(RAW)
    run({"benchmarks": [row("decode", "this course", 0.07)]}, "-k", "decode")
    groups = read_result(tmp_path / "bench.json")["figures"]["groups"]
    assert [each["seconds"] for each in groups["decode"]] == [0.07]
    assert "alone" in groups
    measured = read_result(tmp_path / "bench.json")["figures"]["measured"]
    assert measured["decode"]["command"] == "dnnc bench -k decode"
    assert measured["alone"]["command"] == "dnnc bench"
    table = (tmp_path / "bench.md").read_text()
    assert f"**alone** ({measured['alone']['date']}, `dnnc bench`, commit " in table
    assert "**decode**\n" in table


def test_another_machine_s_results_are_not_mixed_in(run, tmp_path, monkeypatch):
    run(RAW)
    benchmarks_machine = benchmarks.machine()  # of the same name, as virtual machines have it
    monkeypatch.setattr(benchmarks, "machine", lambda: benchmarks_machine | {"vectors": "avx1024"})
    run({"benchmarks": [row("decode", "this course", 0.07)]})
    assert list(read_result(tmp_path / "bench.json")["figures"]["groups"]) == ["decode"]


def test_a_failed_benchmark_writes_nothing(run, tmp_path):
    assert run(RAW, code=1) == 1
    assert not list(tmp_path.iterdir())


def test_the_summary_has_the_headlines_only_and_the_peers_versions():
    group = [
        {"peer": "this course", "seconds": 1.0},
        {"peer": "another", "seconds": 2.0, "ours_is_faster": 2.0},
    ]
    names = [*benchmarks.HEADLINES, "pruned layer alexnet.fc6, 4096 x 9216 at density 0.09, batch 16", "else"]
    result = {
        "figures": {"groups": dict.fromkeys(names, group), "versions": {"scipy": "1.2"}, "busy": "load 9"},
        "machine": {"processor": "p", "cores": 2, "memory_bytes": 8e9, "system": "Linux"},
        "date": "2026-11-28",
        "command": "dnnc bench",
    }
    summary = benchmarks.to_summary(result)
    assert [line.split(" | ")[0][2:] for line in summary.splitlines()[4:]] == list(benchmarks.HEADLINES)
    assert "Peers: scipy 1.2. **Load 9.**" in summary


def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(benchmarks.os, "getloadavg", lambda: (7.0, 7.0, 7.0))
    monkeypatch.setattr(benchmarks.os, "cpu_count", lambda: 2)
    assert benchmarks.too_busy().startswith("load 7.0 on 2 cores: too busy to measure")
    monkeypatch.setattr(benchmarks.os, "getloadavg", lambda: (0.5, 7.0, 7.0))
    assert benchmarks.too_busy() == ""
