// Divide decimal numbers exactly, as they are written.

import { indexOf, isSafeInteger, slice, toBigInt, toNumber, toText } from "./primordials.js";

// The digits and the exponent of a finite number's shortest text.
const decimalOf = (number) => {
  const text = toText(number);
  const e = indexOf(text, "e");
  const mantissa = e < 0 ? text : slice(text, 0, e);
  const exponent = e < 0 ? 0 : toNumber(slice(text, e + 1));
  const dot = indexOf(mantissa, ".");
  if (dot < 0) return { digits: toBigInt(mantissa), exponent };
  const digits = toBigInt(slice(mantissa, 0, dot) + slice(mantissa, dot + 1));
  return { digits, exponent: exponent - (mantissa.length - dot - 1) };
};

// Returns a function that tells whether a number is a multiple of this one.
export const multiplesOf = (divisor) => {
  const by = decimalOf(divisor);
  const exact = (value) => {
    if (value - value !== 0) return false; // a number that is too large for a double
    const { digits, exponent } = decimalOf(value);
    const shift = exponent - by.exponent;
    return shift >= 0
      ? (digits * 10n ** toBigInt(shift)) % by.digits === 0n
      : digits % (by.digits * 10n ** toBigInt(-shift)) === 0n;
  };
  if (!isSafeInteger(divisor)) return exact;
  return (value) => (isSafeInteger(value) ? value % divisor === 0 : exact(value));
};
