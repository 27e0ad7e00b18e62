"""Verdicts and reports as plain values."""

import json
from dataclasses import replace

from judgements import judged

from cfmodel.gradients.recording.gradient_records import EpochGradients


def test_a_report_is_plain_json_and_rows() -> None:
    report = judged(EpochGradients, lambda record: replace(record, dot_std=1e-9))
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert plain["verdict"] == "error"
    assert plain["verdicts"][0]["rule"] == report.as_rows()[0]["rule"] == "collapsed_embeddings"
    assert report.as_rows()[0]["textbook"] == "vanishing"
