// Prometheus text as figures, and quantiles of its histograms. Pure.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;

/** @typedef {{labels: Record<string, string>, value: number}} Sample */

/** Samples by name. @param {string} text @returns {Map<string, Sample[]>} */
export const samplesOf = (text) => {
  /** @type {Map<string, Sample[]>} */
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = LINE.exec(line);
    if (!parts) continue;
    const [, name, given = "", value] = parts;
    const labels = Object.fromEntries([...given.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]));
    found.set(name, [...(found.get(name) ?? []), { labels, value: Number(value) }]);
  }
  return found;
};

/** A figure that has no labels; null where it is not told. @param {Map<string, Sample[]>} samples @param {string} name */
export const figureOf = (samples, name) => samples.get(name)?.[0]?.value ?? null;

/**
 * The bound below which a share of what happened between two readings lies; null where nothing did.
 * @param {Sample[]} now cumulative buckets of one histogram @param {Sample[]} before of the reading before @param {number} share
 */
export const quantile = (now, before, share) => {
  const counts = now.map((one) => ({ bound: one.labels.le === "+Inf" ? Infinity : Number(one.labels.le), count: one.value - (before.find((other) => other.labels.le === one.labels.le)?.value ?? 0) })).sort((a, b) => a.bound - b.bound);
  const total = counts.at(-1)?.count ?? 0;
  if (total <= 0) return null;
  return counts.find((one) => one.count >= share * total)?.bound ?? Infinity;
};

/** 99 of 100 commands' time in each stage since the reading before, in seconds. @param {Map<string, Sample[]>} now @param {Map<string, Sample[]>} before */
export const stages = (now, before) => {
  const name = "exchange_stage_seconds_bucket";
  const of = (/** @type {Map<string, Sample[]>} */ samples, /** @type {string} */ stage) => (samples.get(name) ?? []).filter((one) => one.labels.stage === stage);
  const names = [...new Set((now.get(name) ?? []).map((one) => one.labels.stage))];
  return names.map((stage) => ({ stage, p99: quantile(of(now, stage), of(before, stage), 0.99) }));
};
