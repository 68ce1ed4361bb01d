// What a fill costs at most, by the schedule of public/get_signing_domain (docs/api.md).

/**
 * The schedule's fee in USDC: a share of the index, for an option at most so much of its premium.
 * @param {{kind: string, taker_commission: number}} instrument
 * @param {number} cap share of the premium
 * @param {number} index
 * @param {number} price
 * @param {number} amount
 */
export const feeOf = (instrument, cap, index, price, amount) => {
  const byIndex = instrument.taker_commission * index * amount;
  return instrument.kind === "option" ? Math.min(byIndex, cap * price * amount) : byIndex;
};

/**
 * What an order signs as its limit: twice the schedule, in whole cents; of a combo that of all its legs.
 * @param {{taker_commission: number, legs?: {instrument_name: string, amount: number}[]}} instrument
 * @param {number} index
 * @param {Map<string, {taker_commission: number}>} [instruments] where its legs stand
 */
export const feeLimit = (instrument, index, instruments) => {
  const legs = (instrument.legs ?? []).map((leg) => Math.abs(leg.amount) * (instruments?.get(leg.instrument_name)?.taker_commission ?? instrument.taker_commission));
  const rate = legs.length ? legs.reduce((sum, one) => sum + one, 0) : instrument.taker_commission;
  return (Math.ceil(rate * index * 2 * 100) / 100).toFixed(2);
};
