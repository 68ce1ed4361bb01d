// Decimals as text to integers and back, exactly: what is signed never passes through a float.

const FORM = /^(-?)(\d{1,18})(?:\.(\d{1,18}))?$/;

/**
 * Scaled integer of a decimal; refuses what cannot be represented.
 * @param {string | number} value
 * @param {number} decimals
 * @returns {bigint}
 */
export const toUnits = (value, decimals) => {
  const found = FORM.exec(String(value).trim());
  if (!found) throw new Error(`${value} is not a decimal number`);
  const [, sign, whole, fraction = ""] = found;
  const kept = fraction.replace(/0+$/, "");
  if (kept.length > decimals) throw new Error(`${value} has more than ${decimals} decimals`);
  const units = BigInt(whole + kept.padEnd(decimals, "0"));
  return sign ? -units : units;
};

/**
 * Decimal text of a scaled integer, without trailing zeros.
 * @param {bigint} units
 * @param {number} decimals
 */
export const fromUnits = (units, decimals) => {
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return (units < 0n ? "-" : "") + whole + (fraction && `.${fraction}`);
};

/**
 * The multiple of `step` nearest to `value` (a float for display), as decimal text.
 * @param {number} value
 * @param {number} step
 * @param {number} decimals
 */
export const toStep = (value, step, decimals) => {
  const units = toUnits(step, decimals);
  return fromUnits(BigInt(Math.round(value / step)) * units, decimals);
};
