// Clean and normalise rows of several spreadsheets into one form.
//
// - Extra spaces are removed; brands and functions get one spelling, whatever their case and
//   accents. A brand that is not in the list keeps its own spelling, trimmed.
// - Quarters ("20231", "2023-T1", "1T2023", "1º tri 2023") become "20231", Brazilian dates ISO dates.
// - Amounts ("R$ 1.234,56", "1234.56", 1234.56) become numbers with two decimals. Rounding is
//   half away from zero, on the decimal digits as written, since the binary fraction of 1.005
//   is slightly less than 1.005. In a text, a point before three digits separates thousands
//   ("1.234" is 1234); before one or two digits it is a decimal point.
// - A missing or unreadable value is null, never 0.
// - Of rows that are then equal in every field, the first is kept; `repetidas` counts the others.
function process(data) {
  const unique = new Map();
  for (const row of data) {
    const clean = normalise(row);
    const identity = JSON.stringify(clean);
    if (!unique.has(identity)) unique.set(identity, clean);
  }
  return { linhas: [...unique.values()], repetidas: data.length - unique.size };
}

const normalise = row => ({
  trimestre: quarterOf(row.trimestre),
  nomeBandeira: spelled(row.nomeBandeira, BRANDS),
  nomeFuncao: spelled(row.nomeFuncao, FUNCTIONS),
  qtdCartoesAtivos: countOf(row.qtdCartoesAtivos),
  valorTransacoesNacionais: amountOf(row.valorTransacoesNacionais),
  dataReferencia: dateOf(row.dataReferencia),
});

const text = value => String(value ?? "").normalize("NFC").replace(/\s+/g, " ").trim();

// Equal for "Crédito", "CREDITO" and "cré dito": no case, no accents, no spaces.
const folded = value =>
  text(value).normalize("NFD").replace(/\p{M}|\s/gu, "").toLowerCase();

const spellings = (...names) => new Map(names.map(name => [folded(name), name]));
const BRANDS = spellings("VISA", "Mastercard", "Elo", "American Express", "Hipercard")
  .set("amex", "American Express");
const FUNCTIONS = spellings("Crédito", "Débito", "Pré-pago");

const spelled = (value, names) => names.get(folded(value)) ?? (text(value) || null);

function quarterOf(value) {
  const written = folded(value);
  const found =
    written.match(/^(?<year>\d{4})-?[tq]?(?<quarter>[1-4])$/) ??
    written.match(/^(?<quarter>[1-4])[ºo°]?(?:t|tri|trim|trimestre)[/-]?(?:de)?(?<year>\d{4})$/);
  return found ? found.groups.year + found.groups.quarter : null;
}

function dateOf(value) {
  const written = text(value).replace(/^(\d{2})\/(\d{2})\/(\d{4})$/, "$3-$2-$1");
  if (!/^\d{4}-\d{2}-\d{2}$/.test(written)) return null;
  const date = new Date(`${written}T00:00:00Z`);
  // "2023-02-30" would roll over into March.
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(written) ? written : null;
}

// Whole numbers, with or without points between thousands.
function countOf(value) {
  const digits = decimalOf(value);
  return /^\d+$/.test(digits) && Number.isSafeInteger(Number(digits)) ? Number(digits) : null;
}

function amountOf(value) {
  const found = decimalOf(value).match(/^(-?)(\d+)(?:\.(\d+))?$/);
  if (!found) return null;
  const [, sign, whole, fraction = ""] = found;
  const roundUp = fraction.charAt(2) >= "5" ? 1 : 0;
  const cents = Number(whole + fraction.slice(0, 2).padEnd(2, "0")) + roundUp;
  if (!Number.isSafeInteger(cents)) return null;
  return cents === 0 ? 0 : (sign ? -cents : cents) / 100;
}

// "R$ 1.234,56" → "1234.56", 1234.56 → "1234.56", "1.234.567" → "1234567"
function decimalOf(value) {
  const written = typeof value === "number" ? String(value) : text(value).replace(/^R\$ ?/, "");
  if (typeof value === "number" || /^-?\d+\.\d{1,2}$/.test(written)) return written;
  return /^-?\d{1,3}(\.\d{3})+(,\d+)?$|^-?\d+(,\d+)?$/.test(written)
    ? written.replaceAll(".", "").replace(",", ".")
    : "";
}
