// Decide whether texts are dates and times of RFC 3339, or its durations.

import { matches, Pattern, toNumber } from "./primordials.js";

const DATE = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/;
const TIME = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:z|([+-])([0-9]{2}):([0-9]{2}))$/i;
const DATE_TIME = /^([0-9-]{10})t(.+)$/i;
// Appendix A: units follow each other without gaps, and weeks stand alone.
const DAYS_OF = "[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D";
const TIME_OF = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
const DURATION = new Pattern(`^P(?:[0-9]+W|(?:${DAYS_OF})(?:${TIME_OF})?|${TIME_OF})$`);
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MINUTES_OF_DAY = 24 * 60;

export const isDate = (text) => {
  const parts = matches(DATE, text);
  if (parts === null) return false;
  const year = toNumber(parts[1]);
  const month = toNumber(parts[2]);
  const day = toNumber(parts[3]);
  if (month < 1 || month > 12 || day < 1) return false;
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= DAYS[month - 1] + (leap ? 1 : 0);
};

export const isTime = (text) => {
  const parts = matches(TIME, text);
  if (parts === null) return false;
  const hour = toNumber(parts[1]);
  const minute = toNumber(parts[2]);
  const second = toNumber(parts[3]);
  const hasOffset = parts[4] !== undefined;
  const offsetHour = hasOffset ? toNumber(parts[5]) : 0;
  const offsetMinute = hasOffset ? toNumber(parts[6]) : 0;
  if (hour > 23 || minute > 59 || offsetHour > 23 || offsetMinute > 59) return false;
  if (second < 60) return true;
  // A leap second is the last one of a day in UTC.
  const offset = (offsetHour * 60 + offsetMinute) * (parts[4] === "-" ? -1 : 1);
  const utc = (hour * 60 + minute - offset + MINUTES_OF_DAY) % MINUTES_OF_DAY;
  return second === 60 && utc === MINUTES_OF_DAY - 1;
};

export const isDateTime = (text) => {
  const parts = matches(DATE_TIME, text);
  return parts !== null && isDate(parts[1]) && isTime(parts[2]);
};

export const isDuration = (text) => matches(DURATION, text) !== null;
