// Validate and split: return the good rows, and the bad ones with every reason.
//
// Nothing is lost: `validos` and `rejeitados` together are the input. A rejected row is returned
// unchanged, with its line (1 is the first row) and all of its errors, not only the first. Of
// rows with the same key the first good one counts, the others are rejected. Amounts are not
// rounded: more than two decimals are an error of the source.
function process(data) {
  const validos = [];
  const rejeitados = [];
  const lineOfKey = new Map();

  data.forEach((registro, index) => {
    const linha = index + 1;
    const erros = errorsOf(registro);
    if (erros.length === 0) {
      const key = JSON.stringify(KEY.map(field => registro[field]));
      if (lineOfKey.has(key)) erros.push(`repete a chave da linha ${lineOfKey.get(key)}`);
      else lineOfKey.set(key, linha);
    }
    if (erros.length === 0) validos.push(registro);
    else rejeitados.push({ linha, erros, registro });
  });

  const resumo = { lidos: data.length, validos: validos.length, rejeitados: rejeitados.length };
  return { resumo, validos, rejeitados };
}

const KEY = ["trimestre", "nomeBandeira", "nomeFuncao", "produto"];
const BRANDS = new Set(["VISA", "Mastercard", "Elo", "American Express", "Hipercard"]);
const FUNCTIONS = new Set(["Crédito", "Débito", "Pré-pago"]);

// A number would pass the pattern too, and be another key than its text.
const isQuarter = value => typeof value === "string" && /^\d{4}[1-4]$/.test(value);
const isCount = value => Number.isSafeInteger(value) && value >= 0;
// Of the number's shortest decimal form: 0.1 has one decimal, whatever binary makes of it.
const isAmount = value => typeof value === "number" && /^\d+(\.\d{1,2})?$/.test(value);

// A field, what it must be, and how to say so.
const FIELD_RULES = [
  ["trimestre", isQuarter, 'deve ser o texto AAAAT, como "20231"'],
  ["nomeBandeira", value => BRANDS.has(value), `deve ser uma de ${[...BRANDS].join(", ")}`],
  ["nomeFuncao", value => FUNCTIONS.has(value), `deve ser uma de ${[...FUNCTIONS].join(", ")}`],
  ["produto", value => typeof value === "string" && value.trim() !== "", "deve ser um texto"],
  ["qtdCartoesEmitidos", isCount, "deve ser um inteiro, 0 ou mais"],
  ["qtdCartoesAtivos", isCount, "deve ser um inteiro, 0 ou mais"],
  ["valorTransacoesNacionais", isAmount, "deve ser um número, 0 ou mais, com até duas casas"],
];

function errorsOf(row) {
  if (row === null || typeof row !== "object" || Array.isArray(row)) return ["não é um objeto"];
  const errors = FIELD_RULES.flatMap(([field, holds, rule]) => {
    const value = row[field];
    if (value === undefined || value === null) return [`${field}: falta`];
    return holds(value) ? [] : [`${field}: ${rule}; é ${JSON.stringify(value)}`];
  });
  // A rule on several fields says something only when each of them is right.
  const counts = [row.qtdCartoesEmitidos, row.qtdCartoesAtivos];
  if (counts.every(isCount) && row.qtdCartoesAtivos > row.qtdCartoesEmitidos) {
    errors.push("qtdCartoesAtivos: há mais cartões ativos do que emitidos");
  }
  return errors;
}
