// Numbers and times as people read them. A missing number is a dash as wide as a digit.

export const NOTHING = "–";
const MINUS = "−";

/** Made once for each number of decimals: making one takes longer than a hundred uses. @type {Intl.NumberFormat[]} */
const formats = [];

/** @param {number} value @param {number} decimals */
const grouped = (value, decimals) => {
  formats[decimals] ??= new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return formats[decimals].format(Math.abs(value));
};

/**
 * A fixed number of decimals, with a true minus sign; zero never carries one.
 * @param {number | null | undefined} value
 * @param {number} decimals
 */
export const fixed = (value, decimals) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const text = grouped(value, decimals);
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
};

/** @param {number | null | undefined} value @param {number} decimals */
export const signed = (value, decimals) => {
  const text = fixed(value, decimals);
  return value && value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
};

/** A price in so many decimals as its tick shows. @param {number | null | undefined} value @param {number} tick */
export const price = (value, tick = 5) => fixed(value || null, tick >= 1 ? 0 : 2);

/** @param {number | null | undefined} value */
export const money = (value) => fixed(value, 2);

/** Contracts, at least two decimals and at most four. @param {number | null | undefined} value */
export const amount = (value) => {
  if (!value) return NOTHING;
  const text = fixed(value, 4);
  return text.replace(/0{1,2}$/, "");
};

/** @param {number | null | undefined} value */
export const percent = (value) => (value ? `${fixed(value, 1)}%` : NOTHING);

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/** Time of day in UTC. @param {number} milliseconds */
export const clock = (milliseconds) => {
  const at = new Date(milliseconds);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
};

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Day in UTC, such as 25 Dec 26. @param {number} milliseconds */
export const day = (milliseconds) => {
  const at = new Date(milliseconds);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${two(at.getUTCFullYear() % 100)}`;
};

/** Day and time in UTC, said so. @param {number} milliseconds */
export const moment = (milliseconds) => `${day(milliseconds)} ${clock(milliseconds)} UTC`;

/** How long until or since, in its two largest units. @param {number} milliseconds */
export const span = (milliseconds) => {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours, minutes] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60];
  if (days >= 1) return `${Math.floor(days)}d ${Math.floor(hours)}h`;
  if (hours >= 1) return `${Math.floor(hours)}h ${Math.floor(minutes)}m`;
  return minutes >= 1 ? `${Math.floor(minutes)}m ${seconds % 60}s` : `${seconds}s`;
};

/** @param {string} address */
export const shortAddress = (address) => `${address.slice(0, 6)}…${address.slice(-4)}`;
