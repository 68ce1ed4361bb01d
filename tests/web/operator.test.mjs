// The operator's figures: Prometheus text, quantiles between two readings, numbers beyond a float.

import assert from "node:assert/strict";
import { test } from "node:test";
import { exact } from "../../web/operator/desk.js";
import { figureOf, quantile, samplesOf, stages } from "../../web/operator/metrics.js";

const text = (counts) => `# HELP exchange_seq seq
# TYPE exchange_seq gauge
exchange_seq 12.0
exchange_requests_total{method="public/ticker"} 3.0
${counts.map(([le, count]) => `exchange_stage_seconds_bucket{le="${le}",stage="apply"} ${count}`).join("\n")}
`;

test("figures and labels are read as they stand", () => {
  const samples = samplesOf(text([]));
  assert.equal(figureOf(samples, "exchange_seq"), 12);
  assert.equal(figureOf(samples, "exchange_nothing"), null);
  assert.deepEqual(samples.get("exchange_requests_total"), [{ labels: { method: "public/ticker" }, value: 3 }]);
});

test("a quantile counts what happened since the reading before", () => {
  const before = samplesOf(text([["0.001", 1000], ["0.01", 1000], ["+Inf", 1000]]));
  const now = samplesOf(text([["0.001", 1050], ["0.01", 1099], ["+Inf", 1100]]));
  assert.deepEqual(stages(now, before), [{ stage: "apply", p99: 0.01 }]);
  assert.deepEqual(stages(now, now), [{ stage: "apply", p99: null }]);
  assert.equal(quantile(samplesOf(text([["0.001", 0], ["+Inf", 9]])).get("exchange_stage_seconds_bucket"), [], 0.99), Infinity);
});

test("whole numbers beyond a float's reach stay digits", () => {
  assert.deepEqual(exact('{"a": 1156177569783707457, "b": [7, -0.12345678901234567], "c": "is \\" 1156177569783707457"}'), { a: "1156177569783707457", b: [7, -0.12345678901234567], c: 'is " 1156177569783707457' });
});
