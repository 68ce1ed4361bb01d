// Decimals, figures, fees.

import assert from "node:assert/strict";
import test from "node:test";
import { fromUnits, toStep, toUnits } from "../../web/decimal.js";
import { feeLimit, feeOf } from "../../web/fees.js";
import { amount, clock, day, fixed, moment, money, percent, price, shortAddress, signed, span } from "../../web/format.js";

test("decimals become integers exactly, or not at all", () => {
  assert.equal(toUnits("0.3", 6), 300000n);
  assert.equal(toUnits("-12.000001", 6), -12000001n);
  assert.equal(toUnits(2105.5, 6), 2105500000n);
  assert.equal(toUnits("1.5000", 1), 15n);
  for (const bad of ["", "1e3", "0.00001", "1.", ".5", "١", "1 000", "NaN"]) assert.throws(() => toUnits(bad, 4), bad);
});

test("back to text, and to steps", () => {
  for (const text of ["0", "1", "0.01", "-0.5", "123456789012.3456"]) assert.equal(fromUnits(toUnits(text, 4), 4), text);
  assert.equal(toStep(2107.4, 5, 6), "2105");
  assert.equal(toStep(0.123, 0.01, 6), "0.12");
});

test("figures line up, lack no sign, and nothing is a dash", () => {
  assert.equal(fixed(1234567.891, 2), "1,234,567.89");
  assert.equal(fixed(-0.5, 1), "−0.5");
  assert.equal(fixed(-0.001, 2), "0.00");
  assert.equal(fixed(null, 2), "–");
  assert.equal(fixed(Number.NaN, 2), "–");
  assert.deepEqual([signed(2, 1), signed(-2, 1), signed(0, 1)], ["+2.0", "−2.0", "0.0"]);
  assert.deepEqual([price(0), price(2105), price(2105.126, 0.01)], ["–", "2,105", "2,105.13"]);
  assert.deepEqual([amount(0.1), amount(0.1234), amount(0.123), amount(0)], ["0.10", "0.1234", "0.123", "–"]);
  assert.deepEqual([percent(54.25), percent(0), money(3)], ["54.3%", "–", "3.00"]);
});

test("times are UTC and say so", () => {
  const at = Date.UTC(2026, 11, 25, 8, 3, 9);
  assert.deepEqual([clock(at), day(at), moment(at)], ["08:03:09", "25 Dec 26", "25 Dec 26 08:03:09 UTC"]);
  assert.deepEqual([span(9_000), span(130_000), span(7_260_000), span(2 * 86_400_000 + 3_600_000), span(-5)], ["9s", "2m 10s", "2h 1m", "2d 1h", "0s"]);
  assert.equal(shortAddress("0x1234567890abcdef"), "0x1234…cdef");
});

test("fees follow the schedule: of the index, an option's at most a share of the premium", () => {
  const option = { kind: "option", taker_commission: 0.0003 };
  assert.equal(feeOf(option, 0.125, 100_000, 2000, 1).toFixed(6), "30.000000");
  assert.equal(feeOf(option, 0.125, 100_000, 80, 1), 10);
  assert.equal(feeOf({ kind: "future", taker_commission: 0.0005 }, 0.125, 100_000, 80, 2), 100);
  assert.equal(feeLimit(option, 99_946.37), "59.97");
});
